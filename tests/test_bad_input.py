"""Wrong input meets an error that names what was expected, in every part that lessons share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from course_utils import expect, metrics, proofs, text, training
from course_utils.models import attention, beam, seq2seq, sru, transformer
from course_utils.models.layers import LAYERS
from course_utils.tasks import adding, labelling, language_model

WORDS = text.Vocabulary(["dog", "dogs", "run", "runs"])
V = len(WORDS)


def word_model(name: str = "RNN") -> nn.Module:
    return language_model.LanguageModel(V, 6, LAYERS[name])


def translator() -> seq2seq.Seq2Seq:
    return seq2seq.Seq2Seq(V, V, 4, 6, peeky=True)


def transformer_reads(length: int, mask: torch.Tensor | None = None) -> Any:
    """A Transformer with 6 positions reads a source of this length and writes one word.

    mask: in place of the source's own.
    """
    model = transformer.TransformerTranslator(V, V, 8, longest=6)
    (seen, own), state = model.encode(torch.full((1, length), 4))
    return model.decode((seen, own if mask is None else mask), state, torch.tensor([[2]]))


def labeller(ids: list[list[int]], mask: list[list[bool]]) -> Any:
    return labelling.Labeller(V, 3)(torch.tensor(ids), torch.tensor(mask))


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    # lengths that do not fit the mask
    "accuracy, another mask": (
        lambda: metrics.accuracy([[1, 2]], [[1, 2]], [[True]]),
        r"predicted \(1, 2\), true \(1, 2\), mask \(1, 1\)",
    ),
    "accuracy, nothing real": (
        lambda: metrics.accuracy([1], [1], [False]),
        "the mask is False everywhere",
    ),
    "labels, another mask": (
        lambda: labeller([[4, 5, 6]], [[True, True]]),
        r"mask has shape \(1, 2\); expected \(N=1, T=3\)",
    ),
    "labels, mask turned": (
        lambda: labeller([[4, 5, 6]], [[True], [True], [True]]),
        r"mask.swapaxes\(0, 1\) would fit",
    ),
    "labels, a row of padding": (
        lambda: labeller([[4], [0]], [[True], [False]]),
        "mask row 1 is padding alone; expected at least one",
    ),
    "a source of padding": (
        lambda: translator().encode(torch.tensor([[4, 3], [0, 0]])),
        "source row 1 is padding alone; expected at least",
    ),
    "longer than the length": (
        lambda: text.pad([[4], [4, 5, 6]], length=2),
        "sequence 1 has 3 tokens, but length is 2",
    ),
    "columns of two lengths": (
        lambda: list(text.batches([1, 2], [1], size=1)),
        r"must have one length; got \[1, 2\]",
    ),
    # tokens outside the vocabulary
    "a word, strict": (
        lambda: WORDS.encode(["dgo"], strict=True),
        r"no token 'dgo' in this vocabulary of 8; similar: \['dog'",
    ),
    "an id to decode": (
        lambda: WORDS.decode([4, V]),
        "id 8 is outside this vocabulary: ids go from 0 to 7",
    ),
    "an id to a language model": (
        lambda: word_model()(torch.tensor([[2, 4], [2, V]])),
        r"ids has the id 8 at \(1, 1\); .* from 0 to 7",
    ),
    "a negative id": (
        lambda: word_model()(torch.tensor([[2, -1]])),
        r"ids has the id -1 at \(0, 1\)",
    ),
    "ids that are no whole numbers": (
        lambda: word_model()(torch.zeros(1, 2)),
        "ids holds float32 numbers; expected ids, whole",
    ),
    "an id to a source": (
        lambda: translator().encode(torch.tensor([[99]])),
        r"source has the id 99 at \(0, 0\)",
    ),
    "an id to a target": (
        lambda: translator().decode(*translator().encode(torch.tensor([[4]])), torch.tensor([[V]])),
        "words has the id 8",
    ),
    "an id to a labeller": (lambda: labeller([[V]], [[True]]), "ids has the id 8"),
    "an unknown word before a verb": (
        lambda: language_model.prefers_right(
            word_model(), [language_model.Clause(("cats", "run"), 1, "runs", 0)], WORDS
        ),
        "no token 'cats'",
    ),
    # targets of a decoder
    "a target without <sos>": (
        lambda: seq2seq.loss(translator(), ([[4], [5]], [[2, 4, 3], [4, 5, 3]])),
        "target 1 begins with the id 4; expected <sos>",
    ),
    "a target without <sos>, looked at": (
        lambda: attention.weights_on_truth(
            attention.AttentionTranslator(V, V, 4, 6), [[4]], [[4, 5, 3]]
        ),
        "target 0 begins with the id 4; expected <sos>",
    ),
    "a beam width of 0": (
        lambda: beam.beam_search(translator(), [[4, 3]], 0),
        "a beam keeps at least 1 hypothesis of at least 1 word; width is 0",
    ),
    "a beam of no words": (
        lambda: beam.beam_search(translator(), [[4, 3]], 2, most=0),
        "at least 1 word; width is 2, most 0",
    ),
    "coverage without attention": (
        lambda: beam.best_of(beam.beam_search(translator(), [[4, 3]], 2)[0], beta=0.2),
        "needs attention weights, which this translator does not give",
    ),
    "a target of <sos> alone": (
        lambda: seq2seq.loss(translator(), ([[4]], [[2]])),
        r"words has shape \(1, 0\); .* axis 1 \(T\) is empty",
    ),
    # an empty sequence
    "nothing to pad": (lambda: text.pad([]), "at least one is needed"),
    "an empty sequence to pad": (
        lambda: text.pad([[4], []]),
        "sequence 1 is empty; leave it out, or let it be <eos>",
    ),
    "<sos> alone": (
        lambda: language_model.next_token_loss(word_model(), ([[text.SOS]],)),
        r"expected \(N, T\), each at least 1: axis 1 \(T\) is empty",
    ),
    "no step to add": (
        lambda: adding.Adder(LAYERS["RNN"])(torch.zeros(3, 0, 2)),
        r"axis 1 \(T\) is empty",
    ),
    "no step for the SRU": (lambda: sru.SRU(2, 3)(torch.zeros(3, 0, 2)), "with N and T at least 1"),
    "no value": (lambda: metrics.band([]), "at least one value"),
    "no words for purity": (lambda: metrics.purity([], []), "one cluster and one class an item"),
    # a state of another batch
    "words of another batch": (
        lambda: translator().decode(torch.zeros(2, 6), torch.zeros(1, 2, 6), torch.tensor([[4]])),
        r"words has shape \(1, 1\); expected \(N=2, T\)",
    ),
    "the SRU's state": (
        lambda: sru.SRU(2, 3)(torch.zeros(4, 5, 2), torch.zeros(1, 3, 3)),
        r"initial has shape \(1, 3, 3\).*expected \(1, 4, 3\)",
    ),
    # (T, N, D) for (N, T, D), where it can be told
    "features elsewhere": (
        lambda: adding.Adder(LAYERS["RNN"])(torch.zeros(2, 5, 7)),
        r"axes 0 and 2 look swapped",
    ),
    "no feature axis": (lambda: adding.Adder(LAYERS["RNN"])(torch.zeros(5, 7)), "2 axes, not 3"),
    # masks, and sources longer than the positional table
    "attention's mask": (
        lambda: attention.Attention("dot", 4)(
            torch.zeros(2, 3, 4), torch.zeros(2, 5, 4), torch.ones(2, 3) > 0
        ),
        r"mask has shape \(2, 3\); expected \(N=2, S=5\)",
    ),
    "a memory's mask": (
        lambda: transformer_reads(5, mask=torch.ones(1, 1) > 0),
        r"mask has shape \(1, 1\); expected \(N=1, S=5\)",
    ),
    "a source too long": (
        lambda: transformer_reads(7),
        "7 positions are needed, the table has 6; make the model with a larger `longest`",
    ),
    "a causal layer's input too long": (
        lambda: transformer.CausalTransformer(2, 8, longest=6)(torch.zeros(1, 7, 2)),
        "7 positions are needed, the table has 6",
    ),
    # proofs
    "gradient of another shape": (
        lambda: proofs.check_gradients(lambda: 0.0, {"x": np.ones(3)}, {"x": np.ones((3, 1))}),
        r"'x' has shape \(3, 1\), the parameter has \(3,\)",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_error_names_what_was_expected(name: str) -> None:
    call, message = WRONG[name]
    with pytest.raises((ValueError, KeyError, IndexError), match=message):
        call()


@pytest.mark.parametrize("name", LAYERS)
def test_a_state_of_another_batch_is_told_by_every_layer(name: str) -> None:
    model = word_model(name)
    _, state = model(torch.full((3, 2), 4))
    with pytest.raises(
        (ValueError, RuntimeError), match=r"(?i)expected.*(2, 6|\[2, 6\]|L=2, N=2, P, 2H)"
    ):
        model(torch.full((2, 2), 4), state)


def test_right_ids_pass() -> None:
    expect.expect_ids("ids", np.array([[0, V - 1]]), V)
    expect.expect_ids("ids", torch.tensor([[0], [V - 1]]), V)
    expect.expect_ids("ids", np.zeros((2, 0), int), V)


@pytest.mark.parametrize("place", ["input", "target", "weight"])
def test_training_stops_at_the_first_number_that_is_none(place: str) -> None:
    model, x, y = nn.Linear(2, 1), torch.ones(4, 2), torch.ones(4, 1)
    with torch.no_grad():
        {"input": x, "target": y, "weight": model.weight}[place][0, 0] = torch.nan
    before = model.bias.detach().clone()
    with pytest.raises(
        FloatingPointError, match=r"step 0 \(epoch 0\): loss nan.*smaller learning rate"
    ):
        training.train(model, lambda: [(x, y)], adding.squared_error, epochs=1)
    assert torch.equal(model.bias, before), "no step was made"
