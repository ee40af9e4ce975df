"""The part of speech of each word, from few labels (lesson 07)."""

from __future__ import annotations

from ..models.layers import LAYERS
from . import labelling
from .labelling import MODELS, SETTINGS, Labelled, train
from .protocol import SEEDS, Outcome, Part, expect_part

__all__ = ["MODELS", "NAMES", "SEEDS", "SETTINGS", "data", "run", "train"]

CHECK = ("GRU", "1000")
NAMES = ("ADJ", "ADP", "ADV", "AUX", "DET", "NOUN", "PART", "PRON", "VERB")


def data(n: int, seed: int = 0, language: str = "english") -> Labelled:
    """n sentences with the universal part of speech of each word, as numbers of NAMES."""
    field = "tags" if language == "english" else "korean_tags"
    return labelling.labelled(
        n, seed, language, NAMES, lambda pair: [NAMES.index(tag) for tag in getattr(pair, field)]
    )


def run(name: str, seed: int, setting: str, rate: float, part: Part) -> Outcome:
    """Right tags in percent, from as many labelled sentences as the setting says."""
    expect_part(part)
    sentences = data(int(setting), seed)
    model = train(sentences, seed, LAYERS[name], rate=rate)
    return labelling.outcome(model, sentences, setting, part)
