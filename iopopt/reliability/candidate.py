"""The models that a host can choose from, and the rule by which it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from iopopt.errors import ServiceError
from iopopt.methods.solution import Solution
from iopopt.network.graph import Graph
from iopopt.network.records import foreign, short_repr
from iopopt.reliability.checking import not_negative, positive


@dataclass(frozen=True)
class Candidate:
    """A model as the host sees it.

    Attributes:
        name: of the model, for tables.
        accuracy: at least 0, in one unit for all candidates (percent, or a share); a request without an answer counts as 0.
        latency_s: from when the host has the input until it has the output, seconds.
        input_bytes: the size of its input as it is sent.

    Raises:
        ServiceError: if a figure is out of range or the name is empty.
    """

    name: str
    accuracy: float
    latency_s: float
    input_bytes: float

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ServiceError(f"candidate: name is {short_repr(self.name)}; it must be a non-empty string")
        where = f"candidate {short_repr(self.name)}"
        object.__setattr__(self, "accuracy", not_negative(self.accuracy, f"{where}: accuracy"))
        object.__setattr__(self, "latency_s", not_negative(self.latency_s, f"{where}: latency_s"))
        object.__setattr__(self, "input_bytes", positive(self.input_bytes, f"{where}: input_bytes"))

    @classmethod
    def of(cls, graph: Graph, solution: Solution, accuracy: float, *, bytes_per_element: float = 1, name: str | None = None) -> Candidate:
        """A network at the latency of a plan for it, by the clock of the solution.

        Args:
            bytes_per_element: of the input as it is sent; 1 for images of 8 bits a channel.
            name: that of the network with the height of its input by default, ``alexnet-224``.

        Raises:
            ServiceError: if the solution has no plan that fits the memory, or the accuracy is out of range.
        """
        name = name or f"{graph.name}-{graph.input_shape.height}"
        if solution.status not in ("optimal", "feasible"):
            why = f": {solution.reason}" if solution.reason else ""
            raise ServiceError(f"candidate {short_repr(name)}: {solution.method} found no plan that fits the memory ({solution.status}){why}")
        return cls(
            name, accuracy, solution.latency_s, graph.input_shape.elements * positive(bytes_per_element, f"candidate {name}: bytes_per_element")
        )


def checked_candidates(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The candidates as they are.

    Raises:
        ServiceError: if there is none, one is not a Candidate, or a name repeats.
    """
    if not isinstance(candidates, Iterable):
        raise ServiceError(f"candidates: found {foreign(candidates)}; a sequence of Candidates is expected")
    found = tuple(candidates)
    if not found:
        raise ServiceError("candidates: there is none; at least one Candidate is needed")
    wrong = [item for item in found if not isinstance(item, Candidate)]
    if wrong:
        raise ServiceError(f"candidates: found {foreign(wrong[0])}; Candidates are expected")
    repeated = sorted(name for name, count in Counter(item.name for item in found).items() if count > 1)
    if repeated:
        raise ServiceError(f"candidates: names repeat: {', '.join(repeated)}")
    return found


def by_preference(candidates: Sequence[Candidate]) -> list[int]:
    """Their indices, the most accurate first; of equal ones the fastest, and then the first."""
    return sorted(range(len(candidates)), key=lambda index: (-candidates[index].accuracy, candidates[index].latency_s))


def select_model(candidates: Iterable[Candidate], deadline_s: float, transfer_s: float) -> Candidate | None:
    """The most accurate candidate whose output is there by the deadline if the input comes after ``transfer_s``; None if none is in time.

    Both times count from the request, seconds. Of equally accurate candidates it is the fastest.

    Raises:
        ServiceError: if a candidate or a time is not well formed.
    """
    found = checked_candidates(candidates)
    positive(deadline_s, "deadline_s")
    not_negative(transfer_s, "transfer_s")
    return next((found[index] for index in by_preference(found) if transfer_s + found[index].latency_s <= deadline_s), None)
