"""Random offloading instances and plans, and the one of the worked cases."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

from iopopt.network.builder import GraphBuilder
from iopopt.network.graph import Graph
from iopopt.offload.instance import Client, Link, OffloadInstance, Server
from iopopt.offload.plan import ClientPlan, OffloadPlan, Path, jobs
from iopopt.offload.stages import Stages


def random_offload_instance(rng: random.Random, graphs: Sequence[Graph], *, clients: int = 1) -> OffloadInstance:
    """Devices and servers of unlike speeds, links and delays; who has the input and who needs the result is random too."""

    def link() -> Link:
        return Link(10 ** rng.uniform(3, 6), rng.choice([0.0, 10 ** rng.uniform(-5, -1)]))

    return OffloadInstance(
        tuple(
            Client(
                f"device{number}",
                rng.choice(graphs),
                10 ** rng.uniform(5, 8),
                link(),
                rng.choice([None, link()]),
                rng.choice(["device", "server"]),
                rng.choice(["server", "device"]),
            )
            for number in range(clients)
        ),
        tuple(Server(f"server{number}", 10 ** rng.uniform(5, 8), rng.randint(1, 3)) for number in range(rng.randint(1, 2))),
    )


def random_offload_plan(rng: random.Random, instance: OffloadInstance, *, most_paths: int = 6) -> OffloadPlan:
    """Any plan of an instance: some stages, uneven rows, any cuts, servers, order and dispatch."""
    clients = [_random_client(rng, Stages.of(client.graph), len(instance.servers), most_paths) for client in instance.clients]
    dispatch = [
        number
        for number, (client, planned) in enumerate(zip(instance.clients, clients, strict=True))
        for _ in range(jobs(Stages.of(client.graph), planned))
    ]
    rng.shuffle(dispatch)
    return OffloadPlan(tuple(clients), tuple(dispatch) if len(clients) > 1 else ())


def _random_client(rng: random.Random, stages: Stages, servers: int, most_paths: int) -> ClientPlan:
    fused = rng.choice([*stages.fusible, rng.randint(1, len(stages))])
    rows = stages.shape(fused).height
    count = rng.randint(1, min(rows, most_paths)) if fused in stages.fusible else 1
    starts = [0, *sorted(rng.sample(range(1, rows), count - 1)), rows]
    paths = [Path(start, stop, rng.randint(0, fused), rng.randrange(servers)) for start, stop in pairwise(starts)]
    rng.shuffle(paths)
    return ClientPlan(fused, tuple(paths), rng.randrange(servers))


def worked_graph(*, tail: bool = True) -> Graph:
    """The network of the worked cases."""
    builder = GraphBuilder("worked", (1, 4, 4))
    builder.conv(2, 3, padding=1, name="conv1").conv(1, 3, padding=1, name="conv2")
    if tail:
        builder.fc(9, name="fc")
    return builder.build()


def worked_instance(*, tail: bool = True, workers: int = 1, **ends: str) -> OffloadInstance:
    """One device and one server, with ``input_at`` and ``result_at`` as given."""
    client = Client("device", worked_graph(tail=tail), 144.0, Link(32.0, 1.0), **ends)  # type: ignore[arg-type]
    return OffloadInstance((client,), (Server("server", 288.0, workers),))
