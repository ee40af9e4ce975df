"""What the reader has tried and solved, in a small local file that git ignores.

One line is added to the file for each answer that was checked, so that a crash, or a second
notebook, loses nothing; a line that broke off is passed over.
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
EXERCISES = ROOT / "notebooks" / "exercises"


class Progress(NamedTuple):
    """One exercise, as far as the reader has come."""

    attempts: int  # until it was solved, or so far
    solved: bool


def file() -> Path:
    """Where it is kept: COURSE_PROGRESS, else `.progress.jsonl` in the course's folder."""
    return Path(os.environ.get("COURSE_PROGRESS") or ROOT / ".progress.jsonl")


def is_wanted() -> bool:
    """Whether COURSE_PROGRESS asks to keep answers that no person watches, as the tests do."""
    return bool(os.environ.get("COURSE_PROGRESS"))


def keep(name: str, state: str) -> None:
    """Add one answer. A folder that cannot be written to is no reason to fail."""
    line = json.dumps({"exercise": name, "state": state, "at": time.strftime("%Y-%m-%d %H:%M:%S")})
    try:
        with open(file(), "ab") as handle:
            handle.write(
                f"\n{line}\n".encode()
            )  # a line of its own, also behind one that broke off
    except OSError:
        pass


def load() -> dict[str, Progress]:
    """What is kept, by exercise. What happens after it was solved no longer counts."""
    solved: dict[str, Progress] = {}
    try:
        lines = file().read_bytes().decode("utf-8", "replace").splitlines()
    except OSError:
        return solved
    for line in lines:
        try:
            row = json.loads(line)
            name, right = str(row["exercise"]), row["state"] == "right"
        except (ValueError, KeyError, TypeError):
            continue
        before = solved.get(name, Progress(0, False))
        if not before.solved:
            solved[name] = Progress(before.attempts + 1, right)
    return solved


def names() -> dict[int, list[str]]:
    """The exercises of each lesson, read from their files without running them."""
    files = {int(path.stem[-2:]): path for path in sorted(EXERCISES.glob("lesson_[0-9][0-9].py"))}
    return {
        number: re.findall(
            r'^(?:EXERCISES\[|    )"(\d+\.\d+)"', path.read_text("utf-8"), flags=re.M
        )
        for number, path in files.items()
    }


def table() -> list[tuple[int, list[tuple[str, Progress]]]]:
    """Lesson by lesson, each exercise with the reader's progress."""
    solved = load()
    return [
        (number, [(name, solved.get(name, Progress(0, False))) for name in exercises])
        for number, exercises in names().items()
    ]


def report() -> str:
    """The table as plain text."""
    rows = table()
    solved = sum(progress.solved for _, exercises in rows for _, progress in exercises)
    total = sum(len(exercises) for _, exercises in rows)
    lines = [f"{solved} of {total} exercises solved"]
    for number, exercises in rows:
        marks = [f"{name} {_mark(progress)}" for name, progress in exercises]
        lines.append(f"lesson {number:02}   " + "   ".join(f"{mark:14}" for mark in marks).rstrip())
    return "\n".join(lines)


def page(colours: dict[str, str]) -> str:
    """The table as HTML. colours: of "right", "wrong" and "not started"."""
    lines = [f"<p>{report().splitlines()[0]}</p><table>"]
    for number, exercises in table():
        cells = []
        for name, progress in exercises:
            state = "right" if progress.solved else "wrong" if progress.attempts else "not started"
            style = f"border-left: 5px solid {colours[state]}; text-align: left"
            cells.append(f'<td style="{style}">{name} {_mark(progress)}</td>')
        lines.append(f"<tr><th>lesson {number:02}</th>{''.join(cells)}</tr>")
    return "".join([*lines, "</table>"])


def _mark(progress: Progress) -> str:
    if not progress.attempts:
        return "·"
    times = f"{progress.attempts} {'try' if progress.attempts == 1 else 'tries'}"
    return f"{'✓' if progress.solved else '✗'} {times}"
