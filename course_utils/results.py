"""The results of every model on every shared task, `data/results.json`, and the command that makes it: `course.py results`.

The file lists runs: {"task", "model", "seed", "values": {name: number}, "parameters", "seconds"}. Seconds are those of
one thread of the machine that ran it and are there to compare models, not machines.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .metrics import perplexity

FILE = Path(__file__).parent.parent / "data" / "results.json"


class Run(NamedTuple):
    """One model trained once."""

    task: str
    model: str
    seed: int
    values: dict[str, float]
    parameters: int
    seconds: float  # of training


def load(task: str, path: Path = FILE) -> dict[str, list[Run]]:
    """Model to its runs, by seed. Raises FileNotFoundError or ValueError that says how to make what is missing."""
    if not path.exists():
        raise FileNotFoundError(f"{path.name} is not in data/: `python3 course.py results` makes it")
    try:
        runs = [Run(**row) for row in json.loads(path.read_text(encoding="utf-8"))["runs"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name} is damaged ({error}): `python3 course.py reset` or `results` brings it back") from None
    found: dict[str, list[Run]] = {}
    for run in sorted((run for run in runs if run.task == task), key=lambda run: run.seed):
        found.setdefault(run.model, []).append(run)
    if not found:
        raise ValueError(f"no result of task {task!r}; there are {', '.join(sorted({run.task for run in runs}))}")
    return found


def values(task: str, model: str, name: str, path: Path = FILE) -> list[float]:
    """One number a seed, for example values("adding", "RNN", "20")."""
    runs = load(task, path)
    if model not in runs or name not in runs[model][0].values:
        known = {model: list(rows[0].values) for model, rows in runs.items()}
        raise ValueError(f"task {task!r} has no {name!r} of model {model!r}; it has {known}")
    return [run.values[name] for run in runs[model]]


def _size(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _adding(name: str, seed: int) -> tuple[dict[str, float], int]:
    """Mean squared error by length."""
    from . import tasks

    models = {length: tasks.train_adder(tasks.LAYERS[name], length, seed) for length in tasks.ADDING_LENGTHS}
    return {str(length): tasks.adding_error(model, length) for length, model in models.items()}, _size(models[tasks.ADDING_LENGTHS[0]])


def _language(name: str, seed: int) -> tuple[dict[str, float], int]:
    """Perplexity on held-out English, and agreement in percent by the words between subject and verb."""
    from . import tasks

    model = tasks.train_language_model(tasks.LAYERS[name], seed)
    nats = np.concatenate(tasks.token_nats(model, tasks.language().test))
    found = {"perplexity": perplexity(float(nats.mean())), "floor": tasks.language().floor}
    for (low, high), share in zip(tasks.AGREEMENT_BINS, tasks.agreement(model)):
        found[f"agreement {low}" if low == high else f"agreement {low}-{high}"] = float(share)
    return found, _size(model)


def _labels(task: str) -> Callable[[str, int], tuple[dict[str, float], int]]:
    """Right labels in percent on the test, by the number of labelled sentences."""

    def run(name: str, seed: int) -> tuple[dict[str, float], int]:
        from . import tasks

        data = {n: {"sentiment": tasks.sentiment_data, "tagging": tasks.tagging_data}[task](n, seed) for n in tasks.LABEL_COUNTS}
        models = {n: tasks.train_labeller(some, seed, tasks.LAYERS[name]) for n, some in data.items()}
        return {str(n): tasks.label_accuracy(models[n], some) for n, some in data.items()}, _size(models[10])

    return run


def _few_labels(name: str, seed: int) -> tuple[dict[str, float], int]:
    """Right labels in percent on the test, by task and number of labelled sentences; one pre-training serves them all."""
    from . import bert, tasks

    encoder = bert.pretrain(seed).encoder if name == "BERT" else None
    found, size = {}, 0
    for task, make in (("sentiment", tasks.sentiment_data), ("tagging", tasks.tagging_data)):
        for n in tasks.LABEL_COUNTS:
            data = make(n, seed)
            model = bert.fine_tune(data, seed, encoder)
            found[f"{task} {n}"], size = tasks.label_accuracy(model, data), _size(model)
    return found, size


def _sums(name: str, seed: int) -> tuple[dict[str, float], int]:
    """Share of right held-out sums in percent after each epoch, and of sums of four digits at the end."""
    from . import datasets, tasks

    model, history = tasks.train_sums(name, seed)
    found = {f"epoch {epoch}": share for epoch, share in enumerate(history.metric, 1)}
    longer = datasets.addition(1000, digits=4, min_digits=4)
    return {**found, "4 digits": tasks.sums_exact(model, longer, reverse=tasks.sums_backwards(name))}, _size(model)


def _translated(model: Any) -> dict[str, float]:
    """Exact translations in percent, of all test sentences and by English words, and right tokens in percent."""
    from . import tasks

    score = tasks.translate_test(model)
    by_length = {f"exact {low}-{high}": float(share) for (low, high), share in zip(tasks.TRANSLATION_BINS, score.by_length)}
    found = {"exact": score.exact, "tokens": score.tokens, **by_length}
    if hasattr(model, "decode_and_look"):
        found["alignment error"] = tasks.translation_alignment_error(model)
    return found


def _translation(name: str, seed: int) -> tuple[dict[str, float], int]:
    """`_translated` of one of `tasks.TRANSLATORS`."""
    import torch

    from . import tasks

    torch.manual_seed(seed)
    model = tasks.TRANSLATORS[name]()
    tasks.train_translator(model, seed)
    return _translated(model), _size(model)


RANKS = {"beam": (0.0, 0.0), "length": (0.2, 0.0), "coverage": (0.0, 0.2), "both": (0.2, 0.2)}  # (alpha, beta), GNMT's where not 0
BEAM = 4  # width


def _ablation(name: str, seed: int) -> tuple[dict[str, float], int]:
    """`_translated` of one of `tasks.GNMT_PARTS`; then, for the test sentences and for longer ones than any in training,
    the exact translations in percent by each way to decode, and the words written for 100 true ones."""
    import torch

    from . import decoding, tasks

    torch.manual_seed(seed)
    model = tasks.gnmt_translator(name)
    tasks.train_translator(model, seed)
    found = _translated(model)
    for part, pairs in (("", tasks.translation_data().test), ("longer, ", tasks.longer_pairs())):
        sources, targets = tasks.translation_ids(pairs)
        true, beams = [ids[1:-1] for ids in targets], decoding.beam_search(model, sources, BEAM)
        written = {how: [decoding.best(beam, *rank).words for beam in beams] for how, rank in RANKS.items()}
        for how, every in {"greedy": tasks.greedy(model, sources), **written}.items():
            found[part + how] = 100 * float(np.mean([ours == theirs for ours, theirs in zip(every, true)]))
            found[f"{part}{how}, words"] = 100 * sum(map(len, every)) / sum(map(len, true))
    return found, _size(model)


def _dates(name: str, seed: int) -> tuple[dict[str, float], int]:
    """Dates read without a fault, in percent."""
    import torch

    from . import tasks

    torch.manual_seed(seed)
    score = name.removeprefix("attention, ") if name.startswith("attention") else None
    model = tasks.dates_transformer() if name == "Transformer" else tasks.dates_translator(score)
    tasks.train_dates(model, seed)
    return {"exact": tasks.dates_exact(model)}, _size(model)


LAYERED = ("RNN", "LSTM", "GRU", "SRU", "Transformer")
# task -> (models, seeds, function of model and seed that trains and returns values and number of parameters)
TASKS: dict[str, tuple[tuple[str, ...], int, Callable[[str, int], tuple[dict[str, float], int]]]] = {
    "adding": (LAYERED, 3, _adding),
    "language": ((*LAYERED, "SRU, 2 layers", "SRU, 4 layers"), 3, _language),
    "sentiment": (LAYERED, 3, _labels("sentiment")),
    "tagging": (LAYERED, 3, _labels("tagging")),
    "few labels": (("BERT", "BERT, from scratch"), 3, _few_labels),
    "sums": (("baseline", "reversed", "peeky", "both", "Transformer", "Transformer, lower rate"), 3, _sums),
    "translation": (
        ("seq2seq", "seq2seq, peeky", "attention, dot", "attention, general", "attention, additive", "attention, dot, one way", "GNMT", "Transformer"),
        3,
        _translation,
    ),
    "ablation": (
        ("all parts", "one way", "1 layer", "no residual", "context at the top", "1 layer, fed", "4 layers", "4 layers, no residual"),
        3,
        _ablation,
    ),
    "dates": (("no attention", "attention, dot", "attention, general", "attention, additive", "Transformer"), 3, _dates),
}


def save(runs: list[Run], path: Path) -> None:
    """Write all runs, ordered, in one piece: a run that is broken off leaves the old file or the new one."""
    order = {task: place for place, task in enumerate(TASKS)}
    ordered = sorted(runs, key=lambda run: (order.get(run.task, 99), run.model, run.seed))
    lines = ",\n".join("  " + json.dumps(run._asdict(), ensure_ascii=False) for run in ordered)
    temporary = path.with_suffix(".part")
    temporary.write_text('{"runs": [\n' + lines + "\n]}\n", encoding="utf-8")
    os.replace(temporary, path)


def _stored(path: Path) -> list[Run]:
    """The runs of the file as it is now."""
    return [Run(**row) for row in json.loads(path.read_text(encoding="utf-8"))["runs"]] if path.exists() else []


def main(arguments: list[str], path: Path = FILE) -> int:
    """Run what the file lacks; "--again" first forgets what it has (of the tasks named, or of all). Returns an exit status."""
    from .training import progress, setup

    chosen = [word for word in arguments if word != "--again"] or list(TASKS)
    unknown = [word for word in chosen if word not in TASKS]
    if unknown:
        print(f"course: results knows the tasks {', '.join(TASKS)} and --again, not: {' '.join(unknown)}", file=sys.stderr)
        return 2
    runs = _stored(path)
    if "--again" in arguments:
        runs = [run for run in runs if run.task not in chosen]
        save(runs, path)
    done = {run[:3] for run in runs}
    wanted = [(task, model, seed) for task in chosen for model in TASKS[task][0] for seed in range(TASKS[task][1])]
    missing = [key for key in wanted if key not in done]
    print(f"course: {len(missing)} of {len(wanted)} runs to do; break off at any time, the next start goes on", flush=True)
    for task, model, seed in progress(missing, "results"):
        setup(seed)
        start = time.process_time()
        found, size = TASKS[task][2](model, seed)
        rounded = {name: float(f"{number:.4g}") for name, number in found.items()}
        run = Run(task, model, seed, rounded, size, round(time.process_time() - start, 1))
        save([*(other for other in _stored(path) if other[:3] != run[:3]), run], path)  # what others wrote meanwhile stays
        print(f"{task}, {model}, seed {seed}: {rounded}, {run.seconds} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
