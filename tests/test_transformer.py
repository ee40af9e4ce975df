"""The Transformer with a cache: equal to the framework's layers, and the same in many calls."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from course_utils import text
from course_utils.models import seq2seq, transformer
from course_utils.models.transformer import CausalTransformer, TransformerTranslator
from course_utils.tasks import translation


def translator(**options: Any) -> TransformerTranslator:
    torch.manual_seed(0)
    return TransformerTranslator(9, 8, 12, heads=3, **options).double()


SOURCE = torch.tensor([[4, 5, 6, text.EOS], [7, text.EOS, text.PAD, text.PAD]])
WORDS = torch.tensor([[text.SOS, 5, 6, 7, 4], [text.SOS, 7, text.EOS, text.PAD, text.PAD]])


def test_positions_by_their_formula() -> None:
    table = transformer.positions(7, 6)
    for place, column in ((0, 0), (1, 1), (5, 4), (6, 3)):
        angle = torch.tensor(place / 10_000 ** (column // 2 * 2 / 6))
        number = angle.cos() if column % 2 else angle.sin()
        assert torch.isclose(table[place, column], number, atol=1e-6)
    assert transformer.positions(2, 5).shape == (2, 5)


@pytest.mark.parametrize("grad", [True, False])
def test_the_translator_equals_the_frameworks_layers(grad: bool) -> None:
    model = translator().train(grad)
    with torch.set_grad_enabled(grad):
        logits, _ = model.decode(*model.encode(SOURCE), WORDS)
        x, y = model.source(SOURCE) + model.table[:4], model.target(WORDS) + model.table[:5]
        padding = SOURCE == text.PAD
        for layer in model.encoder:
            x = layer(x, src_key_padding_mask=padding)
        later = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
        added = padding.double().masked_fill(padding, -torch.inf)
        memory = model.encoder_norm(x)
        for layer in model.decoder:
            y = layer(y, memory, tgt_mask=later, memory_key_padding_mask=added)
        theirs = model.head(model.decoder_norm(y))
    assert torch.allclose(logits, theirs, atol=1e-12)
    if grad:
        weights, losses = list(model.parameters()), [out.sin().sum() for out in (logits, theirs)]
        both = [torch.autograd.grad(loss, weights, retain_graph=True) for loss in losses]
        assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(*both, strict=True))


@pytest.mark.parametrize("cuts", [(1, 1, 1, 1, 1), (2, 3), (1, 4)])
def test_one_word_at_a_time_gives_the_same_logits(cuts: tuple[int, ...]) -> None:
    model = translator().eval()
    memory, state = model.encode(SOURCE)
    whole, cache = model.decode(memory, state, WORDS)
    parts = []
    for words in WORDS.split(list(cuts), dim=1):
        logits, state = model.decode(memory, state, words)
        parts.append(logits)
    assert torch.allclose(torch.cat(parts, dim=1), whole, atol=1e-12)
    assert torch.allclose(state, cache, atol=1e-12)
    assert cache.shape == (2, 2, 5, 24)


def test_padding_of_the_source_changes_nothing_and_a_sentence_needs_no_other() -> None:
    model = translator().eval()
    together, _ = model.decode(*model.encode(SOURCE), WORDS)
    alone, _ = model.decode(*model.encode(SOURCE[1:, :2]), WORDS[1:])
    assert torch.allclose(together[1:], alone, atol=1e-12)


def test_dropout_acts_in_training_alone() -> None:
    model = translator(dropout=0.5)
    first, second = (model.train().decode(*model.encode(SOURCE), WORDS)[0] for _ in range(2))
    assert not torch.allclose(first, second)
    first, second = (model.eval().decode(*model.encode(SOURCE), WORDS)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_greedy_ends_at_the_most() -> None:
    data, model = translation.data(), translation.MODELS["Transformer"]()
    sources = translation.ids(data.test[:2])[0]
    assert all(len(ids) <= 5 for ids in seq2seq.greedy(model.eval(), sources, most=5))


def test_the_embeddings_spread() -> None:
    wide, narrow = (translator(spread=spread).source.weight for spread in (1.0, 0.3))
    assert torch.allclose(narrow, 0.3 * wide, atol=1e-12)


def test_the_causal_layer_sees_no_later_step_and_goes_on_where_it_stopped() -> None:
    torch.manual_seed(0)
    layer = CausalTransformer(3, 8, heads=2, layers=3).double()
    x = torch.randn(2, 6, 3, dtype=torch.float64, requires_grad=True)
    states, last = layer(x)
    (gradient,) = torch.autograd.grad(states[:, 2].sin().sum(), x, retain_graph=True)
    assert gradient[:, :3].abs().min() > 0
    assert not gradient[:, 3:].any()
    first, cache = layer(x[:, :4])
    second, cache = layer(x[:, 4:], cache)
    assert torch.allclose(torch.cat([first, second], dim=1), states, atol=1e-12)
    assert torch.allclose(cache, last, atol=1e-12)
    assert last.shape == (3, 2, 6, 16)
    assert len(layer.layers) == 3


def test_the_causal_layer_equals_the_frameworks_encoder_under_a_causal_mask() -> None:
    torch.manual_seed(0)
    layer = CausalTransformer(3, 8, heads=2, inner=5).double()
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    theirs = layer.enter(x) + layer.table[:6]
    later = nn.Transformer.generate_square_subsequent_mask(6, dtype=torch.float64)
    for each in layer.layers:
        theirs = each(theirs, src_mask=later)
    assert torch.allclose(layer(x)[0], layer.norm(theirs), atol=1e-12)
    assert layer.layers[0].linear1.out_features == 5  # type: ignore[union-attr]


def test_bad_input_meets_an_error_that_says_what_was_expected() -> None:
    model, layer = translator(longest=4), CausalTransformer(3, 8, heads=2, longest=4)
    memory, state = model.encode(SOURCE)
    too_long = "5 positions are needed, the table has 4"
    x, initial = torch.zeros(1, 4, 3), torch.zeros(2, 2, 0, 16)
    one_row, unknown = torch.tensor([[2]]), torch.tensor([[2], [8]])
    for function, given, message in (
        (model.encode, [torch.full((1, 5), 4)], too_long),
        (model.decode, [memory, state, WORDS], too_long),
        (layer, [torch.zeros(1, 5, 3)], too_long),
        (model.encode, [torch.tensor([[4], [text.PAD]])], "source row 1 is padding alone"),
        (model.encode, [torch.tensor([[9]])], r"source has the id 9 at \(0, 0\)"),
        (model.decode, [memory, state, one_row], r"words has shape \(1, 1\); expected \(N=2, T\)"),
        (model.decode, [memory, state, unknown], r"words has the id 8 at \(1, 0\)"),
        (layer, [x[:, :, :2]], r"x has shape \(1, 4, 2\); expected \(N, T, D=3\)"),
        (layer, [x, initial], r"initial has shape \(2, 2, 0, 16\); expected"),
    ):
        with pytest.raises(ValueError, match=message):
            function(*given)
