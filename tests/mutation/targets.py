"""Which modules are mutated, how many mutants of each are tried, and the quick tests that must notice them."""

from __future__ import annotations

from typing import NamedTuple


class Target(NamedTuple):
    """``size`` mutants of ``module`` are tried against ``tests`` (files, or single tests of one), in their order."""

    module: str
    size: int
    tests: tuple[str, ...]


class Mistake(NamedTuple):
    """A mutant that is tried in any case: ``before`` becomes ``after`` in a line of a function."""

    module: str
    function: str
    line: str
    change: str


ORDERS = "tests/milp/test_orders.py"
PROGRAM = "tests/milp/test_formulation.py"
CUTOFF = f"{PROGRAM}::test_the_cutoff_excludes_slower_plans"
TRANSLATION = f"{PROGRAM}::test_plans_survive_the_way_through_a_point", f"{ORDERS}::test_slices_that_are_held_follow_the_order"
EDGES = "tests/milp/test_edge_costs.py"
EDGE_VARIABLES = "tests/milp/test_edge_variables.py"
JOINT = "tests/milp/test_joint_costs.py"
ENERGY_ROWS = "tests/milp/test_energy_rows.py"
IDEAS = "tests/milp/test_ideas.py"
GONE = f"{IDEAS}::test_the_rows_of_an_idea_are_gone_without_it"
ONE_TIME = f"{IDEAS}::test_without_gather_cuts_a_node_has_one_compute_time"
MEMORY = "tests/milp/test_memory_rows.py"
OPERATORS = "tests/network/operators/test_operator.py"
PRICES = "tests/cost/test_evaluation.py"
BRANCHES = "tests/cost/test_branches.py"
BATCHES = "tests/cost/test_pricer.py"
EVENTS = "tests/simulation/test_events.py"
SIMULATED = "tests/simulation/test_simulate.py"
TIMELINES = "tests/simulation/test_timeline.py"
NAIVE = "tests/simulation/test_against_naive.py"
STREAMS = "tests/cost/test_streams.py"
SIMULATED_STREAMS = "tests/simulation/test_streams.py"

TARGETS = (
    Target("iopopt/milp/affine.py", 10, ("tests/milp/test_affine.py", "tests/milp/test_program.py")),
    Target("iopopt/milp/arc_bounds.py", 30, ("tests/milp/test_arc_bounds.py",)),
    Target("iopopt/milp/share_ranges.py", 6, ("tests/milp/test_share_ranges.py",)),
    Target("iopopt/milp/arcs.py", 9, ("tests/milp/test_arcs.py",)),
    Target("iopopt/milp/bounds.py", 3, ("tests/milp/test_bounds.py",)),
    Target("iopopt/milp/compute_times.py", 24, ("tests/milp/test_compute_times.py", GONE, ONE_TIME, EDGES, "tests/milp/test_rooflines.py")),
    Target("iopopt/milp/deadline.py", 4, ("tests/milp/test_deadline.py", f"{ENERGY_ROWS}::test_the_deadline_excludes_slower_plans")),
    Target("iopopt/milp/edge_costs.py", 20, (GONE, EDGES, JOINT)),
    Target("iopopt/milp/edge_variables.py", 8, (EDGE_VARIABLES, *TRANSLATION, EDGES, MEMORY)),
    Target("iopopt/milp/energy_rows.py", 8, (ENERGY_ROWS,)),
    Target("iopopt/milp/formulation.py", 9, (EDGE_VARIABLES, *TRANSLATION, CUTOFF, JOINT, MEMORY)),
    Target("iopopt/milp/ideas.py", 3, (f"{IDEAS}::test_an_unknown_idea_is_refused", f"{IDEAS}::test_ideas_are_named_once")),
    Target("iopopt/milp/joint_costs.py", 10, (JOINT, GONE)),
    Target("iopopt/milp/memory_goal.py", 4, ("tests/milp/test_memory_goal.py",)),
    Target("iopopt/milp/memory_program.py", 5, ("tests/milp/test_memory_program.py",)),
    Target("iopopt/milp/memory_rows.py", 16, (MEMORY, "tests/milp/test_memory_program.py")),
    Target("iopopt/milp/operator_variables.py", 6, ("tests/milp/test_operator_variables.py", EDGE_VARIABLES)),
    Target("iopopt/milp/program.py", 8, ("tests/milp/test_program.py",)),
    Target("iopopt/milp/place_tables.py", 14, ("tests/milp/test_pruning.py", "tests/milp/test_blocks.py")),
    Target("iopopt/milp/barriers.py", 8, ("tests/milp/test_barriers.py", "tests/milp/test_events_bound.py")),
    Target("iopopt/milp/events_bound.py", 4, ("tests/milp/test_events_bound.py",)),
    Target("iopopt/milp/needed_rows.py", 5, ("tests/milp/test_needed_rows.py", "tests/milp/test_events_bound.py")),
    Target("iopopt/milp/overlap_program.py", 6, ("tests/milp/test_overlap_program.py",)),
    Target("iopopt/milp/pruning.py", 8, ("tests/milp/test_pruning.py", "tests/milp/test_blocks.py")),
    Target("iopopt/cluster/cluster.py", 5, ("tests/cluster/test_cluster.py", BRANCHES)),
    Target("iopopt/cost/block_table.py", 6, ("tests/cost/test_blocks.py",)),
    Target("iopopt/cost/edge_arrays.py", 13, ("tests/cost/test_edge_arrays.py", BATCHES, "tests/cost/test_blocks.py")),
    Target("iopopt/cost/elimination.py", 12, ("tests/cost/test_elimination.py",)),
    Target("iopopt/cost/energy.py", 6, ("tests/cost/test_energy.py",)),
    Target("iopopt/cost/evaluation.py", 8, (PRICES, BRANCHES, "tests/cost/test_evaluation_records.py")),
    Target("iopopt/cost/infeasibility.py", 6, ("tests/cost/test_infeasibility.py",)),
    Target("iopopt/cost/instance.py", 5, ("tests/cost/test_instance.py", BRANCHES)),
    Target("iopopt/cost/memory.py", 11, ("tests/cost/test_memory.py", PRICES, BRANCHES, STREAMS)),
    Target("iopopt/cost/pricer.py", 8, (BATCHES, "tests/cost/test_blocks.py")),
    Target("iopopt/cost/rows.py", 8, ("tests/cost/test_rows.py",)),
    Target("iopopt/cost/schedule.py", 4, ("tests/cost/test_schedule.py", BRANCHES)),
    Target("iopopt/cost/streams.py", 10, (BRANCHES, STREAMS)),
    Target("iopopt/cost/transfers.py", 15, ("tests/cost/test_transfers.py", BRANCHES)),
    Target("iopopt/cost/unit_arrays.py", 9, ("tests/cost/test_unit_arrays.py", BATCHES)),
    Target("iopopt/cost/work.py", 1, ("tests/cost/test_work.py",)),
    Target("iopopt/schedule/boundary.py", 6, ("tests/schedule/test_boundary.py", NAIVE)),
    Target("iopopt/simulation/events.py", 8, (EVENTS, "tests/simulation/test_run_within.py", SIMULATED, NAIVE)),
    Target("iopopt/simulation/flows.py", 10, (EVENTS, NAIVE)),
    Target("iopopt/simulation/memory_use.py", 14, ("tests/simulation/test_memory_use.py", TIMELINES, NAIVE, SIMULATED_STREAMS)),
    Target("iopopt/simulation/plan_tasks.py", 12, (SIMULATED, TIMELINES, NAIVE, SIMULATED_STREAMS)),
    Target("iopopt/simulation/real_schedule.py", 6, (SIMULATED, TIMELINES, NAIVE, SIMULATED_STREAMS)),
    Target("iopopt/simulation/simulate.py", 6, (SIMULATED, TIMELINES)),
    Target("iopopt/simulation/timeline.py", 8, (TIMELINES, SIMULATED)),
    Target("iopopt/network/block.py", 12, ("tests/network/test_block.py", "tests/cost/test_blocks.py")),
    Target("iopopt/network/unit_graph.py", 5, ("tests/network/test_block.py", "tests/cost/test_blocks.py", BRANCHES)),
    Target("iopopt/network/tensor_edge.py", 5, ("tests/network/test_tensor_edge.py",)),
    Target("iopopt/network/terms.py", 8, ("tests/network/test_terms.py",)),
    Target("iopopt/network/unit.py", 4, ("tests/network/test_unit.py",)),
    Target("iopopt/plan/shares.py", 10, ("tests/plan/test_shares.py", "tests/milp/test_bounds.py")),
    Target("iopopt/executor/roofline_fit.py", 8, ("tests/executor/test_roofline_fit.py",)),
    Target("iopopt/network/operators/operator.py", 10, ("tests/network/test_unit.py", OPERATORS, PRICES)),
)

_COVERS = "return field.overlap >= field.above and beyond <= field.overlap"
_BOUNDS = "iopopt/milp/arc_bounds.py"
_SPARE = "return np.asarray(self._owned_rows(self.p.low)[:, None] - self._needed_rows(self.q.high) + shared)"
_MISSING_PART = "missing = 1 - self._owned_parts(self.p.high)[:, self.team.index(receiver)] if receiver in self.team else np.ones(len(self.p))"
_DIVIDED = "bounds[inside] = np.maximum(bounds[inside], np.minimum(tighter, most_s))"
_SENDERS = "senders = batch.participants & ~batch.gatherers & batch.gatherers.any(axis=0)"
_LARGEST = "max(largest, unit.out_shape.elements) if device == placement.gather else largest"
_BYSTANDER = "placement.gather is not None and placement.gather not in placement.devices"
_ROOFLINE = "return seconds if self.memory_bytes_per_s is None else max(seconds, touched_bytes / self.memory_bytes_per_s)"
_TOUCHING = "seconds = np.maximum(seconds, units.touched_bytes(batch, rows) / self._m)"
_HELD = "held if batch.gathers is None else np.where(batch.gatherers.any(axis=0), batch.gatherers * self.post, held)"
_GATHERED = "_round_of(TransferKind.GATHER, edge, owned, gathered, e)"

CERTAIN = (
    Mistake(_BOUNDS, "_Bounds._spare_rows", _SPARE, "self.p.low -> self.p.high"),
    Mistake(_BOUNDS, "_Bounds._gather_to_one_s", _MISSING_PART, "self.p.high -> self.p.low"),
    Mistake("iopopt/milp/pruning.py", "_Search.divide", _DIVIDED, "np.minimum -> np.maximum"),
    Mistake("iopopt/milp/compute_times.py", "_covers", _COVERS, f"{_COVERS} -> return True"),
    Mistake("iopopt/cluster/cluster.py", "Device.compute_s", _ROOFLINE, "max -> min"),
    Mistake("iopopt/cost/pricer.py", "Pricer._device_s", _TOUCHING, "np.maximum -> np.minimum"),
    Mistake(
        "iopopt/milp/compute_times.py",
        "ComputeTimes._longest",
        "return max((work.at(rank, share) / speed for rank, speed in speeds), default=0.0)",
        "max -> min",
    ),
    Mistake(
        "iopopt/cost/infeasibility.py",
        "nearest_miss",
        "factor = math.ceil(memory[worst] / device.memory_bytes * 1e4) / 1e4  # rounded up, so that it is enough",
        "math.ceil -> math.floor",
    ),
    Mistake("iopopt/cost/edge_arrays.py", "gather_volumes", _SENDERS, "batch.participants & ~batch.gatherers -> (batch.participants)"),
    Mistake("iopopt/cost/memory.py", "share_memory", f"largest = {_LARGEST}", f"{_LARGEST} -> (largest)"),
    Mistake("iopopt/cost/memory.py", "share_memory", f"if {_BYSTANDER}:", f"{_BYSTANDER} -> False"),
    Mistake("iopopt/cost/memory.py", "share_output", "if placement.gather is not None:", "placement.gather is not None -> False"),
    Mistake("iopopt/cost/unit_arrays.py", "UnitArrays.live", f"return {_HELD}", f"{_HELD} -> (held)"),
    Mistake(
        "iopopt/cost/transfers.py",
        "edge_rounds",
        f"completing = {_GATHERED} if edge.first else None",
        f"{_GATHERED} if edge.first else None -> ({_GATHERED})",
    ),
    Mistake("iopopt/cost/memory.py", "_streamed_tensors", "if last == number:", "last == number -> True"),
    Mistake("iopopt/cost/memory.py", "_streamed_tensors", "if last == number:", "last == number -> False"),
)
"""Mistakes that a proof of optimality would not survive unnoticed: rows that may be sent taken for rows that are, parts that may be missing for
those that are, bounds said to hold beyond the latency up to which they do, surrogate times where fields do not cover their shares, and a memory
that is not enough. And those that a gather invites: its device sends its own rows to itself, or has no room for the tensor while
the operator runs or later, or gathers it again for every consumer. And rooflines of the smaller of two times, and a streamed input that counts twice
or not at all."""
