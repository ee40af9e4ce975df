"""The shared tasks: data, budget and score are fixed here, so that each lesson continues one row.

A task is a module with the same six names:

- MODELS: the names of the models that are trained on it (a tuple, or a mapping to what makes them)
- SETTINGS: what each of them is trained for, one after the other: lengths, numbers of labels,
  updates
- SEEDS: how many seeds each of them gets, 0, 1, ...
- data(...): what it is trained and tested on, the same for every model
- train(...): one model after the task's budget
- run(name, seed, setting, rate, part): trains the model of this name and asks one part of the
  data; returns a `protocol.Outcome`

and, where it differs from the others: `settings_of(name)`, the settings of one model; RATES, the
rates to choose from; GRIDS, those of one model; MORE_SEEDS, the number of seeds of one model;
UNLEARNT, a score at which nothing is learnt; CHECK, the model and setting of `results --check`.

How the rates are chosen, and what is alike in all of them, says `protocol`. `command/measure.py`
runs them all and keeps the values in data/results.json, which `results` reads. A change here asks
for new results. What sentiment and tagging share stands in `labelling`.
"""

TASKS = {
    "adding": "adding",
    "language": "language_model",
    "sentiment": "sentiment",
    "tagging": "tagging",
    "few labels": "pretraining",
    "sums": "sums",
    "translation": "translation",
    "ablation": "ablation",
    "dates": "dates",
}
"""Name in data/results.json -> module, in the order of the file."""
