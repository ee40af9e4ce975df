"""Attention as a module, the translator that has it, the alignment error, and the shared task of the dates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from course_utils import grammar, text
from course_utils.models import attention
from course_utils.tasks import dates, translation
from from_notebook import definitions


def some(H: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """query (3, 2, H), key (3, 5, H), and a mask with a full row, one with padding, and one with nothing real."""
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(3, steps, H, generator=generator, requires_grad=True) for steps in (2, 5))
    return query, key, torch.arange(5) < torch.tensor([[5], [3], [0]])


def test_dot_and_general_equal_the_frameworks_attention() -> None:
    query, key, mask = some()
    general = attention.Attention("general", 4)
    for module, asked in ((attention.Attention("dot", 4), query), (general, general.W_q(query))):
        context, _ = module(query, key, mask)
        theirs = F.scaled_dot_product_attention(asked[:2], key[:2], key[:2], attn_mask=mask[:2, None], scale=1)
        assert torch.allclose(context[:2], theirs, atol=1e-6)


@pytest.mark.parametrize("score", attention.SCORES)
def test_weights_leave_padding_out_and_an_empty_row_is_zero_and_learns_nothing(score: str) -> None:
    query, key, mask = some()
    context, weights = attention.Attention(score, 4)(query, key, mask)
    assert torch.allclose(weights.sum(dim=2), mask.any(dim=1, keepdim=True).float().expand(3, 2), atol=1e-6)
    assert not weights[1, :, 3:].any() and not context[2].any()
    context.sum().backward()
    assert query.grad is not None and key.grad is not None
    assert torch.isfinite(query.grad).all() and not query.grad[2].any() and not key.grad[1, 3:].any()


def test_additive_score_by_its_formula() -> None:
    query, key, mask = some()
    module = attention.Attention("additive", 4)
    scores = torch.tanh(module.W_q(query)[1, 0] + module.W_k(key)[1, :3]) @ module.v.weight[0]
    assert torch.allclose(module(query, key, mask)[1][1, 0, :3], scores.softmax(dim=0), atol=1e-6)


def test_an_unknown_score_is_refused() -> None:
    with pytest.raises(ValueError, match="dot, general, additive"):
        attention.Attention("cosine", 4)


def test_bad_input_meets_an_error_that_names_what_was_expected() -> None:
    query, key, mask = some()
    module, model = attention.Attention("dot", 4), attention.AttentionTranslator(9, 8, 5, 6)
    with pytest.raises(ValueError, match=r"mask has shape \(5, 3\); expected \(N=3, S=5\): axes 0 and 1 look swapped"):
        module(query, key, mask.T)
    with pytest.raises(ValueError, match=r"key has shape \(2, 5, 4\); expected \(N=3, S, H=4\)"):
        module(query, key[:2], mask)
    with pytest.raises(ValueError, match="source row 1 is padding alone"):
        model.encode(torch.tensor([[4, 3], [0, 0]]))
    with pytest.raises(ValueError, match=r"source has the id 9 at \(0, 1\)"):
        model.encode(torch.tensor([[4, 9]]))
    memory, state = model.encode(torch.tensor([[4, 3]]))
    with pytest.raises(ValueError, match=r"words has shape \(2, 1\); expected \(N=1, T\)"):
        model.decode(memory, state, torch.tensor([[2], [2]]))
    with pytest.raises(ValueError, match="words has the id 8"):
        model.decode(memory, state, torch.tensor([[8]]))


@pytest.mark.parametrize("both_ways", [True, False])
def test_source_padding_changes_nothing(both_ways: bool) -> None:
    torch.manual_seed(0)
    model = attention.AttentionTranslator(9, 8, 5, 6, "general", both_ways=both_ways)
    words = torch.tensor([[text.SOS, 5]])
    memory, state = model.encode(torch.tensor([[4, 5, text.EOS]]))
    padded_memory, padded_state = model.encode(torch.tensor([[4, 5, text.EOS, text.PAD, text.PAD]]))
    assert memory[0].shape == (1, 3, 6) and state.shape == (1, 1, 6)
    logits, _, weights = model.decode_and_look(memory, state, words)
    padded, _, padded_weights = model.decode_and_look(padded_memory, padded_state, words)
    assert torch.allclose(logits, padded, atol=1e-6)
    assert weights is not None and padded_weights is not None and torch.allclose(weights, padded_weights[:, :, :3], atol=1e-6)
    assert torch.equal(model.decode(memory, state, words)[0], logits)


def test_without_attention_only_the_first_state_counts() -> None:
    model = attention.AttentionTranslator(9, 8, 5, 6, None)
    memory, state = model.encode(torch.tensor([[4, 5, 6]]))
    words = torch.tensor([[text.SOS, 5]])
    logits, _, weights = model.decode_and_look((0 * memory[0], memory[1]), state, words)
    assert weights is None and torch.equal(logits, model.decode(memory, state, words)[0])


def pair(korean: int, alignment: tuple[tuple[int, int], ...]) -> grammar.Pair:
    return grammar.Pair(("a",) * 3, ("b",) * korean, (), (), alignment, 0, 0.0, (), 0)


def test_alignment_error_by_hand() -> None:
    weights = [np.array([[0.9, 0.1, 0.0], [0.2, 0.1, 0.7], [0.0, 0.0, 1.0]])]  # the last row is <eos>'s
    assert attention.alignment_error(weights, [pair(2, ((0, 0), (2, 1)))]) == 0
    assert attention.alignment_error(weights, [pair(2, ((0, 0), (1, 1)))]) == 0.5
    assert attention.alignment_error(weights, [pair(2, ((0, 0), (1, 0), (2, 1)))]) == pytest.approx(0.2)


def test_weights_on_the_truth_have_a_row_for_each_word_and_one_for_the_end() -> None:
    model, pairs = translation.attention_translator("dot"), translation.data().test[::150]
    source, target = translation.ids(pairs)
    weights = attention.weights_on_truth(model, source, target)
    assert [rows.shape for rows in weights] == [(len(t) - 1, len(s)) for s, t in zip(source, target)]
    assert all(np.allclose(rows.sum(axis=1), 1, atol=1e-5) for rows in weights)
    alone = attention.weights_on_truth(model, source[:1], target[:1])[0]
    assert np.allclose(alone, weights[0], atol=1e-6)
    assert 0 <= translation.alignment_error_on_test(model) <= 1


def test_dates_are_different_texts_and_their_ids_end_where_they_should() -> None:
    data = dates.data()
    assert len(data.train) == dates.TRAIN and len(data.test) == dates.TEST
    assert len({date.text for date in data.train + data.test}) == dates.TRAIN + dates.TEST
    source, target = dates.ids(data.test[:3])
    assert [data.letters.decode(ids) for ids in source] == [list(date.text) for date in data.test[:3]]
    assert all(len(ids) == 12 and ids[0] == text.SOS and ids[-1] == text.EOS for ids in target)


def test_a_model_that_writes_the_truth_reads_every_date() -> None:
    some_dates = dates.data().test[:4]
    answers = {tuple(source): target for source, target in zip(*dates.ids(some_dates))}

    class Oracle(torch.nn.Module):
        def encode(self, source: torch.Tensor) -> tuple[list[list[int]], torch.Tensor]:
            rows = [tuple(int(token) for token in row if token != text.PAD) for row in source]
            return [answers[row] for row in rows], torch.zeros(1)

        def decode(self, memory: list[list[int]], state: torch.Tensor, words: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return F.one_hot(torch.tensor([[row[int(state) + 1]] for row in memory]), 20), state + 1

    assert dates.exact(Oracle(), some_dates) == 100
    first = next(iter(answers))
    answers[first] = [*answers[first][:-2], 4, text.EOS] if answers[first][-2] != 4 else [*answers[first][:-2], 5, text.EOS]
    assert dates.exact(Oracle(), some_dates) == 75


@pytest.fixture(scope="module")
def lesson() -> dict[str, Callable[..., np.ndarray]]:
    return definitions(12)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_the_lessons_masked_softmax_on_random_masks(lesson: dict[str, Callable[..., np.ndarray]], length: int) -> None:
    rng = np.random.default_rng(length)
    for _ in range(20):
        scores, mask = rng.standard_normal((3, 2, length)) * 100, rng.random((3, length)) < 0.6
        weights = lesson["masked_softmax"](scores, mask)
        assert np.allclose(weights.sum(axis=2), mask.any(axis=1)[:, None]) and not weights[~np.repeat(mask[:, None], 2, axis=1)].any()
        one = mask.any(axis=1)
        theirs = torch.tensor(np.where(mask[:, None], scores, -np.inf)[one]).softmax(dim=2).numpy()
        assert np.allclose(weights[one], theirs)
