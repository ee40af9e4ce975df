"""Beam search is searched correctly, and ranks as GNMT's formula (14) says."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from course_utils import text
from course_utils.models import attention, beam, gnmt, seq2seq
from course_utils.models.beam import (
    Hypothesis,
    beam_search,
    best_of,
    coverage_penalty,
    length_penalty,
    ranking_score,
)

SOURCES = [[4, 5, 6, 3], [5, 3], [6, 6, 4, 5, 4, 3], [4, 3]]


def translators() -> dict[str, nn.Module]:
    torch.manual_seed(3)
    made = {
        "one vector": seq2seq.Seq2Seq(9, 7, 3, 4),
        "attention": attention.AttentionTranslator(9, 7, 3, 4, "additive"),
        "without attention": attention.AttentionTranslator(9, 7, 3, 4, None),
        "GNMT": gnmt.GNMT(9, 7, 3, 4),
        "GNMT, fed": gnmt.GNMT(9, 7, 3, 4, layers=2, feeding=True),
    }
    for model in made.values():
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=1.0)  # so that the next words differ much
    return made


@pytest.mark.parametrize("name", translators())
def test_width_1_is_greedy(name: str) -> None:
    model = translators()[name]
    found = beam_search(model, SOURCES, 1, most=8)
    assert [one.words for (one,) in found] == seq2seq.greedy(model, SOURCES, most=8)


def every_sentence(V: int, most: int) -> list[list[int]]:
    """All id lists that end in <eos> within `most` words, and all that are cut off there."""
    others = [word for word in range(V) if word != text.EOS]
    by_length = [itertools.product(others, repeat=n) for n in range(most + 1)]
    *shorter, cut = [[list(words) for words in sentences] for sentences in by_length]
    return [[*words, text.EOS] for sentences in shorter for words in sentences] + cut


def log_probability(model: Any, source: list[int], words: list[int]) -> float:
    before = torch.tensor([[text.SOS, *words[:-1]]])
    with torch.no_grad():
        logits, _ = model.decode(*model.encode(torch.tensor([source])), before)
    return float(logits[0].log_softmax(dim=1)[torch.arange(len(words)), words].sum())


@pytest.mark.parametrize("name", translators())
def test_a_full_width_finds_every_sentence_with_its_probability(name: str) -> None:
    model, most = translators()[name], 3
    every = every_sentence(7, most)
    for source, found in zip(SOURCES, beam_search(model, SOURCES, len(every), most)):
        true = {tuple(words): log_probability(model, source, words) for words in every}
        ours = {(*one.words, *[text.EOS] * one.ended): one.log_probability for one in found}
        assert ours.keys() == true.keys()
        assert all(abs(ours[words] - true[words]) < 1e-4 for words in true)
        best = max(true, key=lambda words: true[words])
        assert tuple(found[0].words) == best[: len(found[0].words)]
        assert np.isclose(np.exp(list(true.values())).sum(), 1, atol=1e-4)
        values = [one.log_probability for one in found]
        assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("name", translators())
def test_the_batch_and_its_padding_change_nothing(name: str) -> None:
    model = translators()[name]
    together = beam_search(model, SOURCES, 3, most=6)
    for source, found in zip(SOURCES, together):
        alone = beam_search(model, [source], 3, most=6)[0]
        assert [one.words for one in alone] == [one.words for one in found]
        assert len(found) <= 3
        values = [[one.log_probability for one in ranked] for ranked in (alone, found)]
        assert np.allclose(*values, atol=1e-5)


def test_coverage_is_the_attention_that_each_source_place_got() -> None:
    model = translators()["GNMT"]
    for source, found in zip(SOURCES, beam_search(model, SOURCES, 3, most=6)):
        for one in found:
            target = [text.SOS, *one.words, text.EOS] if one.ended else [text.SOS, *one.words]
            (weights,) = attention.weights_on_truth(model, [source], [target])
            assert one.coverage is not None
            assert one.coverage.shape == (len(source),)
            assert np.allclose(one.coverage, weights.sum(axis=0), atol=1e-5)
            assert np.isclose(one.coverage.sum(), len(one.words) + one.ended, atol=1e-4)
    assert beam_search(translators()["one vector"], SOURCES, 2)[0][0].coverage is None
    assert beam_search(translators()["without attention"], SOURCES, 2)[0][0].coverage is None


CHANCES = {  # of each next word
    text.SOS: {4: 0.6, 5: 0.4},
    4: {text.EOS: 0.5, 6: 0.5},
    5: {text.EOS: 1.0},
    6: {text.EOS: 1.0},
}


class Trap(nn.Module):
    """Greedy falls: the likelier first word (4) leads to unlikely ends, the other to a sure one."""

    def encode(self, source: torch.Tensor) -> tuple[torch.Tensor, None]:
        return source, None

    def decode(
        self, memory: torch.Tensor, state: None, words: torch.Tensor
    ) -> tuple[torch.Tensor, None]:
        chances = torch.full((len(words), 1, 7), 1e-9)
        for row, word in enumerate(words[:, 0].tolist()):
            for following, chance in CHANCES[word].items():
                chances[row, 0, following] = chance
        return chances.log(), None


def test_a_wider_beam_takes_a_first_word_back() -> None:
    assert seq2seq.greedy(Trap(), [[4]])[0] in ([4], [4, 6])
    (found,) = beam_search(Trap(), [[4]], 2)
    assert found[0].words == [5]
    assert np.isclose(np.exp(found[0].log_probability), 0.4)
    assert found[0].ended
    (found,) = beam_search(Trap(), [[4]], 4)
    chances = {tuple(one.words): float(np.exp(one.log_probability)) for one in found[:3]}
    assert chances == pytest.approx({(5,): 0.4, (4,): 0.3, (4, 6): 0.3}, abs=5e-4)


def test_cut_off_hypotheses_have_not_ended_and_come_last() -> None:
    (found,) = beam_search(Trap(), [[4]], 3, most=1)
    assert [one.words for one in found[:2]] == [[4], [5]]
    assert not found[0].ended
    ended, cut = Hypothesis([4], -9.0, True, None), Hypothesis([5, 6], -1.0, False, None)
    assert best_of([cut, ended]) == ended
    assert best_of([cut]) == cut


def test_penalties_by_hand() -> None:
    assert length_penalty(1, 0.7) == 1
    assert length_penalty(7, 1) == 2
    assert length_penalty(19, 0.5) == 2
    assert length_penalty(9, 0) == 1
    assert np.isclose(coverage_penalty(np.array([0.5, 1.0, 3.0]), 2), 2 * np.log(0.5))
    assert np.isclose(coverage_penalty(np.array([0.0]), 1), np.log(1e-9))
    found = Hypothesis([4] * 6, -3.0, True, np.array([0.25, 2.0]))  # seven tokens with <eos>
    assert ranking_score(found) == -3
    assert np.isclose(ranking_score(found, 1), -1.5)
    assert np.isclose(ranking_score(found, 1, 0.5), -1.5 + 0.5 * np.log(0.25))
    assert np.isclose(ranking_score(found._replace(ended=False, words=[4] * 7), 1), -1.5)


def test_ranks_change_with_the_penalties() -> None:
    short = Hypothesis([4], -2.0, True, np.array([1.0, 0.1]))
    long = Hypothesis([4, 5, 6, 7, 8], -2.4, True, np.array([1.0, 1.0]))
    assert best_of([short, long]) == short
    assert best_of([short, long], alpha=1) == long
    assert best_of([short, long], beta=1) == long


def test_rows_of_any_state() -> None:
    part = {"key": [torch.arange(6).reshape(2, 3)], "none": None, "pair": (torch.arange(3)[None],)}
    taken = beam.take_rows(part, torch.tensor([2, 2]), 1)
    assert taken["key"][0].tolist() == [[2, 2], [5, 5]]
    assert taken["none"] is None
    assert taken["pair"][0].tolist() == [[2, 2]]


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="at least 1 hypothesis of at least 1 word; width is 0"):
        beam_search(Trap(), [[4]], 0)
    with pytest.raises(ValueError, match="most 0"):
        beam_search(Trap(), [[4]], 1, most=0)
    with pytest.raises(ValueError, match=r"beta = 0.2\) needs attention"):
        ranking_score(Hypothesis([4], -1.0, True, None), 0, 0.2)
    with pytest.raises(ValueError, match="at least 1 layer; layers is 0"):
        gnmt.GNMT(9, 7, 3, 4, layers=0)


# ---------------------------------------------------------------- GNMT


@pytest.mark.parametrize("both_ways", [True, False])
def test_one_layer_is_the_attention_translator(both_ways: bool) -> None:
    torch.manual_seed(0)
    model = gnmt.GNMT(9, 7, 3, 4, layers=1, both_ways=both_ways)
    twin = attention.AttentionTranslator(9, 7, 3, 4, "additive", both_ways=both_ways)
    twin.load_state_dict(model.state_dict())
    source, words = torch.tensor([[4, 5, 3], [6, 3, 0]]), torch.tensor([[2, 4], [2, 5]])
    ours, theirs = (one.decode(*one.encode(source), words)[0] for one in (model, twin))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"deep_context": False},
        {"residual": False},
        {"feeding": True},
        {"feeding": True, "layers": 1},
    ],
)
def test_step_by_step_is_all_at_once_and_padding_changes_nothing(parts: dict[str, Any]) -> None:
    torch.manual_seed(1)
    model = gnmt.GNMT(9, 7, 3, 4, **parts).double()
    source, words = torch.tensor([[4, 5, 6, 3], [6, 3, 0, 0]]), torch.tensor([[2, 4, 5], [2, 5, 6]])
    memory, state = model.encode(source)
    whole, _ = model.decode(memory, state, words)
    pieces = []
    for t in range(3):
        logits, state = model.decode(memory, state, words[:, t : t + 1])
        pieces.append(logits)
    assert torch.allclose(torch.cat(pieces, dim=1), whole, atol=1e-12)
    alone, _ = model.decode(*model.encode(source[1:, :2]), words[1:])
    assert torch.allclose(alone, whole[1:], atol=1e-12)
