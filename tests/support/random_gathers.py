"""Random gathers for plans that have none.

Every function draws from a ``random.Random`` alone, so a seed names an instance.
"""

from __future__ import annotations

import random
from dataclasses import replace

from iopopt import Plan


def with_gathers(rng: random.Random, plan: Plan, device_count: int) -> Plan:
    """Half of the time the plan itself, else one in which about half of the operators and fused blocks that are split by rows are gathered.

    Any device gathers, whether it takes part or not.
    """
    if rng.random() < 0.5:
        return plan
    last = {name: block[-1] for block in plan.blocks for name in block}
    hosts = {name: rng.choice([None, rng.randrange(device_count)]) for name, placement in plan.items() if placement.dim == "H"}
    placements = ((name, replace(placement, gather=hosts.get(last.get(name, name)))) for name, placement in plan.items())
    return Plan(tuple(placements), plan.blocks)
