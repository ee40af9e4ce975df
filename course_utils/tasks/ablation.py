"""What each part of GNMT is worth, and each way to decode (lesson 13)."""

from __future__ import annotations

from typing import Any

from ..models import beam, seq2seq
from ..models.gnmt import GNMT
from . import translation
from .protocol import SEEDS, Outcome, Part, expect_part, new, percent_equal
from .translation import data, train

__all__ = ["BEAM", "MODELS", "RANKS", "SEEDS", "SETTINGS", "data", "new_model", "run", "train"]

MODELS: dict[str, dict[str, Any]] = {  # the parts in which a model differs from GNMT with all
    "all parts": {},
    "one way": {"both_ways": False},
    "1 layer": {"layers": 1},  # lesson 12's model
    "no residual": {"residual": False},
    "context at the top": {"deep_context": False},
    "1 layer, fed": {"layers": 1, "feeding": True},
    "4 layers": {"layers": 4},
    "4 layers, no residual": {"layers": 4, "residual": False},
    "dot score": {"score": "dot"},
}
SETTINGS = ("940",)  # updates: half of the budget of translation, where more is left to gain
CHECK = ("1 layer", "940")
BEAM = 4  # hypotheses
RANKS = {  # (alpha, beta) of the two penalties; GNMT's 0.2 where not 0
    "beam": (0.0, 0.0),
    "length": (0.2, 0.0),
    "coverage": (0.0, 0.2),
    "both": (0.2, 0.2),
}


def new_model(name: str) -> GNMT:
    """One of MODELS, untrained."""
    return translation.gnmt_translator(**MODELS[name])


def run(name: str, seed: int, setting: str, rate: float, part: Part) -> Outcome:
    """`translation.values_on_test` of one of MODELS, and how it decodes.

    For the test sentences and for longer ones than any in training: the exact translations in
    percent by each way to decode, and the words written for 100 true ones.
    """
    expect_part(part)
    model = new(lambda: new_model(name), seed)
    train(model, seed, updates=int(setting), rate=rate)
    rows = int(setting) * translation.BATCH
    if part == "development":
        share = translation.exact(model, data().development)
        return Outcome(share, {"exact": share}, model, int(setting), rows)
    values = translation.values_on_test(model)
    for prefix, pairs in (("", data().test), ("longer, ", translation.longer_pairs())):
        sources, targets = translation.ids(pairs)
        true = [row[1:-1] for row in targets]
        beams = beam.beam_search(model, sources, BEAM)
        written = {"greedy": seq2seq.greedy(model, sources)}
        for how, penalties in RANKS.items():
            written[how] = [beam.best_of(candidates, *penalties).words for candidates in beams]
        for how, translations in written.items():
            values[prefix + how] = percent_equal(translations, true)
            words = sum(map(len, translations)) / sum(map(len, true))
            values[f"{prefix}{how}, words"] = 100 * words
    return Outcome(values["exact"], values, model, int(setting), rows)
