"""The exact method: equations (1) to (8) as a mixed-integer linear program, with a proven bound and gap."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from iopopt.cluster.cluster import Cluster, Device
from iopopt.methods.objective import Objective
from iopopt.methods.solution import Solution
from iopopt.network.graph import Graph
from iopopt.plan.plan import Plan
from iopopt.plan.splits import STRATEGIES, ShareRule, StrategyName
from iopopt.plan.team import Team


def solve_milp(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team = "all",
    time_limit_s: float = 60.0,
    gap: float = 1e-4,
    warm_start: Plan | None = None,
    backend: str = "highs",
    seed: int = 0,
    threads: int = 1,
    without: Collection[str] = (),
    longest_block: int = 1,
    strategies: Collection[StrategyName] = STRATEGIES,
    shares: ShareRule = "free",
    objective: Objective = "latency",
    deadline_s: float | None = None,
) -> Solution:
    """The best plan of the space of ``team``, with a proven bound.

    Args:
        graph: the network, branches included.
        devices: a cluster, or devices with the cluster defaults.
        team: ``"all"`` devices, one set of them, or ``"best"``, which also chooses the set, with proof.
        time_limit_s: seconds of wall clock for everything, from the first table to the reason why nothing fits; a back end that overstays is
            ended from outside.
        gap: the relative gap (value - bound) / value at which to stop.
        warm_start: a plan of the space; the result is never worse. The better of greedy and dynamic program is tried anyway.
        backend: a name of :data:`iopopt.BACKENDS`, or ``package.module:Class`` for a back end of your own.
        seed: the back end's random seed. A search that closes the gap (``termination="gap"``) gives the same plan for the same seed with one
            thread, the same back end and the same versions on the same machine. One that the time limit ends does not, nor need one with
            several threads, and other versions or machines may find another plan of equal latency within the gap. What is proven holds anyway.
        threads: how many threads the back end may use.
        without: ideas of the program to leave out, by the names of :data:`iopopt.milp.ideas.IDEAS`; this changes the time, never the optimum.
        longest_block: the most operators of a fused block, in which nothing is exchanged because rows are recomputed where they overlap; 1 is the
            paper's space. All blocks up to this length are candidates.
        strategies: the only ways in which operators may be split, to see what each is worth: ``"H"`` (rows, fused blocks included), ``"OC"``,
            ``"IC"`` and ``"IC two-phase"`` (input channels with a direct or a two-phase reduce). Whole operators are always allowed.
        shares: ``"free"``, or ``"by_speed"``: every split has the shares in proportion to the speeds of the team, as CoEdge's.
        objective: ``"latency"``; ``"energy"`` for the plan that draws the fewest joules, which ``bound_j`` is a bound on; ``"memory"`` for the
            least largest demand of a device as a share of its limit (``bound_share``), or ``"memory_bytes"`` in bytes (``bound_bytes``).
        deadline_s: with another objective than the latency, the longest latency by equation (6) that a plan may have; any by default. If no plan
            meets it, the Solution is ``infeasible``, and its reason says what is the least possible time.

    Returns:
        A Solution whose ``latency_s`` is the evaluator's. ``infeasible`` is proven and carries a reason. Ctrl-C ends the search with
        the incumbent (``termination="interrupted"``); so does a fault that kills the back end (``"failed"``). Where a back end fails
        or contradicts the evaluator, the incumbent is kept, and the ``reason`` says so; its bound is then the one that needs no back end.

    Raises:
        PlanError: if ``warm_start`` is of another graph, outside the space, breaks a memory limit or misses the deadline.
        ClusterError: if ``team`` names a device that does not exist.
        UnknownNameError: if no back end, idea, strategy, rule of shares or objective has a given name.
        PluginError: if a back end of your own cannot be imported.
        SolverError: if a setting is out of range, the energy of devices without powers is asked for, or the back end cannot run, fails or
            contradicts the evaluator and no plan is known.
    """
    # The program and its back ends are loaded when the method is called, so that ``import iopopt`` stays fast.
    from iopopt.methods.exact import solve_exactly

    return solve_exactly(
        graph,
        devices,
        team=team,
        time_limit_s=time_limit_s,
        gap=gap,
        warm_start=warm_start,
        backend=backend,
        seed=seed,
        threads=threads,
        without=without,
        longest_block=longest_block,
        strategies=strategies,
        shares=shares,
        objective=objective,
        deadline_s=deadline_s,
    )
