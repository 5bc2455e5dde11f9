"""Exported programs, solved from their files by other processes, against ``solve_milp``. ``python -m benchmarks.exported --python PYTHON``

HiGHS and SCIP run in another interpreter, which has highspy and pyscipopt, because highspy and ortools cannot share an environment; the CBC is
the one in PuLP. The time limit is each solver's; a solve that it cuts short is compared by its incumbent and its bound.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pulp

import iopopt
from benchmarks.command_line import run
from iopopt.cluster.reference import default_reference
from iopopt.commands.export_model import main as export_model
from iopopt.milp.export import ExportedModel

_MODELS = ("lenet5", "alexnet", "vgg11", "vgg13", "vgg16", "vgg19", "resnet18")
_ACCURACY = 1e-6

_HIGHS = """
import sys, highspy
model, solution, seconds, gap = sys.argv[1:]
solver = highspy.Highs()
for option, value in (("output_flag", False), ("time_limit", float(seconds)), ("mip_rel_gap", float(gap)), ("mip_abs_gap", 0.0), ("threads", 1),
                      ("mip_feasibility_tolerance", 1e-9), ("primal_feasibility_tolerance", 1e-9)):
    solver.setOptionValue(option, value)
assert solver.readModel(model) == highspy.HighsStatus.kOk, "not read without warnings"
solver.run()
solver.writeSolution(solution, 0)
print(solver.getInfo().mip_dual_bound)
"""

_SCIP = """
import sys, pyscipopt
model, solution, seconds, gap = sys.argv[1:]
solver = pyscipopt.Model()
solver.hideOutput()
solver.readProblem(model)
for option, value in (("limits/time", float(seconds)), ("limits/gap", float(gap)), ("timing/clocktype", 2),
                      ("numerics/feastol", 1e-9), ("numerics/sumepsilon", 1e-9), ("numerics/epsilon", 1e-12)):
    solver.setParam(option, value)
solver.optimize()
solver.writeBestSol(solution)
print(solver.getDualbound())
"""


class Found(NamedTuple):
    """What a solver made of a file: its bound, seconds, and the latency of its plan."""

    bound_s: float
    latency_s: float
    objective_s: float
    took_s: float


def solve_file(solver: str, python: str, model: Path, exported: ExportedModel, seconds: float, gap: float) -> Found:
    """Run a solver on a file in another process, and read its solution."""
    solution, started = model.with_suffix(f"{model.suffix}.{solver}.sol"), time.perf_counter()
    if solver == "cbc":
        words = [pulp.PULP_CBC_CMD.pulp_cbc_path, str(model), "-sec", str(seconds), "-ratio", str(gap), "-solve", "-solu", str(solution)]
    else:
        words = [python, "-c", {"highs": _HIGHS, "scip": _SCIP}[solver], str(model), str(solution), str(seconds), str(gap)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{solver} failed on {model.name}: {done.stderr.strip() or done.stdout.strip()}")
    took_s, found = time.perf_counter() - started, exported.read_solution(solution)
    return Found(
        _bound(solver, done.stdout, gap, found.objective_s / exported.unit_s) * exported.unit_s, found.evaluation.latency_s, found.objective_s, took_s
    )


def _bound(solver: str, printed: str, gap: float, objective: float) -> float:
    """The bound that a solver prints; CBC prints none when it closes the gap."""
    if solver != "cbc":
        return float(printed.splitlines()[-1])
    lower = re.findall(r"^Lower bound:\s+([\d.eE+-]+)", printed, re.MULTILINE)
    return float(lower[-1]) if lower else objective * (1 - gap)


def main() -> None:
    """Export, solve and compare; print a row for each file and solver, and end with 1 if any contradicts ``solve_milp``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="interpreter with highspy and pyscipopt")
    parser.add_argument("--model", nargs="+", default=list(_MODELS))
    parser.add_argument("--cluster", help="cluster of every model (default: the reference instance for the model)")
    parser.add_argument("--solver", nargs="+", default=["highs", "scip"], choices=["highs", "scip", "cbc"])
    parser.add_argument("--format", nargs="+", default=["lp"], choices=["lp", "mps"])
    parser.add_argument("--pruned", action="store_true")
    parser.add_argument("--time-limit", type=float, default=120.0)
    parser.add_argument("--gap", type=float, default=1e-4)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for name in options.model:
            graph = iopopt.load_model(name)
            cluster = options.cluster or default_reference(graph)
            devices = iopopt.load_cluster(cluster, graph)
            milp = iopopt.solve_milp(graph, devices, gap=options.gap, time_limit_s=options.time_limit)
            assert milp.bound_s is not None
            exported = ExportedModel(graph, devices)
            for suffix in options.format:
                model = Path(directory) / f"{name}.{suffix}"
                assert export_model([name, "--cluster", cluster, f"--{suffix}", str(model), *(["--pruned"] if options.pruned else [])]) == 0
                for solver in options.solver:
                    found = solve_file(solver, options.python, model, exported, options.time_limit, options.gap)
                    rows.append(
                        {
                            "model": name,
                            "cluster": cluster,
                            "file": suffix,
                            "solver": solver,
                            "milp_s": milp.latency_s,
                            "milp_bound_s": milp.bound_s,
                            "latency_s": found.latency_s,
                            "bound_s": found.bound_s,
                            "objective/price-1": found.objective_s / found.latency_s - 1,
                            "gap": (found.latency_s - found.bound_s) / found.latency_s,
                            "took_s": round(found.took_s, 1),
                            "consistent": found.bound_s <= milp.latency_s * (1 + _ACCURACY) and milp.bound_s <= found.latency_s * (1 + _ACCURACY),
                        }
                    )
                    print(pd.DataFrame(rows[-1:]).to_string(index=False, header=len(rows) == 1), flush=True)
    sys.exit(0 if all(row["consistent"] for row in rows) else 1)


if __name__ == "__main__":
    run(main)
