"""Exercises that answer at once: `check("5.2", answer)`, `hint("5.2")`, `solution("5.2")`.

`progress()` shows what you have solved. How an exercise is built and judged stands in `grading`;
the exercises of lesson 5 are in `notebooks/exercises/lesson_05.py`.
"""

from __future__ import annotations

import html
import inspect
import sys
import textwrap
from typing import Any

from .grading import record
from .grading.verdict import find, verdict
from .training import watched

COLOURS = {"right": "#1B8A4B", "wrong": "#D9482B", "not started": "#808080", "broken": "#808080"}
SIGNS = {
    "right": "✓ right:",
    "wrong": "✗ not yet:",
    "not started": "· not started:",
    "broken": "! not checked:",
}


def _show(plain: str, colour: str = "", table: str = "") -> None:
    """A line or table for the reader: coloured in Jupyter, plain elsewhere."""
    if "IPython" not in sys.modules or sys.modules["IPython"].get_ipython() is None:
        print(plain)
        return
    from IPython.display import display

    style = f"border-left: 5px solid {colour}; padding: 2px 10px; white-space: pre-wrap"
    page = table or f'<div style="{style}">{html.escape(plain)}</div>'
    display({"text/plain": plain, "text/html": page}, raw=True)  # type: ignore[no-untyped-call]


def check(name: str | float, answer: Any) -> None:
    """Say at once whether the answer is right; a wrong one or an untouched stub never raises."""
    state, sentence = verdict(name, answer)
    full, _ = find(name)
    lines = [textwrap.fill(f"{full} {SIGNS[state]} {sentence}", 100)]
    if state in ("wrong", "not started"):
        lines.append(f'Help: hint("{full}"), solution("{full}")')
    if state in ("right", "wrong") and (watched() or record.is_wanted()):
        record.keep(full, state)
    _show("\n".join(lines), COLOURS[state])


def progress() -> None:
    """Show which exercises you have solved, lesson by lesson, and after how many tries."""
    _show(record.report(), table=record.page(COLOURS))


def hint(name: str | float) -> None:
    """Print a hint that does not give the answer away."""
    full, exercise = find(name)
    print(textwrap.fill(f"{full} hint: {exercise.hint}", 100))


def solution(name: str | float) -> None:
    """Print one right answer."""
    _, exercise = find(name)
    if exercise.text:
        print(exercise.text)
    if callable(exercise.solution):
        print(textwrap.dedent(inspect.getsource(exercise.solution)))
    elif not exercise.text:
        print(exercise.solution)


def guess(yours: float | None, measured: float, unit: str = "", digits: int = 2) -> None:
    """Set the reader's prediction beside what was measured. yours: None when none was made."""
    result = f"measured: {measured:.{digits}f} {unit}".rstrip()
    if yours is None:
        print(f"you made no prediction; {result}")
        return
    try:
        print(f"you predicted: {float(yours):.{digits}f}; {result}")
    except (TypeError, ValueError):
        print(f"your prediction {yours!r} is no number; {result}")
