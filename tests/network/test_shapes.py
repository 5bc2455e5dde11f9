"""Windows."""

from __future__ import annotations

import pytest

from iopopt import GraphError
from iopopt.network.shapes import Window, window_text


@pytest.mark.parametrize(
    ("window", "size", "positions"),
    [
        (Window(3), 5, 3),
        (Window(3, before=1, after=1), 5, 5),
        (Window(3, 2), 8, 3),  # 0, 2, 4: position 6 would reach row 8
        (Window(3, 2, after=1), 8, 4),
        (Window(3, 1, dilation=2), 5, 1),  # 5 rows under the dilated kernel
        (Window(11, 4, 2, 2), 224, 55),  # AlexNet's first layer
        (Window(3), 2, 0),
    ],
)
def test_window_positions(window: Window, size: int, positions: int) -> None:
    """A window takes floor((size + padding - extent) / stride) + 1 positions."""
    assert window.output_size(size) == positions


@pytest.mark.parametrize("wrong", [{"kernel": 0}, {"stride": 0}, {"before": -1}, {"after": -1}, {"dilation": 0}, {"kernel": 1.0}, {"stride": True}])
def test_wrong_windows_are_refused(wrong: dict[str, int]) -> None:
    """Figures out of range are refused with their name."""
    with pytest.raises(GraphError, match=next(iter(wrong))):
        Window(**wrong)


@pytest.mark.parametrize(
    ("rows", "columns", "text"),
    [
        (Window(3), Window(3), "3x3"),
        (Window(1), Window(7), "1x7"),
        (Window(3, 2), Window(3, 2, 1, 1), "3x3/2"),
        (Window(3, 2), Window(5), "3x5/2x1"),
        (Window(3, dilation=2), Window(3, dilation=2), "3x3 dilated 2"),
    ],
)
def test_windows_in_words(rows: Window, columns: Window, text: str) -> None:
    """The kernel, and stride and dilation where they are not 1; once where rows and columns agree."""
    assert window_text(rows, columns) == text
