"""Odd uses, kind by kind: each gives the right answer, or an error that says what would be right.

Most come from public bug reports on other software. What lessons' own formulas do stands in
`lessons/`, exercises in `test_exercises.py`, `reset` and the private folder in `test_setup.py`.
"""

from __future__ import annotations

import copy
import datetime
import io
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from course_utils import expect, metrics, plots, proofs, text, training
from course_utils.datasets import addition, windows
from course_utils.models import attention, beam, bert, gnmt, seq2seq, transformer
from course_utils.models.layers import LAYERS
from course_utils.models.sru import SRU
from course_utils.tasks import adding, labelling, language_model

V = 12
WORDS = text.Vocabulary(["dog", "dogs", "run", "runs"])
SOURCES = [[4, 5, 6, 3], [7, 8, 3]]
TARGETS = [[2, 4, 5, 3], [2, 6, 3]]
TRANSLATORS: dict[str, Callable[[], Any]] = {
    "seq2seq": lambda: seq2seq.Seq2Seq(V, V, 4, 6, peeky=True),
    "seq2seq, SRU": lambda: seq2seq.Seq2Seq(V, V, 4, 6, layer=LAYERS["SRU"]),
    "without attention": lambda: attention.AttentionTranslator(V, V, 4, 6, None),
    "dot": lambda: attention.AttentionTranslator(V, V, 4, 6, "dot"),
    "general": lambda: attention.AttentionTranslator(V, V, 4, 6, "general"),
    "additive": lambda: attention.AttentionTranslator(V, V, 4, 6, "additive", both_ways=False),
    "GNMT": lambda: gnmt.GNMT(V, V, 4, 6),
    "GNMT, feeding": lambda: gnmt.GNMT(V, V, 4, 6, feeding=True, deep_context=False),
    "Transformer": lambda: transformer.TransformerTranslator(V, V, 8),
}


def made(make: Callable[[], Any]) -> Any:
    torch.manual_seed(0)
    return make()


# A. Kinds of numbers: ids, masks, series


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.int64])
def test_ids_of_any_whole_type_are_the_same_ids(kind: Any) -> None:
    ids = np.array([[2, 4, 7]], dtype=kind)
    assert expect.expect_ids("ids", ids, V).dtype == np.int64
    assert expect.expect_ids("ids", torch.from_numpy(ids), V).dtype == torch.int64
    model = made(lambda: language_model.LanguageModel(V, 6, LAYERS["GRU"]))
    expected = model(torch.tensor([[2, 4, 7]]))[0]
    assert torch.equal(model(torch.from_numpy(ids))[0], expected)


QUERY, KEY = torch.randn(1, 2, 8), torch.randn(1, 3, 8)
IDS = torch.tensor([[4, 5, 6]])
TAKES_A_MASK: dict[str, Callable[[Tensor], Any]] = {
    "accuracy": lambda mask: metrics.accuracy(IDS.numpy(), IDS.numpy(), mask.numpy()),
    "attention": lambda mask: attention.Attention("dot", 8)(QUERY, KEY, mask),
    "attend": lambda mask: transformer.attend(
        nn.MultiheadAttention(8, 2, batch_first=True),
        QUERY,
        KEY.repeat(1, 1, 2),
        mask[:, None, None],
    ),
    "attention_mask": transformer.attention_mask,
    "decode": lambda mask: transformer_with_mask(mask),
    "labels": lambda mask: labelling.Labeller(V, 3)(IDS, mask),
    "reverse_steps": lambda mask: labelling.reverse_steps(KEY, mask),
    "BERT": lambda mask: bert.Encoder(V)(IDS, torch.zeros_like(IDS), mask),
}


def transformer_with_mask(mask: Tensor) -> Any:
    model = made(TRANSLATORS["Transformer"])
    (seen, _), state = model.encode(IDS)
    return model.decode((seen, mask), state, torch.tensor([[2]]))


@pytest.mark.parametrize("kind", [torch.float32, torch.int64, torch.uint8])
@pytest.mark.parametrize("name", TAKES_A_MASK)
def test_a_mask_of_numbers_is_refused(name: str, kind: torch.dtype) -> None:
    mask = torch.tensor([[True, True, False]])
    TAKES_A_MASK[name](mask)
    with pytest.raises(ValueError, match=r"expected True \(real\) and False \(padding\)"):
        TAKES_A_MASK[name](mask.to(kind))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: windows(np.array([1.0, np.nan, 3.0, 4.0]), 2), r"a gap at step 1 \(nan\)"),
        (lambda: windows(np.array([1.0, 2.0, np.inf, 4.0]), 2), r"a gap at step 2 \(inf\)"),
        (lambda: windows(np.ma.masked_equal([1.0, 2.0, 1e20], 1e20), 2), r"step 2 \(masked\)"),
        (lambda: windows(np.array([1.0, 2j, 3.0]), 2), "complex numbers; expected real ones"),
        (lambda: windows(np.ones((3, 2)), 2), r"shape \(3, 2\); expected one row of numbers"),
        (lambda: text.pad([[4.7, 5.9]]), "float64 numbers; expected ids, whole numbers"),
        (lambda: addition(3, digits=10), "digits"),
        (lambda: attention.AttentionTranslator(V, V, 4, 7), "H is 7; both directions share it"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("clip", [0.0, -1.0, float("nan")])
def test_training_refuses_a_clip_that_would_not_clip(clip: float) -> None:
    with pytest.raises(ValueError, match=r"clip is .*; expected a norm above 0, or None"):
        training.train(nn.Linear(1, 1), list, adding.squared_error, epochs=1, clip=clip)


# B. Padding that is not at the end, and special tokens in a text


@pytest.mark.parametrize("name", TRANSLATORS)
def test_padding_on_the_left_is_refused(name: str) -> None:
    model = made(TRANSLATORS[name])
    words = "source row 1 has padding before a real token; expected padding at the end alone"
    with pytest.raises(ValueError, match=words):
        model.encode(torch.tensor([[4, 5, 3], [0, 4, 3]]))
    with pytest.raises(ValueError, match="target row 0 has padding before a real token"):
        seq2seq.loss(model, ([[4, 3]], [[2, 0, 4, 3]]))


@pytest.mark.parametrize("name", ["labels", "reverse_steps", "BERT"])
def test_a_mask_with_a_hole_is_refused(name: str) -> None:
    for mask in ([[False, True, True]], [[True, False, True]]):
        with pytest.raises(ValueError, match="mask row 0 has padding before a real token"):
            TAKES_A_MASK[name](torch.tensor(mask))


def test_a_language_model_learns_nothing_from_hidden_padding() -> None:
    model = made(lambda: language_model.LanguageModel(V, 6))
    with pytest.raises(ValueError, match="ids row 0 has padding before a real token"):
        language_model.next_token_loss(model, ([[2, 0, 4, 3]],))


@pytest.mark.parametrize("name", TRANSLATORS)
def test_padding_at_the_end_changes_nothing(name: str) -> None:
    model = made(TRANSLATORS[name]).eval()
    alone, padded = torch.tensor([[7, 8, 3]]), torch.tensor([[7, 8, 3, 0, 0], [4, 5, 6, 7, 3]])
    words = torch.tensor([[2, 4]])
    expected, _ = model.decode(*model.encode(alone), words)
    given, _ = model.decode(*model.encode(padded), words.expand(2, 2))
    torch.testing.assert_close(given[:1], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("token", text.SPECIALS)
def test_a_special_token_in_a_text_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match=f"token 1 of the text is '{token}', which is a special"):
        WORDS.encode(["dog", token, "runs"])
    assert token not in text.Vocabulary.build([["dog", token]]).tokens[4:]


# C. Numerical edges (those of the pages' formulas stand in `lessons/`)


def test_a_row_without_a_real_key_gets_zeros() -> None:
    for score in attention.SCORES:
        key = torch.full((1, 3, 8), 1e4)
        mask = torch.zeros(1, 3, dtype=torch.bool)
        context, weights = attention.Attention(score, 8)(QUERY, key, mask)
        assert not context.any()
        assert not weights.any()


def test_logits_that_are_far_apart_give_finite_losses() -> None:
    model = made(lambda: language_model.LanguageModel(V, 6))
    with torch.no_grad():
        model.head.bias[4] = 1000
    nats = language_model.next_token_loss(model, ([[2, 5, 3]],))
    assert float(nats.detach()) == pytest.approx(1000, abs=5)
    (row,) = language_model.token_nats(model, [[2, 5, 3]])
    assert np.isfinite(row).all()


def test_beams_rank_the_empty_translation() -> None:
    model = made(TRANSLATORS["dot"])
    with torch.no_grad():
        model.head.bias[text.EOS] = 1000
    (found,) = beam.beam_search(model, [[4, 3]], 1)
    assert beam.best_of(found, alpha=0.6, beta=0.2).words == []


# D. Half precision, as cast modules and under autocast. The loss comes first: what is read out
# without gradients leaves cast weights without them in autocast's cache, and PyTorch 2.9 would
# train with those.


def use_translator(model: Any) -> Tensor:
    loss = seq2seq.loss(model, (SOURCES, TARGETS))
    assert seq2seq.greedy(model, SOURCES, 4) == [
        beams[0].words for beams in beam.beam_search(model, SOURCES, 1, 4)
    ]
    if getattr(model, "attend", None) is not None:
        for weights in attention.weights_on_truth(model, SOURCES, TARGETS):
            np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=0.02)
    return loss


def use_language_model(model: Any) -> Tensor:
    loss = language_model.next_token_loss(model, ([[2, 4, 5, 3], [2, 6, 3]],))
    nats = np.concatenate(language_model.token_nats(model, [[2, 4, 5, 3], [2, 6, 3]]))
    assert np.isfinite(nats).all()
    clause = language_model.Clause(("dog", "runs"), 1, "run", 0)
    assert language_model.prefers_right(model, [clause], WORDS)[0] in (0, 0.5, 1)
    return loss


def use_labeller(model: Any) -> Tensor:
    labels: list[Any] = [[0, 1, 2], [1, 0]] if model.each_word else [0, 1]
    loss = labelling.loss(model, ([[4, 5, 6], [7, 5]], labels))
    assert labelling.predict(model, [[4, 5, 6], [7, 5]]).max() < 3
    return loss


def use_bert(model: Any) -> Tensor:
    ids = torch.tensor([[4, 5, 6], [7, 8, 0]])
    words, following = model(ids, torch.zeros_like(ids), ids != 0, ids != 0)
    return (words.float() ** 2).sum() + (following.float() ** 2).sum()


def use_adder(model: Any) -> Tensor:
    loss = adding.squared_error(model, adding.data(3, 5, np.random.default_rng(0)))
    assert np.isfinite(adding.error(model, 5))
    return loss


MODELS: dict[str, tuple[Callable[[], Any], Callable[[Any], Tensor]]] = {
    **{name: (make, use_translator) for name, make in TRANSLATORS.items()},
    **{
        f"language model, {name}": (
            lambda layer=layer: language_model.LanguageModel(len(WORDS), 8, layer),
            use_language_model,
        )
        for name, layer in LAYERS.items()
    },
    **{
        f"labels, {name}": (
            lambda layer=layer: labelling.Labeller(V, 3, layer, size=8),
            use_labeller,
        )
        for name, layer in LAYERS.items()
    },
    **{
        f"adding, {name}": (lambda layer=layer: adding.Adder(layer, 8), use_adder)
        for name, layer in LAYERS.items()
    },
    "labels of words": (lambda: labelling.Labeller(V, 3, each_word=True, size=8), use_labeller),
    "BERT": (lambda: bert.PreTraining(bert.Encoder(V, 8, heads=2)), use_bert),
}


def framework_lstm_fails() -> bool:
    """Whether this processor's `nn.LSTM` itself stops under autocast (oneDNN lacks the type)."""
    try:
        nn.LSTM(4, 4)(torch.zeros(1, 1, 4))
    except RuntimeError:
        return True
    return False


@pytest.mark.parametrize("way", ["cast", "autocast"])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
@pytest.mark.parametrize("name", MODELS)
def test_half_precision_is_close_to_float32(name: str, kind: torch.dtype, way: str) -> None:
    """Forward, backward, and every way of reading a model out."""
    make, use = MODELS[name]
    model = made(make).train()
    single = copy.deepcopy(model)
    expected = use(single)
    expected.backward()
    if way == "cast":
        loss = use(model.to(kind))
        loss.backward()
    else:
        with torch.autocast("cpu", dtype=kind):
            if "LSTM" in name and framework_lstm_fails():
                with pytest.raises(RuntimeError, match="could not create a primitive"):
                    use(model)
                return
            loss = use(model)
        loss.backward()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=0.05, abs=0.02)
    for (leaf, half), full in zip(model.named_parameters(), single.parameters()):
        if full.grad is None:
            continue
        largest = max(float(full.grad.abs().max()), 1e-2)
        assert half.grad is not None, leaf
        gap = float((half.grad.float() - full.grad).abs().max())
        assert gap <= 0.15 * largest, f"{leaf}: {gap} beside {largest}"


# E. The SRU, wherever an `nn.GRU` may stand


def sru(**options: Any) -> SRU:
    return made(lambda: SRU(4, 4, batch_first=True, **options).double())


def steps_of(N: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(N, 3, 4, dtype=torch.float64, generator=generator, requires_grad=True)


def test_a_gradient_penalty_has_the_gradient_of_finite_differences() -> None:
    layer, x = sru(), steps_of()

    def penalty() -> Tensor:
        output, _ = layer(x)
        (slope,) = torch.autograd.grad(output.sum(), x, create_graph=True)
        value: Tensor = output.pow(2).mean() + 10 * (slope.norm() - 1) ** 2
        return value

    penalty().backward()
    parameters = {name: leaf.detach().numpy() for name, leaf in layer.named_parameters()}
    slopes = {name: leaf.grad.numpy() for name, leaf in layer.named_parameters()}
    proofs.check_gradients(lambda: float(penalty().detach()), parameters, slopes, tolerance=1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2}, {"bidirectional": True}, {"highway": False}], ids=str
)
def test_second_derivatives_are_right(options: dict[str, Any]) -> None:
    layer, x = sru(**options), steps_of(1)
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], (x,))


def test_functional_transforms_work() -> None:
    layer, x = sru(), steps_of().detach()
    weights = dict(layer.named_parameters())

    def loss(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        value: Tensor = torch.func.functional_call(layer, weights, (x,))[0].pow(2).sum()
        return value

    given = torch.func.grad(loss)(weights, x)
    loss(weights, x).backward()
    for name, leaf in layer.named_parameters():
        torch.testing.assert_close(given[name], leaf.grad)
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, x[:, None])
    for name in weights:
        torch.testing.assert_close(each[name].sum(0), given[name])
    _, along = torch.func.jvp(lambda x: layer(x)[0].sum(), (x,), (torch.ones_like(x),))
    slope = torch.func.grad(lambda x: layer(x)[0].sum())(x)
    torch.testing.assert_close(along, slope.sum())


def test_export_gives_the_same_layer() -> None:
    layer, x = sru().float(), torch.randn(2, 3, 4)
    exported = torch.export.export(layer, (x,)).module()
    torch.testing.assert_close(exported(x), layer(x))


def test_packed_sequences_are_refused_in_a_sentence() -> None:
    packed = pack_sequence([torch.zeros(3, 4), torch.zeros(2, 4)])
    with pytest.raises(ValueError, match=r"(?i)packed"):
        SRU(4, 4)(packed)


# F. Truth values of arrays


def test_purity_takes_arrays() -> None:
    clusters = np.array([0, 0, 1])
    assert metrics.purity(clusters, clusters) == 1
    with pytest.raises(ValueError, match="got 0 and 0"):
        metrics.purity(np.array([]), np.array([]))


# G. Tools of proof


def test_a_gradient_that_is_zero_on_paper_is_right() -> None:
    z, b = np.random.default_rng(0).normal(size=5), np.zeros(1)
    p = np.exp(z) / np.exp(z).sum()

    def loss() -> float:
        return float(np.log(np.exp(z + b).sum()) - (z + b)[2])

    slope = np.array([(p - np.eye(5)[2]).sum()])  # the softmax does not see a shift
    assert proofs.check_gradients(loss, {"b": b}, {"b": slope}) == {"b": 0}
    with pytest.raises(AssertionError, match="the gradient of 'b' is wrong"):
        proofs.check_gradients(loss, {"b": b}, {"b": np.array([1e-4])})


State = namedtuple("State", ["h", "c"])
SAME: dict[str, Any] = {
    "infinities": np.array([-np.inf, 1, np.inf]),
    "bool": torch.tensor([True, False]),
    "bfloat16": torch.tensor([1.5, 2], dtype=torch.bfloat16),
    "whole numbers": np.arange(3, dtype=np.uint8),
    "output and state": (torch.zeros(2, 3), (torch.ones(1, 2), torch.ones(1, 2))),
    "a named pair": State(np.zeros(2), np.ones(2)),
    "a mapping": {"W": np.ones(2), "b": None},
    "numbers": [1.0, 2.0],
}


@pytest.mark.parametrize("name", SAME)
def test_compare_takes_what_layers_give(name: str) -> None:
    assert proofs.compare(SAME[name], copy.deepcopy(SAME[name]), tolerance=0) == 0


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ([np.inf, 1.0], [-np.inf, 1.0]),
        ([np.nan, 1.0], [np.nan, 1.0]),
        ([True, False], [True, True]),
        ([255], [0]),
        ((np.zeros(2), np.zeros(2)), (np.zeros(2), np.ones(2))),
        ((np.zeros(2), np.zeros(2)), (np.zeros(2),)),
        ({"W": np.ones(2)}, {"V": np.ones(2)}),
        (np.zeros(0), np.zeros(0)),
        (None, np.zeros(1)),
    ],
    ids=str,
)
def test_compare_notices_what_differs(ours: Any, theirs: Any) -> None:
    with pytest.raises(AssertionError):
        proofs.compare(ours, theirs, tolerance=1e-6)


# J. Small interfaces


@pytest.mark.parametrize(
    "times",
    [
        [datetime.date(2001, 1, 1), datetime.date(2001, 1, 2)],
        np.array(["2001-01", "2001-02"], dtype="datetime64[M]"),
        ["spring", "summer"],
        [1, 2],
    ],
    ids=["dates", "months", "words", "numbers"],
)
def test_lines_are_labelled_on_any_axis(times: Any) -> None:
    fig, ax = plots.figure()
    ax.plot(times, [1, 2], label="rain")
    plots.label_lines(ax)
    assert [label.get_text() for label in ax.texts] == ["rain"]
    fig.canvas.draw()


def test_an_optimizer_can_be_saved() -> None:
    model = nn.Linear(2, 1)
    optimizer = training.adam(model.parameters(), 0.1)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    file = io.BytesIO()
    torch.save(optimizer, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)
    assert again.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]


def test_beams_take_rows_of_any_container() -> None:
    state = State(torch.arange(6).view(1, 3, 2), None)
    parts = {"pair": (state.h, [state.h]), "named": state}
    taken = beam.take_rows(parts, torch.tensor([2, 0]), 1)
    expected = state.h[:, [2, 0]]
    assert isinstance(taken["named"], State)
    assert taken["named"].c is None
    for part in (taken["pair"][0], taken["pair"][1][0], taken["named"].h):
        assert torch.equal(part, expected)
