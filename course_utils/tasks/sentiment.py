"""The sentiment of a sentence, from few labels (lesson 07)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import text
from ..models.layers import LAYERS
from ..optim.warm_up import WARM_UP
from . import labelling
from .labelling import SETTINGS, Labelled, train
from .protocol import SEEDS, Outcome, Part, expect_part

__all__ = ["MODELS", "NAMES", "SEEDS", "SETTINGS", "data", "run", "train"]

NAMES = ("negative", "neutral", "positive")
BAGS = {"bag of words": False, "TF-IDF": True}
ABRUPT = "Transformer, no warm-up"
MODELS = (*labelling.MODELS, ABRUPT, *BAGS)
MORE_SEEDS = dict.fromkeys(("RNN", "LSTM", "GRU", "SRU"), 5)  # three leave them undecided
CHECK = ("RNN", "1000")


def data(n: int, seed: int = 0, language: str = "english") -> Labelled:
    """n sentences with their sentiment, as numbers of NAMES; another seed gives other ones."""
    return labelling.labelled(n, seed, language, NAMES, lambda pair: pair.sentiment + 1)


GRIDS = dict.fromkeys(BAGS, (0.1, 1.0, 10.0, 100.0, 1000.0))
"""In place of a rate: scikit-learn's C, the inverse of how much large weights cost."""


def counts(ids: Tensor, mask: Tensor, V: int) -> Tensor:
    """How often each word occurs in each sentence, (N, V), of ids and mask (N, T)."""
    return torch.zeros(len(ids), V).scatter_add_(1, ids, mask.float())


class Bag(nn.Module):
    """Logistic regression on words without their order: ids and mask (N, T) to logits (N, K).

    weights (V,): by which the counts of words are multiplied; a sentence then has length 1.
    """

    weights: Tensor

    def __init__(self, weights: Tensor, K: int) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.head = nn.Linear(len(weights), K)

    def features(self, ids: Tensor, mask: Tensor) -> Tensor:
        return F.normalize(counts(ids, mask, len(self.weights)) * self.weights, dim=1)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(ids, mask))
        return logits


@torch.no_grad()
def fitted(data: Labelled, weighted: bool, C: float) -> Bag:
    """A `Bag` with the weights that scikit-learn's LogisticRegression finds.

    weighted: by the inverse document frequency, ln((1 + N) / (1 + sentences with the word)) + 1.
    """
    from sklearn.linear_model import LogisticRegression

    V, K = len(data.words), len(data.names)
    ids, mask = (torch.from_numpy(part) for part in text.pad(data.train))
    frequency = (counts(ids, mask, V) > 0).sum(dim=0)  # sentences with each word, (V,)
    rarity = torch.log((1 + len(ids)) / (1 + frequency)) + 1
    bag = Bag(rarity if weighted else torch.ones(V), K)
    fit = LogisticRegression(C=C, max_iter=2000).fit(bag.features(ids, mask), data.train_labels)
    slopes, offsets = torch.from_numpy(fit.coef_).float(), torch.from_numpy(fit.intercept_).float()
    if len(fit.classes_) == 2:  # scikit-learn keeps the difference of the two alone
        slopes, offsets = torch.cat([0 * slopes, slopes]), torch.cat([0 * offsets, offsets])
    bag.head.weight.zero_()
    bag.head.bias.fill_(-1e9)  # of a label that no sentence has
    bag.head.weight[fit.classes_], bag.head.bias[fit.classes_] = slopes, offsets
    return bag.eval()


def run(name: str, seed: int, setting: str, rate: float, part: Part) -> Outcome:
    """Right sentiments in percent, from as many labelled sentences as the setting says."""
    expect_part(part)
    sentences = data(int(setting), seed)
    if name in BAGS:
        bag = fitted(sentences, BAGS[name], rate)
        scored = labelling.outcome(bag, sentences, setting, part)
        return scored._replace(updates=0, rows=len(sentences.train))  # solved, not trained
    layer, warm_up = LAYERS[name.split(",")[0]], 0.0 if name == ABRUPT else WARM_UP
    model = train(sentences, seed, layer, rate=rate, warm_up=warm_up)
    return labelling.outcome(model, sentences, setting, part)
