"""What every model reached on every shared task: `data/results.json`.

`course.py results` makes the file by `protocol`. It lists

- "choices": the development scores of the rates that were tried with one seed, for each task,
  model and setting: {"task", "model", "setting", "grid": {rate: score}}; the highest score wins,
  null is a training that diverged
- "runs": what each seed reached on the test with that rate: {"task", "model", "setting", "seed",
  "rate", "updates", "rows", "values": {name: number}, "parameters", "seconds"}. Runs of one task,
  setting and seed have read the same rows in the same order: they are pairs.

Seconds are those of one thread of the machine that ran it and are there to compare models, not
machines.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from ..datasets import DATA

FILE = DATA / "results.json"
Unit = tuple[str, str, str]
"""Task, model, setting: what has a rate of its own."""


class Run(NamedTuple):
    """One model trained with one seed, in all of its settings or in one."""

    task: str
    model: str
    seed: int
    values: dict[str, float]
    parameters: int
    seconds: float  # of training and test


class Results(NamedTuple):
    """The whole file."""

    grids: dict[Unit, dict[float, float]]  # rate to score on the development part
    rows: list[dict[str, Any]]  # one a run, as in the file


def read(path: Path = FILE) -> Results:
    """The file as it is now.

    Raises FileNotFoundError or ValueError that says how to make what is missing.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"{path.name} is not in data/: `python3 course.py results` makes it"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        grids = {
            (row["task"], row["model"], row["setting"]): {
                float(rate): -math.inf if score is None else score
                for rate, score in row["grid"].items()
            }
            for row in content["choices"]
        }
        rows = sorted(content["runs"], key=lambda row: row["seed"])
        for row in rows:
            _merged([row])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        cure = (
            "`git checkout -- data` brings it back; or delete it, and `python3 course.py results`"
            " makes a new one"
        )
        raise ValueError(f"{path.name} is damaged ({error}): {cure}") from None
    return Results(grids, rows)


def _merged(rows: list[dict[str, Any]]) -> Run:
    """The runs of one seed in all settings as one."""
    values = {name: float(value) for row in rows for name, value in row["values"].items()}
    first, seconds = rows[0], round(sum(row["seconds"] for row in rows), 1)
    return Run(first["task"], first["model"], first["seed"], values, first["parameters"], seconds)


def load(task: str, setting: str | None = None, path: Path = FILE) -> dict[str, list[Run]]:
    """Model to its runs, by seed; a model's settings together, or this one alone.

    Raises FileNotFoundError or ValueError that says how to make what is missing.
    """
    rows = read(path).rows
    by_model: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for row in rows:
        if row["task"] == task and setting in (None, row["setting"]):
            by_model.setdefault(row["model"], {}).setdefault(row["seed"], []).append(row)
    if not by_model:
        known = ", ".join(sorted({row["task"] for row in rows}))
        part = "" if setting is None else f" with setting {setting!r}"
        raise ValueError(f"no result of task {task!r}{part}; there are tasks {known}")
    return {
        model: [_merged(by_seed[seed]) for seed in sorted(by_seed)]
        for model, by_seed in by_model.items()
    }


def values(task: str, model: str, name: str, path: Path = FILE) -> list[float]:
    """One number a seed, for example values("adding", "RNN", "20").

    Raises ValueError that lists what there is for an unknown task, model or name.
    """
    runs = load(task, path=path)
    if model not in runs or name not in runs[model][0].values:
        known = {model: list(rows[0].values) for model, rows in runs.items()}
        raise ValueError(f"task {task!r} has no {name!r} of model {model!r}; it has {known}")
    return [run.values[name] for run in runs[model]]


def chosen_rate(task: str, model: str, setting: str = "", path: Path = FILE) -> float:
    """The rate with which the runs of a task, model and setting were trained.

    Raises ValueError that lists what there is.
    """
    grids = read(path).grids
    if (task, model, setting) not in grids:
        known = sorted(unit[1:] for unit in grids if unit[0] == task)
        raise ValueError(f"no rate of {(model, setting)} on task {task!r}; there are {known}")
    return best(grids[task, model, setting])


def best(grid: dict[float, float]) -> float:
    """The rate with the highest score; of equals the lowest."""
    return max(sorted(grid), key=grid.__getitem__)
