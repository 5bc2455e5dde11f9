"""Streams: channels that pass between participants some at a time. Their rounds by equation (8), and what is there at once by equation (1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.shares import even_shares
from iopopt.schedule.rounds import Round, Transfer, TransferKind


def owned_channels(unit: Unit, placement: Placement) -> Mapping[int, int]:
    """How many channels of its output each device owns, by device in order; of partial sums, once they have been added up in two phases."""
    owned = placement.handed_on
    if owned.is_whole:
        return {owned.devices[0]: unit.out_shape.channels}
    shares = even_shares(unit.sizes["OC"], len(owned.devices)) if owned.dim == "IC" else owned.shares
    return dict(zip(owned.devices, shares, strict=True))


def messages(channels: int, stream: int) -> list[int]:
    """The channels of each message of a slice."""
    full, rest = divmod(channels, stream)
    return [stream] * full + [rest] * (rest > 0)


def input_rounds(producer: Unit, p: Placement, q: Placement, bytes_per_element: int) -> tuple[Round, ...]:
    """The rounds in which the participants of q receive what they do not own of p's output, a message each at most."""
    assert q.stream is not None  # only streams have such rounds
    owned, shape = owned_channels(producer, p), producer.out_shape
    channel = bytes_per_element * shape.height * shape.width
    if p.handed_on.is_whole:
        ((owner, channels),) = owned.items()
        sizes = [channel * size for size in messages(channels, q.stream)]
        return _rounds(TransferKind.STREAM, [[(owner, j, size) for j in q.devices if j != owner] for size in sizes])
    found = _rotation(list(owned.values()), q.stream)
    return _rounds(TransferKind.STREAM, [[(q.devices[of], q.devices[rank], channel * size) for rank, of, size in part] for part in found])


def scatter_rounds(unit: Unit, placement: Placement, bytes_per_element: int) -> tuple[Round, ...]:
    """The rounds of a streamed reduce-scatter: each participant passes partial sums to those that complete their channels."""
    assert placement.stream is not None  # only streams have such rounds
    channel, devices = bytes_per_element * unit.pre_pool_shape.height * unit.pre_pool_shape.width, placement.devices
    found = _rotation(even_shares(unit.sizes["OC"], len(devices)), placement.stream)
    moves = [[(devices[rank], devices[of], channel * size) for rank, of, size in part] for part in found]
    return _rounds(TransferKind.STREAMED_REDUCE_SCATTER, moves)


def _rounds(kind: TransferKind, moves: Sequence[Sequence[Transfer[float]]]) -> tuple[Round, ...]:
    """A round for each message; most are alike, and then they are one object, whose loads are summed once."""
    known: dict[tuple[Transfer[float], ...], Round] = {}
    return tuple([known.setdefault(tuple(part), Round((kind,), tuple(part))) for part in moves])


def _rotation(slices: Sequence[int], stream: int) -> Iterator[list[tuple[int, int, int]]]:
    """Round after round, (participant, whose slice, channels) by rank: each participant deals with the slice of the next one, message after
    message, then with that of the one after it."""
    count, of_slice = len(slices), [messages(channels, stream) for channels in slices]
    for step in range(1, count):
        for number in range(max(map(len, of_slice))):
            pairs = [(rank, (rank + step) % count) for rank in range(count)]
            yield [(rank, of, of_slice[of][number]) for rank, of in pairs if number < len(of_slice[of])]


def input_activations(unit: Unit, placement: Placement, owned: Mapping[int, int] | None, bytes_per_element: int) -> Iterator[tuple[int, float]]:
    """a_ij where the input is streamed: the largest message, and the output before the pool.

    Args:
        owned: the channels of the input that each device owns; None if every device has all of it.
    """
    assert placement.stream is not None
    shape, pre = unit.reads[0].tensor, unit.pre_pool_shape.elements
    for device, n in zip(placement.devices, placement.shares, strict=True):
        others = [] if owned is None else [channels for owner, channels in owned.items() if owner != device]
        buffer = min(placement.stream, max(others, default=0)) * shape.height * shape.width
        yield device, bytes_per_element * (buffer + pre * n / unit.sizes["OC"])


def sum_activations(unit: Unit, placement: Placement, bytes_per_element: int) -> Iterator[tuple[int, float]]:
    """a_ij where partial sums are streamed: the input, those of one message, and the sums of its own slice."""
    assert placement.stream is not None
    pre = unit.pre_pool_shape
    slices = even_shares(unit.sizes["OC"], len(placement.devices))
    for device, n, own in zip(placement.devices, placement.shares, slices, strict=True):
        sums = (min(placement.stream, max(slices)) + own) * pre.height * pre.width
        yield device, bytes_per_element * (unit.reads[0].part.elements * n / unit.sizes["IC"] + sums)


def open_sums(unit: Unit, placement: Placement, bytes_per_element: int) -> Iterator[tuple[int, float]]:
    """The sums of its own slice that each participant holds until all others have added theirs."""
    pre, slices = unit.pre_pool_shape, even_shares(unit.sizes["OC"], len(placement.devices))
    for device, own in zip(placement.devices, slices, strict=True):
        yield device, bytes_per_element * own * pre.height * pre.width
