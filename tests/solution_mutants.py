"""One-step changes of an exercise's solution: would its check notice them?

Constants, powers, operators, a dropped operand (an argument that is ignored), one size for another
(D for H), comparisons, sums for means.
"""

from __future__ import annotations

import ast
import copy
import inspect
import signal
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from course_utils.grading.blocks import compiled

SIZES = {"N", "T", "S", "D", "H", "V", "K"}
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult}
OPERATORS |= {ast.Pow: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Add}
COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
COMPARISONS |= {ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
NAMES = {"mean": "sum", "sum": "mean", "max": "min", "min": "max", "argmax": "argmin"}
NAMES |= {
    "zeros": "ones",
    "ones": "zeros",
    "tril": "triu",
    "triu": "tril",
    "sin": "cos",
    "cos": "sin",
}
SECONDS = 20  # that one changed solution may take: what does not end has been noticed


def _changes(node: ast.AST, sizes: set[str]) -> Iterator[ast.AST]:
    """What may stand in place of this node."""
    if isinstance(node, ast.BinOp):
        yield node.left
        yield node.right
        if type(node.op) in OPERATORS:
            yield ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        other = COMPARISONS[type(node.ops[0])]()
        yield ast.Compare(node.left, [other, *node.ops[1:]], node.comparators)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not, ast.Invert)):
        yield node.operand
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield ast.Constant(node.value + 1)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in sizes:
        yield from (ast.Name(name, ast.Load()) for name in sorted(sizes - {node.id}))
    if isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield ast.Attribute(node.value, NAMES[node.attr], node.ctx)


def mutants(answer: Any) -> Iterator[tuple[str, Any]]:
    """(what was changed, the changed function or class) for each change of one step."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(answer)))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    seen: Counter[str] = Counter()
    for place, node in enumerate(ast.walk(tree)):
        for new in _changes(node, SIZES & names):
            changed = copy.deepcopy(tree)
            target = next(n for i, n in enumerate(ast.walk(changed)) if i == place)
            _replace(changed, target, new)
            what = f"{ast.unparse(node)} -> {ast.unparse(new)}"
            seen[what] += 1
            what += f" ({seen[what]})" if seen[what] > 1 else ""
            source = ast.unparse(ast.fix_missing_locations(changed))
            try:
                warnings.simplefilter("ignore", SyntaxWarning)
                yield what, compiled(answer, source, f"<{answer.__name__}: {what}>")
            except Exception:  # a change that Python itself refuses is noticed
                continue


def _replace(tree: ast.AST, target: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, field, new)
            elif isinstance(value, list):
                setattr(parent, field, [new if item is target else item for item in value])


class OutOfTime(BaseException):
    """The changed solution did not end."""


@contextmanager
def limited() -> Iterator[None]:
    """Raise OutOfTime after SECONDS, where the system can (not on Windows)."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(*_: object) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
