"""Trains every model on every shared task that data/results.json lacks: `course.py results`."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from ..tasks import TASKS
from ..tasks.results import FILE, Run
from ..training import progress_bar, setup


def module(task: str) -> Any:
    """The module of a task, with the five names that `course_utils.tasks` describes."""
    return importlib.import_module(f"course_utils.tasks.{TASKS[task]}")


def measure(task: str, model: str, seed: int) -> Run:
    """One run, with numbers of four digits."""
    setup(seed)
    start = time.process_time()
    values, trained = module(task).run(model, seed)
    seconds = round(time.process_time() - start, 1)
    rounded = {name: float(f"{number:.4g}") for name, number in values.items()}
    parameters = sum(parameter.numel() for parameter in trained.parameters())
    return Run(task, model, seed, rounded, parameters, seconds)


def save(runs: list[Run], path: Path) -> None:
    """Write all runs, ordered, in one piece: what breaks off leaves the old file or the new."""
    order = {task: place for place, task in enumerate(TASKS)}
    ordered = sorted(runs, key=lambda run: (order.get(run.task, 99), run.model, run.seed))
    lines = ",\n".join("  " + json.dumps(run._asdict(), ensure_ascii=False) for run in ordered)
    temporary = path.with_suffix(".part")
    temporary.write_text('{"runs": [\n' + lines + "\n]}\n", encoding="utf-8")
    os.replace(temporary, path)


def stored(path: Path) -> list[Run]:
    """The runs of the file as it is now."""
    if not path.exists():
        return []
    return [Run(**row) for row in json.loads(path.read_text(encoding="utf-8"))["runs"]]


def main(arguments: list[str], path: Path = FILE) -> int:
    """Run what the file lacks; returns an exit status.

    "--again" first forgets what it has (of the tasks named, or of all).
    """
    tasks = [word for word in arguments if word != "--again"] or list(TASKS)
    unknown = [word for word in tasks if word not in TASKS]
    if unknown:
        known = ", ".join(TASKS)
        words = " ".join(unknown)
        print(f"course: results knows the tasks {known} and --again, not: {words}", file=sys.stderr)
        return 2
    runs = stored(path)
    if "--again" in arguments:
        runs = [run for run in runs if run.task not in tasks]
        save(runs, path)
    done = {run[:3] for run in runs}
    wanted = [
        (task, model, seed)
        for task in tasks
        for model in module(task).MODELS
        for seed in range(module(task).SEEDS)
    ]
    missing = [key for key in wanted if key not in done]
    print(
        f"course: {len(missing)} of {len(wanted)} runs to do; break off at any time, the next "
        "start goes on",
        flush=True,
    )
    for key in progress_bar(missing, "results"):
        run = measure(*key)
        others = [other for other in stored(path) if other[:3] != run[:3]]
        save([*others, run], path)  # what others wrote meanwhile stays
        print(
            f"{run.task}, {run.model}, seed {run.seed}: {run.values}, {run.seconds} s", flush=True
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
