"""Regions, by hand."""

from __future__ import annotations

import pytest

from iopopt import Operator, Placement
from iopopt.network.epilogue import Pool
from iopopt.network.operators.concat import Concat
from iopopt.network.operators.conv import Conv
from iopopt.network.operators.mul import Mul
from iopopt.network.operators.slice import Slice
from iopopt.network.operators.space_to_depth import SpaceToDepth
from iopopt.network.operators.upsample import Upsample
from iopopt.network.shapes import Shape, Window
from iopopt.schedule.region_transfers import computed_region, field_rows, needed_regions, owned_regions, pre_pool_rows
from iopopt.schedule.regions import Interval, Region, everything, nothing


def _region(channels: tuple[int, int], rows: tuple[int, int]) -> Region:
    return Region(Interval(*channels), Interval(*rows))


@pytest.fixture
def pooled() -> Operator:
    """4x12x5, kernel 3, padding 1 -> 6x12x5, max pool 3 of stride 2 and padding 1 -> 6x6x5: K = 5, S = 2, P = 2."""
    pool = Pool("max", Window(3, 2, 1, 1), Window())
    return Conv("pooled", Shape(4, 12, 5), 6, Window(3, 1, 1, 1), Window(3, 1, 1, 1), epilogue=(pool,))


@pytest.fixture
def grouped() -> Operator:
    """6x4x4 -> 9x4x4 in three groups: two input and three output channels each."""
    return Conv("grouped", Shape(6, 4, 4), 9, groups=3)


def test_interval() -> None:
    """An interval is half open; one that would end before it starts is empty."""
    assert len(Interval(2, 5)) == 3
    assert Interval(4, 2) == Interval(4, 4)
    assert not Interval(4, 2)
    assert Interval(0, 4).meet(Interval(2, 9)) == Interval(2, 4)
    assert not Interval(0, 2).meet(Interval(5, 9))
    assert Interval(3, 5).within(Interval(2, 9)) == slice(1, 3)
    assert Interval(7, 7).within(Interval(2, 5)) == slice(0, 0)


def test_region() -> None:
    """A region is empty if either axis is; it holds whatever is empty, and what does not reach beyond it."""
    region = _region((1, 4), (0, 6))
    assert region
    assert not _region((1, 4), (6, 6))
    assert not _region((1, 1), (0, 6))
    assert not nothing()
    assert region.meet(_region((0, 2), (3, 9))) == _region((1, 2), (3, 6))
    assert region.holds(_region((2, 3), (0, 6)))
    assert not region.holds(_region((0, 3), (0, 6)))
    assert region.holds(_region((9, 9), (0, 6)))
    assert _region((2, 3), (1, 4)).within(region) == (slice(1, 2), slice(1, 4))


def test_everything() -> None:
    """The whole map has all channels and all rows."""
    assert everything(Shape(3, 8, 5)) == _region((0, 3), (0, 8))


def test_rows_under_a_pool(pooled: Operator) -> None:
    """Rows before the pool are cut at the map's edges; no output row needs none."""
    assert pre_pool_rows(pooled, Interval(0, 2)) == Interval(0, 4)  # -1 to 4
    assert pre_pool_rows(pooled, Interval(2, 4)) == Interval(3, 8)
    assert pre_pool_rows(pooled, Interval(5, 6)) == Interval(9, 12)
    assert pre_pool_rows(pooled, Interval(3, 3)) == Interval(0, 0)


def test_rows_of_the_composite_field(pooled: Operator) -> None:
    """Input rows are [a S - P, (b - 1) S - P + K), cut at the tensor's edges wherever the participant stands."""
    assert field_rows(pooled, Interval(0, 1)) == Interval(0, 3)  # -2 to 3
    assert field_rows(pooled, Interval(1, 4)) == Interval(0, 9)
    assert field_rows(pooled, Interval(2, 4)) == Interval(2, 9)
    assert field_rows(pooled, Interval(4, 6)) == Interval(6, 12)  # to 13
    assert field_rows(pooled, Interval(2, 2)) == Interval(0, 0)


def test_rows_wholly_in_the_padding_are_none() -> None:
    """An output row whose field lies in the padding needs no input row."""
    padded = Conv("padded", Shape(1, 3, 3), 1, Window(1, 1, 2, 2))
    assert not field_rows(padded, Interval(0, 1))
    assert not field_rows(padded, Interval(6, 7))
    assert field_rows(padded, Interval(1, 4)) == Interval(0, 2)


def test_owned_regions(pooled: Operator) -> None:
    """A participant owns its rows or channels of the finished output, or all of it."""
    assert owned_regions(pooled, Placement.whole(3)) == {3: _region((0, 6), (0, 6))}
    rows = owned_regions(pooled, Placement.split("H", (0, 2, 3), (4, 0, 2)))
    assert rows == {0: _region((0, 6), (0, 4)), 2: _region((0, 6), (4, 4)), 3: _region((0, 6), (4, 6))}
    assert owned_regions(pooled, Placement.split("OC", (1, 2), (5, 1))) == {1: _region((0, 5), (0, 6)), 2: _region((5, 6), (0, 6))}


def test_computed_region(pooled: Operator) -> None:
    """A share of rows computes what lies under its pool windows; all others compute every row before the pool, of their channels."""
    assert computed_region(pooled, Placement.whole(3), 3) == _region((0, 6), (0, 12))
    assert computed_region(pooled, Placement.split("H", (0, 2), (2, 4)), 2) == _region((0, 6), (3, 12))
    assert computed_region(pooled, Placement.split("OC", (0, 2), (2, 4)), 2) == _region((2, 6), (0, 12))
    assert computed_region(pooled, Placement.split("IC", (0, 2), (2, 2)), 2) == _region((0, 6), (0, 12))


def test_needed_regions(pooled: Operator) -> None:
    """Whole and OC need everything, IC its channels, H the rows of its field, an empty share of rows nothing."""
    everything_in = _region((0, 4), (0, 12))
    assert needed_regions(pooled, Placement.whole(1)) == {1: everything_in}
    assert needed_regions(pooled, Placement.split("OC", (0, 1), (6, 0))) == {0: everything_in, 1: everything_in}
    assert needed_regions(pooled, Placement.split("IC", (0, 1), (1, 3))) == {0: _region((0, 1), (0, 12)), 1: _region((1, 4), (0, 12))}
    rows = needed_regions(pooled, Placement.split("H", (0, 1, 2), (2, 0, 4)))
    assert rows == {0: _region((0, 4), (0, 5)), 1: _region((0, 4), (0, 0)), 2: _region((0, 4), (2, 12))}


def test_needed_regions_of_groups(grouped: Operator) -> None:
    """A share of a grouped operator's output channels needs the input channels of its groups."""
    needs = needed_regions(grouped, Placement.split("OC", (0, 1, 2), (6, 0, 3)))
    assert needs == {0: _region((0, 4), (0, 4)), 1: _region((4, 4), (0, 4)), 2: _region((4, 6), (0, 4))}


def test_needed_regions_of_a_gate() -> None:
    """Every row of a product needs all of its gate, and a share of channels those channels of both inputs."""
    gated = Mul("gated", Shape(4, 6, 2), (Shape(4, 1, 1),))
    rows, channels = Placement.split("H", (0, 1), (2, 4)), Placement.split("OC", (0, 1), (3, 1))
    assert needed_regions(gated, rows, 0) == {0: _region((0, 4), (0, 2)), 1: _region((0, 4), (2, 6))}
    assert needed_regions(gated, rows, 1) == dict.fromkeys((0, 1), _region((0, 4), (0, 1)))
    assert needed_regions(gated, channels, 0) == {0: _region((0, 3), (0, 6)), 1: _region((3, 4), (0, 6))}
    assert needed_regions(gated, channels, 1) == {0: _region((0, 3), (0, 1)), 1: _region((3, 4), (0, 1))}
    assert needed_regions(gated, channels, 1, by_channels=False) == dict.fromkeys((0, 1), _region((0, 4), (0, 1)))


def test_needed_regions_of_a_slice() -> None:
    """A slice reads its own channels, all of them or their rows, whichever of them a share of channels computes."""
    piece = Slice("piece", Shape(5, 6, 2), 2, first_channel=2)
    assert needed_regions(piece, Placement.whole(1)) == {1: _region((2, 4), (0, 6))}
    assert needed_regions(piece, Placement.split("H", (0, 1), (2, 4))) == {0: _region((2, 4), (0, 2)), 1: _region((2, 4), (2, 6))}
    assert needed_regions(piece, Placement.split("OC", (0, 1), (1, 1))) == dict.fromkeys((0, 1), _region((2, 4), (0, 6)))


def test_needed_regions_of_a_concatenation() -> None:
    """A share of channels of a concatenation needs all of every input; a share of rows those rows of each."""
    joined = Concat("joined", Shape(2, 4, 3), (Shape(3, 4, 3),))
    assert needed_regions(joined, Placement.split("OC", (0, 1), (1, 4)), 1) == dict.fromkeys((0, 1), _region((0, 3), (0, 4)))
    assert needed_regions(joined, Placement.split("H", (0, 1), (1, 3)), 1) == {0: _region((0, 3), (0, 1)), 1: _region((0, 3), (1, 4))}


def test_needed_rows_of_an_upsampling() -> None:
    """Repeated rows need those that they repeat; interpolated ones the row before and the one after as well."""
    nearest = Upsample("nearest", Shape(2, 4, 3), "nearest", Window(upsampling=3))
    window = Window(3, 1, 1, 1, 1, 3)
    linear = Upsample("linear", Shape(2, 4, 3), "linear", window, Window(3, 1, 1, 1))
    split = Placement.split("H", (0, 1, 2), (3, 3, 6))
    rows = {0: (0, 1), 1: (1, 2), 2: (2, 4)}
    assert needed_regions(nearest, split) == {j: _region((0, 2), rows[j]) for j in rows}
    rows = {0: (0, 2), 1: (0, 3), 2: (1, 4)}
    assert needed_regions(linear, split) == {j: _region((0, 2), rows[j]) for j in rows}


def test_needed_rows_of_blocks() -> None:
    """A row of blocks needs as many rows as a block has."""
    blocks = SpaceToDepth("blocks", Shape(2, 6, 4), Window(2, 2), Window(2, 2))
    assert needed_regions(blocks, Placement.split("H", (0, 1), (1, 2))) == {0: _region((0, 2), (0, 2)), 1: _region((0, 2), (2, 6))}
    assert needed_regions(blocks, Placement.split("OC", (0, 1), (3, 5))) == dict.fromkeys((0, 1), _region((0, 2), (0, 6)))
