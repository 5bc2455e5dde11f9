"""Which modules are mutated, how many mutants of each are tried, and the quick tests that must notice them."""

from __future__ import annotations

from typing import NamedTuple


class Target(NamedTuple):
    """``size`` mutants of ``module`` are tried against ``tests``, in their order."""

    module: str
    size: int
    tests: tuple[str, ...]


PROGRAM = "tests/milp/test_formulation.py"
EDGES = "tests/milp/test_edge_costs.py"
JOINT = "tests/milp/test_joint_costs.py"
PRICES = "tests/cost/test_evaluation.py"

TARGETS = (
    Target("iopopt/milp/arc_bounds.py", 30, ("tests/milp/test_arc_bounds.py",)),
    Target("iopopt/milp/arcs.py", 12, ("tests/milp/test_arcs.py", "tests/milp/test_arc_bounds.py")),
    Target("iopopt/milp/bounds.py", 4, ("tests/milp/test_bounds.py",)),
    Target("iopopt/milp/compute_times.py", 24, ("tests/milp/test_compute_times.py", EDGES)),
    Target("iopopt/milp/edge.py", 8, ("tests/milp/test_edge.py", EDGES, "tests/milp/test_memory_rows.py")),
    Target("iopopt/milp/edge_costs.py", 24, (EDGES, JOINT)),
    Target("iopopt/milp/formulation.py", 12, ("tests/milp/test_edge.py", JOINT, "tests/milp/test_memory_rows.py", PROGRAM)),
    Target("iopopt/milp/joint_costs.py", 12, (JOINT,)),
    Target("iopopt/milp/memory_program.py", 6, ("tests/milp/test_memory_program.py",)),
    Target("iopopt/milp/memory_rows.py", 18, ("tests/milp/test_memory_rows.py", "tests/milp/test_memory_program.py")),
    Target("iopopt/milp/program.py", 10, ("tests/milp/test_program.py",)),
    Target("iopopt/milp/pruning.py", 16, ("tests/milp/test_pruning.py",)),
    Target("iopopt/milp/stage.py", 8, ("tests/milp/test_stage.py", "tests/milp/test_edge.py")),
    Target("iopopt/cost/workload.py", 8, ("tests/cost/test_workload.py", PRICES)),
    Target("iopopt/cost/communication.py", 12, ("tests/cost/test_communication.py", PRICES)),
    Target("iopopt/cost/evaluation.py", 8, (PRICES, "tests/cost/test_branches.py")),
    Target("iopopt/cost/batch_workload.py", 8, ("tests/cost/test_pricer.py",)),
    Target("iopopt/cost/batch_communication.py", 12, ("tests/cost/test_pricer.py",)),
    Target("iopopt/cost/pricer.py", 8, ("tests/cost/test_pricer.py",)),
    Target("iopopt/cost/infeasibility.py", 8, ("tests/cost/test_infeasibility.py",)),
    Target("iopopt/cost/elimination.py", 16, ("tests/cost/test_elimination.py",)),
)
