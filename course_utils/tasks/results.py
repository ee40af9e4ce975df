"""What every model reached on every shared task: `data/results.json`.

The file lists runs: {"task", "model", "seed", "values": {name: number}, "parameters", "seconds"}.
`course.py results` makes it. Seconds are those of one thread of the machine that ran it and are
there to compare models, not machines.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from ..datasets import DATA

FILE = DATA / "results.json"


class Run(NamedTuple):
    """One model trained once."""

    task: str
    model: str
    seed: int
    values: dict[str, float]
    parameters: int
    seconds: float  # of training


def load(task: str, path: Path = FILE) -> dict[str, list[Run]]:
    """Model to its runs, by seed.

    Raises FileNotFoundError or ValueError that says how to make what is missing.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"{path.name} is not in data/: `python3 course.py results` makes it"
        )
    try:
        runs = [Run(**row) for row in json.loads(path.read_text(encoding="utf-8"))["runs"]]
    except (ValueError, KeyError, TypeError) as error:
        cure = "`git checkout -- data` or `python3 course.py results` brings it back"
        raise ValueError(f"{path.name} is damaged ({error}): {cure}") from None
    by_model: dict[str, list[Run]] = {}
    for run in sorted((run for run in runs if run.task == task), key=lambda run: run.seed):
        by_model.setdefault(run.model, []).append(run)
    if not by_model:
        known = ", ".join(sorted({run.task for run in runs}))
        raise ValueError(f"no result of task {task!r}; there are {known}")
    return by_model


def values(task: str, model: str, name: str, path: Path = FILE) -> list[float]:
    """One number a seed, for example values("adding", "RNN", "20").

    Raises ValueError that lists what there is for an unknown task, model or name.
    """
    runs = load(task, path)
    if model not in runs or name not in runs[model][0].values:
        known = {model: list(rows[0].values) for model, rows in runs.items()}
        raise ValueError(f"task {task!r} has no {name!r} of model {model!r}; it has {known}")
    return [run.values[name] for run in runs[model]]
