"""Attention as a module, the translator that has it, the alignment error, and the task of dates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from course_utils import grammar, text
from course_utils.models import attention
from course_utils.tasks import dates, translation


def query_key_mask() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """query (3, 2, 4), key (3, 5, 4), and a mask: all real, some padding, nothing real."""
    torch.manual_seed(0)
    query, key = (torch.randn(3, steps, 4, requires_grad=True) for steps in (2, 5))
    return query, key, torch.arange(5) < torch.tensor([[5], [3], [0]])


def test_dot_and_general_equal_the_frameworks_attention() -> None:
    query, key, mask = query_key_mask()
    general = attention.Attention("general", 4)
    for module, asked in ((attention.Attention("dot", 4), query), (general, general.W_q(query))):
        context, _ = module(query, key, mask)
        parts, keep = (part[:2] for part in (asked, key, key)), mask[:2, None]
        theirs = F.scaled_dot_product_attention(*parts, attn_mask=keep, scale=1)
        assert torch.allclose(context[:2], theirs, atol=1e-6)


@pytest.mark.parametrize("score", attention.SCORES)
def test_weights_leave_padding_out_and_an_empty_row_is_zero_and_learns_nothing(score: str) -> None:
    query, key, mask = query_key_mask()
    context, weights = attention.Attention(score, 4)(query, key, mask)
    real = mask.any(dim=1, keepdim=True).float()
    assert torch.allclose(weights.sum(dim=2), real.expand(3, 2), atol=1e-6)
    assert not weights[1, :, 3:].any()
    assert not context[2].any()
    context.sum().backward()
    assert query.grad is not None
    assert key.grad is not None
    assert torch.isfinite(query.grad).all()
    assert not query.grad[2].any()
    assert not key.grad[1, 3:].any()


def test_additive_score_by_its_formula() -> None:
    query, key, mask = query_key_mask()
    module = attention.Attention("additive", 4)
    scores = torch.tanh(module.W_q(query)[1, 0] + module.W_k(key)[1, :3]) @ module.v.weight[0]
    assert torch.allclose(module(query, key, mask)[1][1, 0, :3], scores.softmax(dim=0), atol=1e-6)


def test_an_unknown_score_is_refused() -> None:
    with pytest.raises(ValueError, match="dot, general, additive"):
        attention.Attention("cosine", 4)


def test_bad_input_meets_an_error_that_names_what_was_expected() -> None:
    query, key, mask = query_key_mask()
    module, model = attention.Attention("dot", 4), attention.AttentionTranslator(9, 8, 5, 6)
    swapped = r"mask has shape \(5, 3\); expected \(N=3, S=5\): axes 0 and 1 look swapped"
    with pytest.raises(ValueError, match=swapped):
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
    assert memory[0].shape == (1, 3, 6)
    assert state.shape == (1, 1, 6)
    logits, _, weights = model.decode_and_look(memory, state, words)
    padded, _, padded_weights = model.decode_and_look(padded_memory, padded_state, words)
    assert torch.allclose(logits, padded, atol=1e-6)
    assert weights is not None
    assert padded_weights is not None
    assert torch.allclose(weights, padded_weights[:, :, :3], atol=1e-6)
    assert torch.equal(model.decode(memory, state, words)[0], logits)


def test_without_attention_only_the_first_state_counts() -> None:
    model = attention.AttentionTranslator(9, 8, 5, 6, None)
    memory, state = model.encode(torch.tensor([[4, 5, 6]]))
    words = torch.tensor([[text.SOS, 5]])
    logits, _, weights = model.decode_and_look((0 * memory[0], memory[1]), state, words)
    assert weights is None
    assert torch.equal(logits, model.decode(memory, state, words)[0])


def pair(korean: int, alignment: tuple[tuple[int, int], ...]) -> grammar.Pair:
    return grammar.Pair(("a",) * 3, ("b",) * korean, (), (), alignment, 0, 0.0, (), 0)


def test_alignment_error_by_hand() -> None:
    weights = np.array([[0.9, 0.1, 0.0], [0.2, 0.1, 0.7], [0.0, 0.0, 1.0]])  # <eos>'s row last
    for alignment, error in (
        (((0, 0), (2, 1)), 0),
        (((0, 0), (1, 1)), 0.5),
        (((0, 0), (1, 0), (2, 1)), pytest.approx(0.2)),
    ):
        assert attention.alignment_error([weights], [pair(2, alignment)]) == error


def test_weights_on_the_truth_have_a_row_for_each_word_and_one_for_the_end() -> None:
    model, pairs = translation.attention_translator("dot"), translation.data().test[::150]
    source, target = translation.ids(pairs)
    weights = attention.weights_on_truth(model, source, target)
    shapes = [(len(t) - 1, len(s)) for s, t in zip(source, target)]
    assert [rows.shape for rows in weights] == shapes
    assert all(np.allclose(rows.sum(axis=1), 1, atol=1e-5) for rows in weights)
    alone = attention.weights_on_truth(model, source[:1], target[:1])[0]
    assert np.allclose(alone, weights[0], atol=1e-6)
    assert 0 <= translation.alignment_error_on_test(model) <= 1


def test_dates_are_different_texts_and_their_ids_end_where_they_should() -> None:
    data = dates.data()
    assert len(data.train) == dates.TRAIN
    assert len(data.test) == dates.TEST
    different = {date.text for date in data.train + data.development + data.test}
    assert len(different) == dates.TRAIN + dates.DEVELOPMENT + dates.TEST
    source, target = dates.ids(data.test[:3])
    texts = [list(date.text) for date in data.test[:3]]
    assert [data.letters.decode(ids) for ids in source] == texts
    assert all(len(ids) == 12 and ids[0] == text.SOS and ids[-1] == text.EOS for ids in target)


def test_a_model_that_writes_the_truth_reads_every_date() -> None:
    four = dates.data().test[:4]
    answers = {tuple(source): target for source, target in zip(*dates.ids(four))}

    class Oracle(torch.nn.Module):
        def encode(self, source: torch.Tensor) -> tuple[list[list[int]], torch.Tensor]:
            rows = [tuple(int(token) for token in row if token != text.PAD) for row in source]
            return [answers[row] for row in rows], torch.zeros(1)

        def decode(
            self, memory: list[list[int]], state: torch.Tensor, words: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            return F.one_hot(torch.tensor([[row[int(state) + 1]] for row in memory]), 20), state + 1

    assert dates.exact(Oracle(), four) == 100
    first = next(iter(answers))
    answers[first][-2] = 4 if answers[first][-2] != 4 else 5
    assert dates.exact(Oracle(), four) == 75
