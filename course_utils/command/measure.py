"""Trains every model on every shared task that data/results.json lacks: `course.py results`."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from ..tasks import TASKS
from ..tasks.protocol import CHOICE_SEED, RATES, SEEDS
from ..tasks.results import FILE, Results, Unit, best, read
from ..training import setup

WIDEST = 3  # values by which a grid may grow where its best one stands at an edge
PROCESSES = 2


class Job(NamedTuple):
    """One training: a trial of a rate (CHOICE_SEED, development part) or a run (test)."""

    unit: Unit
    seed: int
    rate: float


def module(task: str) -> Any:
    """The module of a task, with the six names that `course_utils.tasks` describes."""
    return importlib.import_module(f"course_utils.tasks.{TASKS[task]}")


def units(tasks: Sequence[str]) -> Iterator[Unit]:
    """What has a rate of its own, in the order of the file."""
    for task in tasks:
        place = module(task)
        for model in place.MODELS:
            find = getattr(place, "settings_of", lambda _: place.SETTINGS)
            yield from ((task, model, setting) for setting in find(model))


def measure(job: Job) -> dict[str, Any]:
    """One training and its numbers, of four digits; a trial that diverges scores -inf."""
    (task, model, setting), start = job.unit, time.process_time()
    setup(job.seed)
    part = "development" if job.seed == CHOICE_SEED else "test"
    try:
        outcome = module(task).run(model, job.seed, setting, job.rate, part)
    except FloatingPointError:
        if part == "test":
            raise
        seconds = round(time.process_time() - start, 1)
        fields = {"task": task, "model": model, "setting": setting, "seed": job.seed}
        return {**fields, "rate": job.rate, "seconds": seconds, "score": -math.inf}
    return {
        "task": task,
        "model": model,
        "setting": setting,
        "seed": job.seed,
        "rate": job.rate,
        "updates": outcome.updates,
        "rows": outcome.rows,
        "values": {name: float(f"{number:.4g}") for name, number in outcome.values.items()},
        "parameters": sum(parameter.numel() for parameter in outcome.model.parameters()),
        "seconds": round(time.process_time() - start, 1),
        "score": float(f"{outcome.score:.5g}"),
    }


def rates_to_try(unit: Unit, grid: dict[float, float]) -> list[float]:
    """What the grid still lacks: the five values, then more beyond an edge that is the best.

    Where no score is above the task's UNLEARNT, higher rates are tried.
    """
    place = module(unit[0])
    first = getattr(place, "GRIDS", {}).get(unit[1], getattr(place, "RATES", RATES))
    missing = [rate for rate in first if rate not in grid]
    if missing or len(grid) >= len(first) + WIDEST:
        return missing
    tried, ratio = sorted(grid), first[1] / first[0]
    unlearnt = max(grid.values()) <= getattr(place, "UNLEARNT", -math.inf)
    if unlearnt or best(grid) == tried[-1]:
        return [float(f"{tried[-1] * ratio:.6g}")]
    return [float(f"{tried[0] / ratio:.6g}")] if best(grid) == tried[0] else []


def seeds(unit: Unit) -> range:
    """Those of the runs: SEEDS, or more where three leave undecided what a lesson compares."""
    return range(getattr(module(unit[0]), "MORE_SEEDS", {}).get(unit[1], SEEDS))


def unit_of(row: dict[str, Any]) -> Unit:
    """What a row of the file belongs to."""
    return row["task"], row["model"], row["setting"]


def trained(results: Results) -> set[tuple[str, str, str, int]]:
    """Units and seeds of the runs that have the rate that is the best now."""
    grids = results.grids
    return {
        (*unit_of(row), row["seed"])
        for row in results.rows
        if unit_of(row) in grids and row["rate"] == best(grids[unit_of(row)])
    }


def jobs(wanted: Sequence[Unit], results: Results) -> list[Job]:
    """All that can be done now, in the order in which it is best done.

    Task by task; within a task the trials first, then seed by seed, so that what a seed needs is
    made once.
    """
    done = trained(results)
    ready: list[tuple[int, int, int, Job]] = []
    for place, unit in enumerate(wanted):
        grid = results.grids.get(unit, {})
        to_try, task = rates_to_try(unit, grid), list(TASKS).index(unit[0])
        ready += [(task, -1, place, Job(unit, CHOICE_SEED, rate)) for rate in to_try]
        if not to_try:
            missing = [seed for seed in seeds(unit) if (*unit, seed) not in done]
            ready += [(task, seed, place, Job(unit, seed, best(grid))) for seed in missing]
    return [job for *_, job in sorted(ready, key=lambda row: row[:3])]


def entered(results: Results, row: dict[str, Any]) -> Results:
    """The results with one more training, in place of an older one of the unit and seed."""
    unit = unit_of(row)
    if row["seed"] == CHOICE_SEED:
        grid = {**results.grids.get(unit, {}), row["rate"]: row["score"]}
        return results._replace(grids={**results.grids, unit: grid})
    kept = {name: value for name, value in row.items() if name != "score"}
    others = [r for r in results.rows if (unit_of(r), r["seed"]) != (unit, row["seed"])]
    return results._replace(rows=[*others, kept])


def save(results: Results, path: Path) -> None:
    """Write all, ordered, in one piece: what breaks off leaves the old file or the new."""
    order = {task: place for place, task in enumerate(TASKS)}
    choices = [
        {
            "task": task,
            "model": model,
            "setting": setting,
            "grid": {
                str(rate): grid[rate] if math.isfinite(grid[rate]) else None
                for rate in sorted(grid)
            },
        }
        for (task, model, setting), grid in results.grids.items()
    ]
    parts = []
    for name, rows in (("choices", choices), ("runs", results.rows)):
        rows = sorted(
            rows,
            key=lambda row: (
                order.get(row["task"], len(order)),
                row["model"],
                row["setting"],
                row.get("seed", 0),
            ),
        )
        lines = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in rows)
        parts.append(f'"{name}": [\n{lines}\n]')
    temporary = path.with_suffix(f".{os.getpid()}.part")
    temporary.write_text("{" + ",\n".join(parts) + "}\n", encoding="utf-8")
    os.replace(temporary, path)


def stored(path: Path) -> Results:
    """The file as it is now; nothing where there is none."""
    return read(path) if path.exists() else Results({}, [])


def keep(row: dict[str, Any], path: Path) -> Results:
    """The file with one more training; other commands may write to it at the same time."""
    with FileLock(path.with_suffix(".lock")):
        results = entered(stored(path), row)
        save(results, path)
    return results


def left(
    wanted: Sequence[Unit], results: Results, seconds: dict[str, list[float]], processes: int
) -> str:
    """How many trainings are left at least, and about how long they take."""
    known = [value for values in seconds.values() for value in values]
    trainings, total = 0, 0.0
    done = trained(results)
    for unit in wanted:
        n = len(rates_to_try(unit, results.grids.get(unit, {})))
        n += sum((*unit, seed) not in done for seed in seeds(unit))
        times = seconds.get(unit[0]) or known
        trainings += n
        total += n * sum(times) / len(times) if times else 0.0
    return f"{trainings} left, about {total / processes / 60:.0f} minutes"


def end_with_parent() -> None:
    """End this process when the one that started it is gone, however that was ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def fill(wanted: Sequence[Unit], path: Path, processes: int) -> list[str]:
    """Do all that the file lacks, saving after each training; one process is this one.

    Returns one line for each training that failed; the others are done all the same.
    """
    results, seconds = stored(path), dict[str, list[float]]()
    failures: dict[Job, str] = {}
    for row in results.rows:
        seconds.setdefault(row["task"], []).append(row["seconds"])

    def finish(job: Job, row: dict[str, Any]) -> None:
        nonlocal results
        results = keep(row, path)
        seconds.setdefault(row["task"], []).append(row["seconds"])
        line = f"{line_of(job)}: {row['score']:g}, {row['seconds']} s"
        print(f"{line}; {left(wanted, results, seconds, processes)}", flush=True)

    def fail(job: Job, error: BaseException) -> None:
        failures[job] = f"{line_of(job)}: {type(error).__name__}: {error}"
        print(failures[job], flush=True)

    if processes == 1:
        while ready := [job for job in jobs(wanted, results) if job not in failures]:
            try:
                row = measure(ready[0])
            except Exception as error:
                fail(ready[0], error)
            else:
                finish(ready[0], row)
        return list(failures.values())
    os.environ |= {"COURSE_THREADS": "1", "OMP_NUM_THREADS": "1"}
    context, running = multiprocessing.get_context("spawn"), dict[Future[dict[str, Any]], Job]()
    with ProcessPoolExecutor(processes, context, end_with_parent) as pool:
        while True:
            begun = {*running.values(), *failures}
            ready = [job for job in jobs(wanted, results) if job not in begun]
            for job in ready[: processes - len(running)]:
                running[pool.submit(measure, job)] = job
            if not running:
                return list(failures.values())
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                if (problem := future.exception()) is not None:
                    fail(job, problem)
                else:
                    finish(job, future.result())


def line_of(job: Job) -> str:
    """A training in words."""
    kind = "trial" if job.seed == CHOICE_SEED else f"seed {job.seed}"
    return f"{', '.join(filter(None, job.unit))}, rate {job.rate:g}, {kind}"


def at_an_edge(wanted: Sequence[Unit], results: Results) -> list[str]:
    """One line for each unit whose best rate is still the lowest or highest that was tried."""
    lines = []
    for unit in wanted:
        grid = results.grids.get(unit, {})
        if grid and best(grid) in (min(grid), max(grid)):
            lines.append(f"{', '.join(filter(None, unit))}: best at the edge, {best(grid):g}")
    return lines


def check(wanted: Sequence[Unit], path: Path) -> int:
    """Train one seed of each task anew, and hold its values against the file's bands.

    The unit is the task's CHECK (model, setting), or the first where that is not wanted.
    """
    results, status = read(path), 0
    by_task: dict[str, list[Unit]] = {}
    for unit in wanted:
        by_task.setdefault(unit[0], []).append(unit)
    for task, units_of_task in by_task.items():
        informative = task, *getattr(module(task), "CHECK", units_of_task[0][1:])
        unit = informative if informative in units_of_task else units_of_task[0]
        rows = [row for row in results.rows if unit_of(row) == unit]
        if not rows:
            print(f"{', '.join(unit)}: not in the file")
            status = 1
            continue
        row = measure(Job(unit, rows[0]["seed"], rows[0]["rate"]))
        for name, value in row["values"].items():
            band = [run["values"].get(name, math.nan) for run in rows]
            slack = max(band) - min(band) + 0.01 * abs(max(band))
            holds = min(band) - slack <= value <= max(band) + slack
            status |= not holds
            verdict = "holds" if holds else "OUTSIDE"
            print(f"{', '.join(filter(None, unit))}, {name}: {value:g} in {band}: {verdict}")
    return int(status)


def at_least_one(text: str) -> int:
    """A whole number, 1 or more, of the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"1 or more, not {text}")
    return int(text)


def forget(units_to_forget: Sequence[Unit], path: Path) -> None:
    """Take what belongs to these units out of the file."""
    with FileLock(path.with_suffix(".lock")):
        results, gone = stored(path), set(units_to_forget)
        rows = [row for row in results.rows if unit_of(row) not in gone]
        grids = {unit: grid for unit, grid in results.grids.items() if unit not in gone}
        save(Results(grids, rows), path)


def main(arguments: list[str], path: Path = FILE) -> int:
    """Run what the file lacks; returns an exit status."""
    parser = argparse.ArgumentParser(prog="course.py results", description=__doc__)
    parser.add_argument("--task", action="append", choices=list(TASKS), help="this one alone")
    parser.add_argument("--model", action="append", help="this one alone")
    parser.add_argument("--again", action="store_true", help="first forget what the file has")
    parser.add_argument("--check", action="store_true", help="one seed of each task, compared")
    parser.add_argument("--processes", type=at_least_one, default=PROCESSES, help="side by side")
    options = parser.parse_args(arguments)
    known = list(units(options.task or list(TASKS)))
    models = list(dict.fromkeys(model for _, model, _ in known))
    for model in options.model or ():
        if model not in models:
            parser.error(f"no such model: {model}; there are {', '.join(models)}")
    wanted = [unit for unit in known if options.model is None or unit[1] in options.model]
    try:
        if options.check:
            return check(wanted, path)
        if options.again:
            forget(wanted, path)
        failures = fill(wanted, path, options.processes)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(*at_an_edge(wanted, stored(path)), *failures, sep="\n")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
