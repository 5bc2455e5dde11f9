"""Exported programs: the files hold the program to the last digit, other solvers find the same optimum, and their solutions become plans."""

import contextlib
import math
import re
import subprocess
from dataclasses import replace

import numpy as np
import pulp
import pytest
from support.programs import least_point

from iopopt import Cluster, ClusterError, Device, FileFormatError, GraphBuilder, evaluate, load_cluster, load_model, solve_dp, solve_milp
from iopopt.commands.export_model import main as export_model
from iopopt.commands.import_solution import main as import_solution
from iopopt.cost.instance import Instance
from iopopt.milp.export import ExportedModel
from iopopt.milp.formulation import Formulation
from iopopt.milp.labels import Labels
from iopopt.network.records import read_json
from iopopt.plan.plan import Plan


@pytest.fixture(scope="module")
def lenet():
    graph = load_model("lenet5")
    return graph, load_cluster("mcu-x3", graph)


@pytest.fixture(scope="module")
def branched():
    """A sum of two paths on devices of which one has little memory, with names that no file takes."""
    net = GraphBuilder("branched", (2, 4, 3)).conv(2, 3, padding=1, name="a + b").conv(2, 3, padding=1, name="/b/Conv")
    graph = net.add("a + b", "/b/Conv", name="3").fc(4, name="e1").build()
    return graph, Cluster((Device("my pi", 1e5, 1e3, 1e5), Device("my/pi", 3e5, 8e2, 2e5)), connection_setup_s=1e-4, source=1)


def program_of(graph, cluster, unit_s):
    """The program, and the names in files, as the formulation gives them."""
    instance = Instance(graph, cluster)
    program, name = Formulation(instance, range(len(cluster)), unit_s).program, Labels(instance).name
    return program, [name(of) for of in program.names], [name(of) for of in program.row_names]


def rows_of(program, names, row_names):
    """For each row its entries by variable, and its two sides."""
    rows = {name: ({}, lower, upper) for name, lower, upper in zip(row_names, program.row_lower.tolist(), program.row_upper.tolist(), strict=True)}
    for row, column, value in zip(program.rows, program.columns, program.values.tolist(), strict=True):
        rows[row_names[row]][0][names[column]] = value
    return rows


SIDES = {"=": lambda side: (side, side), ">=": lambda side: (side, math.inf), "<=": lambda side: (-math.inf, side)}
SENSES = {"E": "=", "G": ">=", "L": "<="}


def parsed_lp(text):
    """Objective, rows, upper bounds and integers of an LP file."""
    text = "\n".join(line for line in text.splitlines() if not line.startswith("\\"))
    found = re.fullmatch(r"Minimize\n(.*)\nSubject To\n(.*)\nBounds\n(.*)\nGenerals\n(.*)\nEnd", text, re.S)
    objective, rows, bounds, integers = (part.replace("\n  ", "") for part in found.groups())

    def entries(line):
        pairs = re.findall(r"([+-]) (?:(\d\S*) )?([a-zA-Z]\S*)", line)
        return {name: float(f"{sign}{value or 1}") for sign, value, name in pairs}

    parsed = {}
    for line in rows.splitlines():
        name, _, rest = line.strip().partition(": ")
        left, sense, side = re.fullmatch(r"(.*) (<=|>=|=) (\S+)", rest).groups()
        parsed[name] = (entries(left), *SIDES[sense](float(side)))
    uppers = {words[0]: float(words[2]) for words in map(str.split, bounds.splitlines())}
    return entries(objective.partition(": ")[2]), parsed, uppers, set(integers.split())


def parsed_mps(text):
    """The same of an MPS file."""
    section, rows, sides, uppers, integers, integer = "", {}, {}, {}, set(), False
    for line in (line for line in text.splitlines() if not line.startswith("*")):
        words = line.split()
        if not line.startswith(" "):
            section = words[0]
        elif section == "ROWS":
            rows[words[1]], sides[words[1]] = {}, (SENSES.get(words[0]), 0.0)
        elif section == "COLUMNS" and words[1] == "'MARKER'":
            integer = words[2] == "'INTORG'"
        elif section == "COLUMNS":
            rows[words[1]][words[0]] = float(words[2])
            integers |= {words[0]} if integer else set()
        elif section == "RHS":
            sides[words[1]] = (sides[words[1]][0], float(words[2]))
        elif section == "BOUNDS":
            assert words[:2] == ["UP", "BND"]
            uppers[words[2]] = float(words[3])
    objective = rows.pop("latency")
    return objective, {name: (row, *SIDES[sides[name][0]](sides[name][1])) for name, row in rows.items()}, uppers, integers


@pytest.mark.parametrize("case", ["lenet", "branched"])
@pytest.mark.parametrize(("written", "parsed"), [("lp", parsed_lp), ("mps", parsed_mps)])
def test_files_hold_the_program_to_the_last_digit(case, written, parsed, request):
    """Every coefficient, side, bound and integer of the program is the same double in the file."""
    graph, cluster = request.getfixturevalue(case)
    exported = ExportedModel(graph, cluster)
    objective, rows, uppers, integers = parsed(getattr(exported, written)())
    program, names, row_names = program_of(graph, cluster, exported.unit_s)
    assert objective == {name: cost for name, cost in zip(names, program.objective.tolist(), strict=True) if cost}
    assert rows == rows_of(program, names, row_names)
    assert uppers == {name: upper for name, upper in zip(names, program.upper.tolist(), strict=True) if math.isfinite(upper)}
    assert integers == {names[column] for column in np.flatnonzero(program.integer)}
    assert not program.lower.any()


def solved_by_cbc(model, solution):
    """CBC's word for how it ended, on a file alone."""
    words = [pulp.PULP_CBC_CMD.pulp_cbc_path, str(model), "-ratio", "1e-4", "-solve", "-solu", str(solution)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert "###" not in done.stdout, "CBC refuses names"
    return done.stdout


@pytest.mark.parametrize("case", ["lenet", "branched"])
@pytest.mark.parametrize("suffix", ["lp", "mps"])
def test_another_solver_finds_the_optimum_in_the_file(case, suffix, tmp_path, request):
    """CBC's plan from the file alone costs what the exact method proves to be the least."""
    graph, cluster = request.getfixturevalue(case)
    exported = ExportedModel(graph, cluster)
    model, solution = tmp_path / f"model.{suffix}", tmp_path / "model.sol"
    model.write_text(getattr(exported, suffix)(), encoding="utf-8")
    solved_by_cbc(model, solution)
    found, truth = exported.read_solution(solution), solve_milp(graph, cluster)
    assert truth.status == "optimal"
    assert found.solver == "CBC"
    assert found.evaluation == evaluate(graph, cluster, found.plan)
    assert found.evaluation.latency_s == pytest.approx(truth.latency_s, rel=2e-4)
    assert found.objective_s == pytest.approx(found.evaluation.latency_s, rel=1e-6)


def test_pruning_leaves_out_nodes_and_no_optimum(lenet, tmp_path):
    """The pruned file is smaller, says so, and its solution is read with the whole program."""
    whole = ExportedModel(*lenet)
    pruned = ExportedModel(*lenet, incumbent=solve_dp(*lenet).plan)
    assert len(pruned.lp()) < len(whole.lp()) / 2
    assert "Pruned: nodes that no plan of at most" in pruned.lp()
    (tmp_path / "model.lp").write_text(pruned.lp(), encoding="utf-8")
    solved_by_cbc(tmp_path / "model.lp", tmp_path / "model.sol")
    assert whole.read_solution(tmp_path / "model.sol").evaluation.latency_s == pytest.approx(solve_milp(*lenet).latency_s, rel=2e-4)


def test_memory_bandwidths_are_in_the_file(lenet):
    """The device's line has the figure, and every variable and row a name of its own, those of operators without FLOPs that take time included."""
    graph, cluster = lenet
    cluster = replace(cluster, devices=(replace(cluster.devices[0], memory_bytes_per_s=2.5e8), *cluster.devices[1:]))
    model = ExportedModel(graph, cluster)
    assert sum(line.endswith("bytes/s, 250000000.0 bytes/s of memory") for line in model.lp().splitlines()) == 1
    program = model._formulation.program
    assert len(set(program.names)) == len(program.names)
    assert len(set(program.row_names)) == len(program.row_names)
    assert len(set(model._named.names)) == len(program.names)


def test_one_program_has_one_team(lenet):
    """A team of two leaves the third device to whole operators; the best team would be several programs."""
    text = ExportedModel(*lenet, team=(0, 1)).lp()
    assert "n(conv1,OC,mcu1)" in text
    assert "n(conv1,OC,mcu2)" not in text
    assert "x(conv1,mcu2)" in text
    with pytest.raises(ClusterError, match="only the exact methods choose the best team"):
        ExportedModel(*lenet, team="best")


# Solution files.


def point_of(exported):
    """Names, values and objective of the best point of a small program."""
    x = least_point(exported._formulation.program, gap=0.0)
    return exported._named.names, x.tolist(), float(exported._formulation.program.objective @ x)


def as_highs(names, values, objective):
    columns = "".join(f"{name} {value:.10g}\n" for name, value in zip(names, values, strict=True))
    return (
        f"Model status\nOptimal\n\n# Primal solution values\nFeasible\nObjective {objective:.10g}\n# Columns {len(names)}\n{columns}# Rows 1\nrow 0\n"
    )


def as_scip(names, values, objective):
    lines = "".join(f"{name:<50} {value:.15g} \t(obj:0)\n" for name, value in zip(names, values, strict=True) if value)
    return f"solution status: optimal solution found\nobjective value: {objective:.15g}\n{lines}"


def as_cbc(names, values, objective):
    lines = "".join(f"{'**' if number == 0 else '  '}{number:6} {name} {values[number]:15.8g} 0\n" for number, name in enumerate(names))
    return f"Stopped on time - objective value {objective:.8f}\n{lines}"


FORMATS = {"HiGHS": as_highs, "SCIP": as_scip, "CBC": as_cbc}


@pytest.fixture(scope="module")
def solved():
    """A tiny program and its best point."""
    graph = GraphBuilder("tiny", (2, 6, 5)).conv(3, 3, padding=1).fc(3).build()
    exported = ExportedModel(graph, Cluster((Device("slow", 1e5, 1e6, 1e5), Device("fast", 3e5, 1e6, 2e5)), connection_setup_s=1e-4))
    return exported, *point_of(exported)


@pytest.mark.parametrize("solver", FORMATS)
def test_each_format_is_told_by_its_content(solver, solved, tmp_path):
    """The same point in three formats is the same plan."""
    exported, names, values, objective = solved
    path = tmp_path / "any.name"
    path.write_text(FORMATS[solver](names, values, objective), encoding="utf-8")
    found = exported.read_solution(path)
    assert found.solver == solver
    assert found.objective_s == pytest.approx(found.evaluation.latency_s, rel=1e-7)
    assert found.plan == exported._formulation.plan(np.array(values))


@pytest.mark.parametrize("solver", FORMATS)
def test_files_cut_short_are_refused(solver, solved, tmp_path):
    """Wherever a file ends before the last value that counts, it is no solution; after that, it is the same plan."""
    exported, names, values, objective = solved
    text, path = FORMATS[solver](names, values, objective), tmp_path / "cut.sol"
    whole = exported._formulation.plan(np.array(values))
    plans = []
    for length in range(0, len(text), 7):
        path.write_text(text[:length], encoding="utf-8")
        with contextlib.suppress(FileFormatError):
            plans.append(exported.read_solution(path).plan)
    assert all(plan == whole for plan in plans)
    assert len(plans) < len(text) / 7 / 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "a solution file of HiGHS, SCIP or CBC is expected"),
        ('{"schema_version": 1}', "begins with '{\"schema_version\": 1}'"),
        ("Model status\nInfeasible\n\n# Primal solution values\nNone\n", "holds no solution; HiGHS ended with 'Infeasible'"),
        ("solution status: infeasible\nno solution available\n", r"holds no solution \(no solution available\)"),
        ("no solution available\n", "holds no solution"),
        ("Infeasible - objective value 0.00000000\n", "holds no solution; CBC ended with 'Infeasible'"),
        ("Stopped on time (no integer solution - continuous used) - objective value 1.5\n 0 a 1 0\n", "holds no solution"),
        ("objective value: 1\nx(conv1,moon) 1 (obj:1)\n", r"'x\(conv1,moon\)' is no variable of tiny.*exported for another one"),
        ("objective value: 1\nx(conv1,slow) 0.5 (obj:1)\n", r"x\(conv1,slow\) is 0.5; an integer is expected"),
        ("objective value: 1e\n", "'1e' where a number is expected"),
        ("objective value: nan\n", "'nan' where a number is expected"),
        ("objective value: 123\nx(conv1,slow) 1 (obj:1)\n", "but it states 123.0; it is truncated, or of another program"),
    ],
)
def test_what_is_no_solution_is_refused(text, complaint, solved, tmp_path):
    """Files of other things, of infeasible programs and of other programs."""
    path = tmp_path / "wrong.sol"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FileFormatError, match=complaint):
        solved[0].read_solution(path)


# Commands.


def test_commands_take_a_program_out_and_a_plan_back(tmp_path, capsys):
    """The way of the help: export, solve, import."""
    model, solution, plan = (str(tmp_path / name) for name in ("lenet.lp", "lenet.sol", "plan.json"))
    words = ["lenet5", "--cluster", "mcu-x3"]
    assert export_model([*words, "--team", "mcu0,2", "--pruned", "--lp", model, "--mps", str(tmp_path / "lenet.mps")]) == 0
    assert "objective in units of 0.1 s" in capsys.readouterr().out
    assert (tmp_path / "lenet.mps").stat().st_size > 0
    solved_by_cbc(model, solution)
    assert import_solution([*words, "--team", "mcu0,2", solution, "-o", plan]) == 0
    said = capsys.readouterr().out
    graph = load_model("lenet5")
    cluster = load_cluster("mcu-x3", graph)
    price = evaluate(graph, cluster, Plan.from_dict(read_json(plan)))
    assert f"evaluator: {price.latency_s!r} s" in said
    assert "CBC: " in said


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["lenet5", "--lp", "no/such/folder/m.lp"], "cannot be written"),
        (["lenet5", "--team", "best", "--lp", "m.lp"], "only the exact methods choose the best team"),
        (["lenet5", "--team", "moon", "--lp", "m.lp"], "mcu-x3 has no device 'moon'"),
        (["lenet6", "--lp", "m.lp"], "unknown model 'lenet6'"),
        (["vgg16", "--cluster", "edge-x4-tight-0.2", "--pruned", "--lp", "m.lp"], "--pruned needs a plan that fits the memory"),
    ],
)
def test_bad_input_is_one_line(words, complaint, tmp_path, monkeypatch, capsys):
    """With the exit code of bad input."""
    monkeypatch.chdir(tmp_path)
    assert export_model(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert complaint in said.replace("\n", " ")


def test_a_plan_that_breaks_memory_has_its_own_exit_code(tmp_path, capsys):
    """A solution of a looser cluster than the one named is no point of its program, but may be a plan; its memory is checked."""
    graph = load_model("lenet5")
    loose = ExportedModel(graph, load_cluster("mcu-x3", graph))
    names, values, objective = point_of(loose)
    (tmp_path / "loose.sol").write_text(as_scip(names, values, objective), encoding="utf-8")
    assert import_solution(["lenet5", "--cluster", "mcu-x3-tight-0.3", str(tmp_path / "loose.sol")]) in (2, 3)
    assert "memory" in capsys.readouterr().out


def test_it_has_to_be_told_what_to_write(capsys):
    """Neither --lp nor --mps."""
    with pytest.raises(SystemExit):
        export_model(["lenet5"])
    assert "give --lp FILE, --mps FILE or both" in capsys.readouterr().err
