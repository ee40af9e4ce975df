"""Exercises that answer at once: `check("5.2", answer)`, `hint("5.2")`, `solution("5.2")`.

The checks, hints, solutions and typical wrong answers of lesson 5 are in
`notebooks/exercises/lesson_05.py`, as a dictionary EXERCISES from "5.1", "5.2", ... to `Exercise`.
"""

from __future__ import annotations

import ast
import dis
import importlib.util
import inspect
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "notebooks" / "exercises"


class Wrong(Exception):
    """Raised by an exercise's check: its message says what is wrong and what would be right."""


@dataclass(frozen=True)
class Exercise:
    """One exercise: how to check an answer, and what helps.

    check: takes the answer, returns a sentence of praise that says what was shown, or raises
    `Wrong`. solution: a right answer (a function's or class's source is printed, anything else as
    it is). wrong: typical wrong answers by a description; tests prove that each gets a message of
    its own. text: what `solution` prints instead, where the answer needs words."""

    check: Callable[[Any], str]
    hint: str
    solution: Any
    wrong: Mapping[str, Any]
    text: str = ""


@cache
def lesson(number: int) -> dict[str, Exercise]:
    """The exercises of one lesson. Raises FileNotFoundError when the lesson has no file of
    exercises."""
    path = FOLDER / f"lesson_{number:02}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.exists() or spec is None or spec.loader is None:
        raise FileNotFoundError(
            f"lesson {number} has no exercises: {path.name} is not in notebooks/exercises"
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # inspect finds a class's source through its module
    spec.loader.exec_module(module)
    return dict(module.EXERCISES)


def find(name: str) -> Exercise:
    """The exercise "5.2". Raises ValueError that lists the lesson's exercises when there is none of
    that name."""
    first = str(name).split(".")[0]
    if not first.isdigit():
        raise ValueError(f'an exercise is named by lesson and number, such as "5.2"; got {name!r}')
    known = lesson(int(first))
    if name not in known:
        raise ValueError(f"no exercise {name!r}; lesson {int(first)} has {', '.join(known)}")
    return known[name]


def untouched(answer: Any) -> bool:
    """Whether an answer is still the stub: None, ..., or a function (or a class's methods) that
    only returns None."""
    if answer is None or answer is ...:
        return True
    if inspect.isclass(answer):
        methods = [value for value in vars(answer).values() if inspect.isfunction(value)]
        return all(untouched(method) for method in methods)
    if not inspect.isfunction(answer):
        return (
            isinstance(answer, (tuple, list))
            and len(answer) > 0
            and all(untouched(part) for part in answer)
        )
    steps = [
        step
        for step in dis.get_instructions(answer)
        if step.opname not in ("RESUME", "NOP", "CACHE")
    ]
    return (
        len(steps) <= 2
        and all(step.opname in ("LOAD_CONST", "RETURN_VALUE", "RETURN_CONST") for step in steps)
        and steps[0].argval is None
    )


def verdict(name: str, answer: Any) -> tuple[str, str]:
    """("right" | "wrong" | "not started", the sentence that says why)."""
    exercise = find(name)
    if untouched(answer):
        return "not started", "replace the dots with your code, then run this cell again."
    try:
        return "right", exercise.check(answer)
    except Wrong as reason:
        return "wrong", str(reason)
    except (
        Exception
    ) as error:  # the reader's own code may raise anything; it becomes a sentence, not a traceback
        message = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
        return "wrong", f"your code raised {type(error).__name__}: {message}"


def check(name: str, answer: Any) -> None:
    """Say at once whether the answer is right; a wrong one or an untouched stub never raises."""
    state, sentence = verdict(name, answer)
    sign = {"right": "✓ right:", "wrong": "✗ not yet:", "not started": "· not started:"}[state]
    print(textwrap.fill(f"{name} {sign} {sentence}", 100))
    if state != "right":
        print(f'Help: hint("{name}"), solution("{name}")')


def hint(name: str) -> None:
    """Print a hint that does not give the answer away."""
    print(textwrap.fill(f"{name} hint: {find(name).hint}", 100))


def _without_hints(source: str) -> str:
    """Python source without its type hints, so that a pasted solution needs no name beyond the
    notebook's."""
    text, starts = source.encode(), [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    cuts = []
    for node in ast.walk(ast.parse(source)):
        hint = (
            node.returns if isinstance(node, ast.FunctionDef) else getattr(node, "annotation", None)
        )
        if hint is not None:
            begin, end = (
                starts[hint.lineno - 1] + hint.col_offset,
                starts[(hint.end_lineno or 1) - 1] + (hint.end_col_offset or 0),
            )
            cuts.append((len(text[:begin].rstrip(b" ->:")), end))  # the hint and the sign before it
    for begin, end in sorted(cuts, reverse=True):
        text = text[:begin] + text[end:]
    return text.decode()


def solution(name: str) -> None:
    """Print one right answer."""
    exercise = find(name)
    if exercise.text:
        print(exercise.text)
    if callable(exercise.solution):
        print(_without_hints(textwrap.dedent(inspect.getsource(exercise.solution))))
    elif not exercise.text:
        print(exercise.solution)


def guess(yours: float | None, measured: float, unit: str = "", digits: int = 2) -> None:
    """Set the reader's prediction beside what was measured. yours: None when none was made."""
    told = f"measured: {measured:.{digits}f} {unit}".rstrip()
    print(
        f"you made no prediction; {told}"
        if yours is None
        else f"you predicted: {yours:.{digits}f}; {told}"
    )
