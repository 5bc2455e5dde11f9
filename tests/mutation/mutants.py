"""Single mistakes in a module: every way in which one expression or statement can be wrong, as a change of the source text.

A mutant is known by its module, its function, the line as it stands there and what becomes of which text, never by a line number; so a
list of mutants outlives changes elsewhere in the file.
"""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">="),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<="),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
}
OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "*",
    ast.BitAnd: "|",
    ast.BitOr: "&",
}
SYMBOLS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.BitAnd: "&",
    ast.BitOr: "|",
}
NAMES = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "ceil": "floor",
    "floor": "ceil",
    "maximum": "minimum",
    "minimum": "maximum",
    "argmin": "argmax",
    "argmax": "argmin",
    "at_least": "equal",
    "at_most": "equal",
    "low": "high",
    "high": "low",
    "start": "stop",
    "stop": "start",
    "received": "sent",
    "sent": "received",
    "height": "width",
    "pre_pool_shape": "out_shape",
    "out_shape": "pre_pool_shape",
    "weights": "activations",
}
"""Names and attributes that are easily taken for one another."""

PARTS = {
    "field": {"stride": "overlap", "overlap": "above", "above": "overlap", "end": "stride"},
    "pool": {"extent": "stride", "stride": "extent", "before": "extent"},
    "place": {"first": "last", "last": "first"},
    "edge": {"producer": "consumer", "consumer": "producer", "source": "target", "shape": "pre_pool_shape", "pre_pool_shape": "shape"},
    "arc": {"source": "target", "target": "source"},
    "line": {"slope": "constant", "constant": "slope"},
    "self": {"K": "S", "S": "K"},
    "unit": {"sizes": "granularities", "granularities": "sizes"},
}
"""The same for attributes of what goes by such a name; others do not have both."""

ADDING = ("plus", "total")
"""Functions whose arguments are the terms of a sum."""


LARGEST = 20
"""Integers above this are limits of effort; one more or less is no mistake."""


class Mutant(NamedTuple):
    """``before`` in one line of a function becomes ``after``: the ``number``-th such change there, from 1."""

    module: str
    function: str
    line: str
    before: str
    after: str
    number: int
    source: bytes

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """What names the mutant as long as its line stays as it is."""
        return self.module, self.function, self.line, f"{self.before} -> {self.after}", self.number


class _Change(NamedTuple):
    function: str
    node: ast.AST
    after: str


def mutants_of(module: str, source: str) -> list[Mutant]:
    """Every mutant of a module, in the order of its text."""
    encoded = source.encode()
    lines = encoded.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    found, seen = [], Counter[tuple[str, ...]]()
    for function, node, after in _changes(ast.parse(source)):
        assert isinstance(node, (ast.expr, ast.stmt))
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        begin, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        before = " ".join(encoded[begin:end].decode().split())
        if before == after:
            continue
        key = (function, lines[node.lineno - 1].decode().strip(), before, after)
        seen[key] += 1
        found.append(Mutant(module, *key, seen[key], encoded[:begin] + after.encode() + encoded[end:]))
    return found


def sampled(mutants: Sequence[Mutant], size: int, seed: int, certain: Collection[tuple[str, str, str, str]] = ()) -> list[Mutant]:
    """So many of the mutants, in their order: the ``certain`` ones, and those of the least hashes, which a change elsewhere in the file leaves
    as they are."""
    ranked = sorted(mutants, key=lambda mutant: (mutant.key[:4] not in certain, hashlib.sha256(repr((seed, mutant.key)).encode()).digest()))
    chosen = {mutant.key for mutant in ranked[:size]}
    return [mutant for mutant in mutants if mutant.key in chosen]


def _changes(tree: ast.Module) -> Iterator[_Change]:
    yield from _in_block(tree.body, "<module>", returns=None)


def _in_block(statements: Sequence[ast.stmt], function: str, returns: str | None) -> Iterator[_Change]:
    for statement in statements:
        yield from _in_statement(statement, function, returns)


def _in_statement(statement: ast.stmt, function: str, returns: str | None) -> Iterator[_Change]:
    """The changes of one statement and of all within it; annotations, messages and assertions are left alone."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        name = statement.name if function == "<module>" else f"{function}.{statement.name}"
        inner = ast.unparse(statement.returns) if isinstance(statement, ast.FunctionDef) and statement.returns else None
        if isinstance(statement, ast.FunctionDef):
            for default in [*statement.args.defaults, *(value for value in statement.args.kw_defaults if value)]:
                yield from _in_expression(default, name)
        yield from _in_block(statement.body, name, inner)
        return
    if isinstance(statement, (ast.Import, ast.ImportFrom, ast.Assert, ast.Raise, ast.Global, ast.Nonlocal)):
        return
    if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
        return
    yield from (_Change(function, statement, after) for after in _statements(statement, returns))
    if isinstance(statement, (ast.If, ast.While)):
        yield from (_Change(function, statement.test, after) for after in ("True", "False"))
    if isinstance(statement, ast.For) and isinstance(statement.iter, (ast.Tuple, ast.List)):
        yield from (_Change(function, statement.iter, after) for after in _without_each(statement.iter))
    for name, value in ast.iter_fields(statement):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, ast.stmt):
                yield from _in_statement(part, function, returns)
            elif isinstance(part, ast.expr):
                yield from _in_expression(part, function)
            elif isinstance(part, ast.ExceptHandler):
                yield from _in_block(part.body, function, returns)


def _statements(statement: ast.stmt, returns: str | None) -> Iterator[str]:
    """What may stand in place of a whole statement."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, (ast.Call, ast.Yield, ast.YieldFrom)):
        yield "pass"
    elif isinstance(statement, ast.AugAssign):
        yield "pass"
        if type(statement.op) in OPERATORS:
            yield f"{ast.unparse(statement.target)} {OPERATORS[type(statement.op)]}= {ast.unparse(statement.value)}"
    elif isinstance(statement, ast.Return) and returns == "float" and statement.value and not isinstance(statement.value, ast.Constant):
        yield "return 0.0"
        yield f"return 2 * ({ast.unparse(statement.value)})"
    elif isinstance(statement, ast.Return) and returns == "bool" and statement.value and not isinstance(statement.value, ast.Constant):
        yield "return True"
        yield "return False"
    elif isinstance(statement, ast.Continue):
        yield "pass"
    elif isinstance(statement, ast.Break):
        yield "continue"


def _in_expression(expression: ast.expr, function: str) -> Iterator[_Change]:
    """The changes of an expression and of all within it; texts are left alone."""
    if isinstance(expression, ast.JoinedStr):
        return
    yield from (_Change(function, expression, after) for after in _expressions(expression))
    for part in ast.iter_child_nodes(expression):
        if isinstance(part, ast.expr):
            yield from _in_expression(part, function)
        elif isinstance(part, ast.keyword) and part.arg != "strict":
            yield from _in_expression(part.value, function)
        elif isinstance(part, ast.comprehension):
            yield from _in_expression(part.iter, function)
            for condition in part.ifs:
                yield _Change(function, condition, "True")
                yield from _in_expression(condition, function)


def _expressions(node: ast.expr) -> Iterator[str]:
    """What may stand in place of an expression."""
    if isinstance(node, ast.Compare):
        yield from _comparisons(node)
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        yield from _operations(node)
    elif isinstance(node, ast.BoolOp):
        other, parts = "or" if isinstance(node.op, ast.And) else "and", [f"({ast.unparse(value)})" for value in node.values]
        yield f"({f' {other} '.join(parts)})"
        this = "and" if isinstance(node.op, ast.And) else "or"
        yield from (f"({f' {this} '.join(parts[:number] + parts[number + 1 :])})" for number in range(len(parts)))
    elif isinstance(node, ast.UnaryOp):
        yield f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.Constant):
        yield from _constants(node.value)
    elif isinstance(node, ast.IfExp):
        yield f"({ast.unparse(node.body)})"
        yield f"({ast.unparse(node.orelse)})"
    elif isinstance(node, ast.Name) and node.id in NAMES and isinstance(node.ctx, ast.Load):
        yield NAMES[node.id]
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        owner = ast.unparse(node.value).rpartition(".")[2]
        other = PARTS.get(owner, {}).get(node.attr) or NAMES.get(node.attr)
        if other:
            yield f"{_atom(node.value)}.{other}"
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        yield from (f"{_atom(node.value)}[{bounds}]" for bounds in _bounds(node.slice))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ADDING and len(node.args) > 1:
        yield from (f"{node.func.id}({', '.join(kept)})" for kept in _all_but_one([ast.unparse(part) for part in node.args]))


def _comparisons(node: ast.Compare) -> Iterator[str]:
    parts = [_atom(part) for part in (node.left, *node.comparators)]
    symbols = [ast.unparse(ast.Compare(ast.Name("a"), [operator], [ast.Name("b")]))[2:-2] for operator in node.ops]
    for number, operator in enumerate(node.ops):
        for other in COMPARISONS[type(operator)]:
            changed = [*symbols[:number], other, *symbols[number + 1 :]]
            yield parts[0] + "".join(f" {symbol} {part}" for symbol, part in zip(changed, parts[1:], strict=True))


def _operations(node: ast.BinOp) -> Iterator[str]:
    left, right = _atom(node.left), _atom(node.right)
    if isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
        return
    if any(isinstance(part, (ast.List, ast.Tuple, ast.Set, ast.JoinedStr)) for part in (node.left, node.right)):
        yield f"({left})"
        return
    yield f"({left} {OPERATORS[type(node.op)]} {right})"
    yield f"({left})"
    if isinstance(node.op, (ast.Add, ast.Mult, ast.BitAnd, ast.BitOr)):
        yield f"({right})"


def _constants(value: object) -> Iterator[str]:
    if isinstance(value, bool):
        yield repr(not value)
    elif isinstance(value, int) and value <= LARGEST:
        yield str(value + 1)
        if value:
            yield str(value - 1)
    elif isinstance(value, float):
        yield repr(value + 1.0) if value in (0.0, 1.0) else repr(value * 100)


def _bounds(part: ast.Slice) -> Iterator[str]:
    """Slices at the other end, and the whole."""
    texts = [ast.unparse(bound) if bound else "" for bound in (part.lower, part.upper)]
    other = {("1", ""): ":-1", ("", "-1"): "1:", ("-1", ""): ":1", ("", "1"): "-1:"}.get((texts[0], texts[1]))
    if other and part.step is None:
        yield other
    if any(texts):
        yield ":"


def _without_each(node: ast.Tuple | ast.List) -> Iterator[str]:
    if len(node.elts) > 1:
        yield from (f"[{', '.join(kept)}]" for kept in _all_but_one([ast.unparse(part) for part in node.elts]))


def _all_but_one(parts: Sequence[str]) -> Iterator[list[str]]:
    for number in range(len(parts)):
        yield [*parts[:number], *parts[number + 1 :]]


def _atom(node: ast.expr) -> str:
    """The text of an operand, in brackets where it is no single thing."""
    text = ast.unparse(node)
    return text if isinstance(node, (ast.Name, ast.Attribute, ast.Constant, ast.Call, ast.Subscript)) else f"({text})"
