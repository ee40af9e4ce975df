"""The shared tasks: data, budget and score are fixed here, so that each lesson continues one row.

A task is a module with the same five names:

- MODELS: the names of the models that are trained on it (a tuple, or a mapping to what makes them)
- SEEDS: how many seeds each of them gets, 0, 1, ...
- data(...): what it is trained and tested on, the same for every model
- train(...): one model after the task's budget
- run(name, seed): trains the model of this name; returns (values by name, the model)

`command/measure.py` runs them all and keeps the values in data/results.json, which `results` reads.
A change here asks for new results. What sentiment and tagging share stands in `labelling`.
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
