"""A lower bound on the makespan of several devices that share servers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from iopopt.offload.bounds import DOWNLINK, SERVERS, SplitBound

_TOLERANCE = 1e-6
"""That of the linear program, relatively, by which its value may be above the true one."""


def joint_bound_s(splits: Sequence[Sequence[SplitBound]]) -> float:
    """A lower bound on the makespan of several devices that share servers, each with one of its splits of even rows; 0 if rows may be uneven.

    The linear relaxation divides each device among its splits, and their paths among options. The device, the uplink and the downlink of each, and
    the workers of each server, which all devices share, are done in time. The stages after the fused ones follow on a worker, which counts where
    there is one server.
    """
    from scipy.optimize import linprog

    if any(len(split.starts) > split.split.paths + 1 for of_client in splits for split in of_client):
        return 0.0
    own, servers = SERVERS * len(splits), splits[0][0].block.machines - SERVERS
    loads, sums, columns = list[tuple[int, int, float]](), list[tuple[int, int, float]](), 1  # column 0 is the makespan
    counts = len(splits)  # the rows of sums: first that each device has one split
    for client, of_client in enumerate(splits):
        for split in of_client:
            block, chosen, columns = split.block, columns, columns + 1
            after = block.tail_s + block.tail_return_s
            loads += [(client * SERVERS + machine, chosen, block.tail_return_s if machine == DOWNLINK else after) for machine in range(SERVERS)]
            loads += [(own, chosen, block.tail_s / block.workers)] if servers == 1 else []
            sums.append((client, chosen, 1.0))
            kinds = [split.kinds[number, number + 1] for number in range(split.split.paths)]
            for kind in set(kinds):
                sums.append((counts, chosen, -float(kinds.count(kind))))
                for amounts in kind.amounts:
                    sums.append((counts, columns, 1.0))
                    machines = [*(client * SERVERS + machine for machine in range(SERVERS)), *range(own, own + servers)]
                    loads += [(machine, columns, float(amount)) for machine, amount in zip(machines, amounts, strict=True) if amount]
                    columns += 1
                counts += 1
    loads += [(machine, 0, -1.0) for machine in range(own + servers)]
    result = linprog(
        c=np.eye(1, columns)[0],
        A_ub=_sparse(loads, own + servers, columns),
        b_ub=np.zeros(own + servers),
        A_eq=_sparse(sums, counts, columns),
        b_eq=np.concatenate([np.ones(len(splits)), np.zeros(counts - len(splits))]),
        method="highs",
    )
    return float(result.fun) * (1 - _TOLERANCE) if result.status == 0 else 0.0


def _sparse(entries: Sequence[tuple[int, int, float]], rows: int, columns: int) -> object:
    from scipy.sparse import coo_array

    row, column, value = zip(*entries, strict=True)
    return coo_array((value, (row, column)), shape=(rows, columns)).tocsr()
