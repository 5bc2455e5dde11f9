"""Time without barriers: the tasks and transfers of a plan as events, their timeline, and what devices hold over time."""
