"""The shared tasks of lessons 11 to 15: pairs, sums, writing, scores."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_utils import grammar, text
from course_utils.models import seq2seq
from course_utils.models.layers import LAYERS
from course_utils.tasks import sums, translation


def test_pairs_are_balanced_by_length_and_none_is_in_both_parts() -> None:
    data = translation.data()
    for part, each in (
        (data.train, translation.TRAIN),
        (data.development, translation.DEVELOPMENT),
        (data.test, translation.TEST),
    ):
        lengths = Counter(len(pair.english) for pair in part)
        assert lengths == dict.fromkeys(translation.LENGTHS, each)
    sentences = [pair.english for pair in data.train + data.development + data.test]
    assert len(set(sentences)) == len(sentences)
    # Each is a sentence of the whole grammar, too
    assert all(grammar.derivations(pair.english) == 1 for pair in data.test[::20])
    assert max(len(pair.korean) for pair in data.train + data.test) < seq2seq.MOST
    assert data.test == sorted(data.test, key=lambda pair: len(pair.english))


def test_the_korean_of_a_small_lexicon_is_that_of_the_whole_one() -> None:
    for pair in translation.data().test[::50]:
        assert grammar.derivations(pair.korean, "korean") == 1


def test_ids_end_where_they_should_and_know_every_word() -> None:
    data = translation.data()
    source, target = translation.ids(data.test)
    assert all(ids[-1] == text.EOS and text.SOS not in ids for ids in source)
    assert all(ids[0] == text.SOS and ids[-1] == text.EOS for ids in target)
    assert data.english.decode(source[0]) == list(data.test[0].english)
    assert data.korean.decode(target[0]) == list(data.test[0].korean)


@pytest.mark.parametrize("peeky", [False, True])
@pytest.mark.parametrize("layer", ["RNN", "GRU"])
def test_padding_changes_nothing(peeky: bool, layer: str) -> None:
    torch.manual_seed(1)
    model = seq2seq.Seq2Seq(9, 8, 3, 4, peeky=peeky, layer=LAYERS[layer]).double()
    long, short = ([5, 6, 7, 8, 3], [2, 4, 5, 6, 3]), ([5, 3], [2, 7, 3])
    together = seq2seq.loss(model, ([long[0], short[0]], [long[1], short[1]]))
    one, two = (seq2seq.loss(model, ([pair[0]], [pair[1]])) for pair in (long, short))
    assert torch.isclose(together, (4 * one + 2 * two) / 6, rtol=1e-12)
    alone = [seq2seq.greedy(model, [pair[0]], 6)[0] for pair in (long, short)]
    assert seq2seq.greedy(model, [long[0], short[0]], 6) == alone


def test_peeky_sees_the_memory_at_every_step() -> None:
    torch.manual_seed(2)
    model = seq2seq.Seq2Seq(9, 8, 3, 4, peeky=True)
    memory, state = model.encode(torch.tensor([[5, 6, 3]]))
    words = torch.tensor([[2, 5]])
    whole, _ = model.decode(memory, state, words)
    first, state = model.decode(memory, state, words[:, :1])
    second, _ = model.decode(memory, state, words[:, 1:])
    assert torch.allclose(whole, torch.cat([first, second], dim=1), atol=1e-6)
    other, _ = model.decode(memory + 1, state, words[:, 1:])
    assert not torch.allclose(other, second)


class Countdown(nn.Module):
    """Writes the source's first id, one less at each step, and <eos> after 5."""

    def encode(self, source: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return source, source[:, :1]

    def decode(
        self, memory: torch.Tensor, state: torch.Tensor, words: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        following = torch.where(state < 5, text.EOS, state)
        return F.one_hot(following, 12).float(), state - 1


def test_greedy_ends_each_row_by_itself() -> None:
    assert seq2seq.greedy(Countdown(), [[7, 4], [5], [4, 9, 9]]) == [[7, 6, 5], [5], []]
    assert seq2seq.greedy(Countdown(), [[9]], most=2) == [[9, 8]]


def test_score_of_known_translations() -> None:
    data = translation.data()
    true = [ids[1:-1] for ids in translation.ids(data.test)[1]]
    perfect = translation.score(true)
    assert perfect.exact == perfect.tokens == 100
    assert (perfect.by_length == 100).all()
    half = translation.score([ids if k < len(true) // 2 else [] for k, ids in enumerate(true)])
    assert half.exact == 50
    assert half.by_length.tolist() == [100, 100, 50, 0, 0]
    assert 0 < half.tokens < 50
    # All words right, <eos> not
    unfinished = translation.score([[*ids, ids[-1]] for ids in true])
    assert unfinished.exact == 0
    assert 80 < unfinished.tokens < 100
    with pytest.raises(ValueError, match="each of the 2000 test pairs; there are 2"):
        translation.score([[1], [2]])


def test_reversed_keeps_the_end_at_the_end() -> None:
    assert translation.reverse_ids([5, 6, 7, text.EOS]) == [7, 6, 5, text.EOS]
    assert translation.reverse_ids([5, 6, 7]) == [7, 6, 5]


def test_sums_are_split_without_overlap_and_scored_digit_for_digit() -> None:
    characters, known, development, held_out = sums.data()
    sizes = sums.TRAIN, sums.DEVELOPMENT, sums.TEST
    assert (len(known), len(development), len(held_out)) == sizes
    assert not set(known) & set(held_out)
    assert not set(development) & {*known, *held_out}
    source, target = sums.ids([("57+5", "62")], reverse=True)
    assert characters.decode(source[0]) == list("5+75")
    assert target[0] == [text.SOS, *characters.encode("62"), text.EOS]
    three = [("1+0", "10"), ("0+5", "0"), ("3+0", "3")]
    assert sums.exact(Countdown(), three) == pytest.approx(200 / 3)
