"""The Transformer with a cache: equal to the framework's layers, causal, the same in one call or many, and clear errors."""

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
        assert torch.isclose(table[place, column], angle.cos() if column % 2 else angle.sin(), atol=1e-6)
    assert transformer.positions(2, 5).shape == (2, 5)


@pytest.mark.parametrize("grad", [True, False])
def test_the_translator_equals_the_frameworks_layers(grad: bool) -> None:
    model = translator().train(grad)
    with torch.set_grad_enabled(grad):
        logits, _ = model.decode(*model.encode(SOURCE), WORDS)
        padding, x, y = SOURCE == text.PAD, model.source(SOURCE) + model.table[:4], model.target(WORDS) + model.table[:5]
        for layer in model.encoder:
            x = layer(x, src_key_padding_mask=padding)
        later = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
        for layer in model.decoder:
            y = layer(y, model.encoder_norm(x), tgt_mask=later, memory_key_padding_mask=padding.double().masked_fill(padding, -torch.inf))
        theirs = model.head(model.decoder_norm(y))
    assert torch.allclose(logits, theirs, atol=1e-12)
    if grad:
        ours_and_theirs = [torch.autograd.grad(out.sin().sum(), list(model.parameters()), retain_graph=True) for out in (logits, theirs)]
        assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(*ours_and_theirs, strict=True))


@pytest.mark.parametrize("cuts", [(1, 1, 1, 1, 1), (2, 3), (1, 4)])
def test_one_word_at_a_time_gives_the_same_logits(cuts: tuple[int, ...]) -> None:
    model = translator().eval()
    memory, state = model.encode(SOURCE)
    whole, cache = model.decode(memory, state, WORDS)
    parts = []
    for words in WORDS.split(list(cuts), dim=1):
        logits, state = model.decode(memory, state, words)
        parts.append(logits)
    assert torch.allclose(torch.cat(parts, dim=1), whole, atol=1e-12) and torch.allclose(state, cache, atol=1e-12)
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


def test_the_rate_of_a_transformer_is_its_own_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    monkeypatch.setattr(translation, "train_in_one_cycle", lambda *_, rate, **__: rates.append(rate))
    for name, rate in (("seq2seq", None), ("Transformer", None), ("Transformer", 0.001)):
        translation.train(translation.MODELS[name](), 0, rate=rate)
    assert rates == [translation.RATE, translation.TRANSFORMER_RATE, 0.001]


def test_the_causal_layer_sees_no_later_step_and_goes_on_where_it_stopped() -> None:
    torch.manual_seed(0)
    layer = CausalTransformer(3, 8, heads=2, layers=3).double()
    x = torch.randn(2, 6, 3, dtype=torch.float64, requires_grad=True)
    states, last = layer(x)
    (gradient,) = torch.autograd.grad(states[:, 2].sin().sum(), x, retain_graph=True)
    assert gradient[:, :3].abs().min() > 0 and not gradient[:, 3:].any()
    first, cache = layer(x[:, :4])
    second, cache = layer(x[:, 4:], cache)
    assert torch.allclose(torch.cat([first, second], dim=1), states, atol=1e-12) and torch.allclose(cache, last, atol=1e-12)
    assert last.shape == (3, 2, 6, 16) and len(layer.layers) == 3


def test_the_causal_layer_equals_the_frameworks_encoder_under_a_causal_mask() -> None:
    torch.manual_seed(0)
    layer, x = CausalTransformer(3, 8, heads=2, inner=5).double(), torch.randn(2, 6, 3, dtype=torch.float64)
    theirs, later = layer.enter(x) + layer.table[:6], nn.Transformer.generate_square_subsequent_mask(6, dtype=torch.float64)
    for each in layer.layers:
        theirs = each(theirs, src_mask=later)
    assert torch.allclose(layer(x)[0], layer.norm(theirs), atol=1e-12)
    assert layer.layers[0].linear1.out_features == 5  # type: ignore[union-attr]


def test_bad_input_meets_an_error_that_says_what_was_expected() -> None:
    model, layer = translator(longest=4), CausalTransformer(3, 8, heads=2, longest=4)
    memory, state = model.encode(SOURCE)
    for call, told in (
        (lambda: model.encode(torch.full((1, 5), 4)), r"5 positions are needed, the table has 4"),
        (lambda: model.decode(memory, state, WORDS), r"5 positions are needed, the table has 4"),
        (lambda: model.encode(torch.tensor([[4], [text.PAD]])), "source row 1 is padding alone"),
        (lambda: model.encode(torch.tensor([[9]])), r"source has the id 9 at \(0, 0\)"),
        (lambda: model.decode(memory, state, torch.tensor([[2]])), r"words has shape \(1, 1\); expected \(N=2, T\)"),
        (lambda: model.decode(memory, state, torch.tensor([[2], [8]])), r"words has the id 8 at \(1, 0\)"),
        (lambda: layer(torch.zeros(1, 5, 3)), r"5 positions are needed, the table has 4"),
        (lambda: layer(torch.zeros(1, 4, 2)), r"x has shape \(1, 4, 2\); expected \(N, T, D=3\)"),
        (lambda: layer(torch.zeros(1, 4, 3), torch.zeros(2, 2, 0, 16)), r"initial has shape \(2, 2, 0, 16\); expected"),
    ):
        with pytest.raises(ValueError, match=told):
            call()
