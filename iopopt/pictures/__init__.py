"""Pictures of plans and timelines, by Matplotlib: functions that draw on Axes, or on a new figure, and return the Axes."""

from iopopt.pictures.figures import FORMATS, save_figure
from iopopt.pictures.memory import draw_memory
from iopopt.pictures.pareto import draw_pareto
from iopopt.pictures.plan import draw_plan
from iopopt.pictures.timeline import draw_timeline, draw_timelines

__all__ = ["FORMATS", "draw_memory", "draw_pareto", "draw_plan", "draw_timeline", "draw_timelines", "save_figure"]
