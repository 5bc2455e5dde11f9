"""Flows that share links max-min fairly: rates by progressive filling, recomputed only where flows begin and end."""

from __future__ import annotations

from collections.abc import Iterator

from iopopt.simulation.tasks import Network


class Flows:
    """The flows under way. A flow is known by the number of its transfer; a link by 2 j (up) and 2 j + 1 (down), or 0 if one medium is shared."""

    def __init__(self, network: Network) -> None:
        self._shared = network.shared_bytes_per_s is not None
        if network.shared_bytes_per_s is not None:
            self._capacity = [network.shared_bytes_per_s]
        else:
            self._capacity = [capacity for pair in zip(network.up, network.down, strict=True) for capacity in pair]
        self._on: list[dict[int, int]] = [{} for _ in self._capacity]  # the flows on each link, and the other link of each
        self._links: dict[int, tuple[int, int]] = {}
        self._left: dict[int, float] = {}
        self._rate: dict[int, float] = {}
        self._since: dict[int, float] = {}
        self.changed: set[int] = set()
        """The links on which flows have begun or ended since the last :meth:`reshare`."""

    def begin(self, flow: int, sender: int, receiver: int, size_bytes: float, now: float) -> None:
        """A flow joins; :meth:`reshare` gives it its rate."""
        up, down = (0, 0) if self._shared else (2 * sender, 2 * receiver + 1)
        self._links[flow] = up, down
        self._on[up][flow] = down
        self._on[down][flow] = up
        self._left[flow], self._rate[flow], self._since[flow] = size_bytes, 0.0, now
        self.changed.add(up)
        self.changed.add(down)

    def end(self, flow: int) -> None:
        """A flow has ended; :meth:`reshare` gives others what it had."""
        up, down = self._links.pop(flow)
        del self._on[up][flow], self._left[flow], self._rate[flow], self._since[flow]
        if down != up:
            del self._on[down][flow]
        self.changed.add(up)
        self.changed.add(down)

    def reshare(self, now: float) -> Iterator[tuple[float, int]]:
        """When each flow whose rate has changed will end."""
        left, rate, since = self._left, self._rate, self._since
        for flow, share in self._fair_shares().items():
            before = rate[flow]
            if share != before:
                remaining = left[flow] = max(0.0, left[flow] - before * (now - since[flow]))
                rate[flow], since[flow] = share, now
                yield now + remaining / share, flow
        self.changed.clear()

    def _fair_shares(self) -> dict[int, float]:
        """The max-min fair rates of all flows that share a link, directly or by others, with one that has begun or ended."""
        on, capacity = self._on, self._capacity
        count = self._reached()
        free = {link: capacity[link] for link in count}
        shares: dict[int, float] = {}
        while count:
            tightest, share = -1, 0.0
            for link, flows in count.items():
                of_link = free[link] / flows
                if tightest < 0 or of_link < share:
                    tightest, share = link, of_link
            del count[tightest]
            for flow, other in on[tightest].items():
                if flow in shares:
                    continue
                shares[flow] = share
                if other in count:
                    if count[other] == 1:
                        del count[other]
                    else:
                        count[other] -= 1
                        free[other] -= share
        return shares

    def _reached(self) -> dict[int, int]:
        """The links in use that such flows are on, and the number of flows on each."""
        on = self._on
        count: dict[int, int] = {}
        waiting = {link for link in self.changed if on[link]}
        while waiting:
            link = waiting.pop()
            count[link] = len(on[link])
            waiting.update(on[link].values())
            waiting -= count.keys()
        return count
