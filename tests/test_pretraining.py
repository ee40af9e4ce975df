"""The small BERT: what goes in, what is hidden, what comes out, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from course_utils import text
from course_utils.models import bert
from course_utils.tasks import language_model, pretraining

WORDS = pretraining.bert_vocabulary()
CLS, SEP, MASK = (WORDS.id(token) for token in ("[CLS]", "[SEP]", "[MASK]"))


def small() -> bert.Encoder:
    torch.manual_seed(0)
    return bert.Encoder(len(WORDS), D=8, layers=2, heads=2, inner=8, positions=12)


def test_words_keep_their_ids_and_three_follow() -> None:
    assert WORDS.tokens[:-3] == language_model.vocabulary("english").tokens
    assert WORDS.tokens[-3:] == ["[CLS]", "[SEP]", "[MASK]"]


def test_pack() -> None:
    assert pretraining.pack([7, 8]) == ([CLS, 7, 8, SEP], [0, 0, 0, 0])
    assert pretraining.pack([7], [8, 9]) == ([CLS, 7, SEP, 8, 9, SEP], [0, 0, 0, 1, 1, 1])


def test_only_chosen_ordinary_words_change() -> None:
    ids = np.tile(np.array([[CLS, 10, 20, SEP, text.PAD, text.UNK, MASK]]), (20_000, 1))
    hidden, chosen = pretraining.mask_words(ids, np.random.default_rng(0))
    assert (hidden[~chosen] == ids[~chosen]).all()
    assert not chosen[:, [0, 3, 4, 5, 6]].any()
    assert chosen[:, 1:3].mean() == pytest.approx(0.15, abs=0.01)
    assert (hidden[chosen] == MASK).mean() == pytest.approx(0.8, abs=0.03)


def test_texts_share_the_noun_and_fit() -> None:
    texts = pretraining.data(500, 1)
    assert len(texts.first) == len(texts.second) > 50
    known = set(WORDS.encode(["the", "this", "these", "those"]))
    assert all(b[0] in known and a[0] not in known for a, b in zip(*texts))
    assert all(len(pretraining.pack(a, b)[0]) <= bert.POSITIONS for a, b in zip(*texts))


def test_next_or_random_tells_the_truth() -> None:
    texts = pretraining.data(2000, 1)
    rows, segments, truth = pretraining.next_or_random(texts, np.random.default_rng(0))
    for k, (ids, parts, is_next) in enumerate(zip(rows, segments, truth)):
        assert len(ids) == len(parts)
        assert ids[: len(texts.first[k]) + 2] == pretraining.pack(texts.first[k])[0]
        assert not is_next or (ids, parts) == pretraining.pack(texts.first[k], texts.second[k])
    assert 0.4 < np.mean(truth) < 0.6


def test_the_layers_begin_with_weights_of_their_own() -> None:
    first, second = small().layers.layers
    assert not torch.equal(first.linear1.weight, second.linear1.weight)


def test_a_loss_with_nothing_hidden_is_the_pairs_alone() -> None:
    ids, segments = pretraining.pack([10])
    model, rows = bert.PreTraining(small()), ([ids], [segments], [1])
    batch = [part.clone() for part in pretraining.hide(rows, np.random.default_rng(0))]
    batch[3][:] = False
    _, pairs = model(*batch[:4])
    of_pairs = torch.nn.functional.cross_entropy(pairs, batch[5])
    assert torch.isclose(pretraining.loss(model, batch), of_pairs)


def test_labeller_reads_words_and_sentences() -> None:
    ids, mask = (torch.from_numpy(part) for part in text.pad([[10, 20, 30], [40]]))
    assert pretraining.BertLabeller(small(), 5, each_word=True)(ids, mask).shape == (2, 3, 5)
    assert pretraining.BertLabeller(small(), 5, each_word=False)(ids, mask).shape == (2, 5)


def test_bad_input_is_refused() -> None:
    encoder, ids = small(), torch.full((2, 5), 10)
    zeros, full = torch.zeros_like(ids), torch.ones(2, 5, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"20 tokens.*12 rows"):
        encoder(ids.repeat(1, 4), zeros.repeat(1, 4), full.repeat(1, 4))
    with pytest.raises(ValueError, match="row 1 is padding alone"):
        encoder(ids, zeros, full & torch.tensor([[True], [False]]))
    with pytest.raises(ValueError, match="mask has shape"):
        encoder(ids, zeros, full[:, :3])
    with pytest.raises(ValueError, match="segments"):
        encoder(ids, zeros + 2, full)
