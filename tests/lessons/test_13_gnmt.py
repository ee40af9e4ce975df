"""Lesson 13's BLEU equals sacrebleu where little or nothing was written; a beam and a stack."""

from typing import Any

import pytest

from from_notebook import definitions

LESSON = definitions(13)


@pytest.mark.parametrize(
    "ours, references, score",
    [
        (["a b c"], ["a b c"], 0.0),
        (["", ""], ["a b", "c"], 0.0),
        ([""], [""], 0.0),
        (["a b c d e"], [""], 0.0),
        (["a b c", "d e f"], ["a b c", "d e f"], 0.0),
        (["", "a b c d e"], ["f", "a b c d e"], 81.8731),
    ],
)
def test_bleu_of_short_and_empty_outputs(
    ours: list[str], references: list[str], score: float
) -> None:
    words = [[text.split() for text in side] for side in (ours, references)]
    assert LESSON["bleu"](*words) == pytest.approx(score, abs=1e-4)
    assert LESSON["library_bleu"](*words) == pytest.approx(score, abs=1e-4)


def test_bleu_refuses_another_number_of_references() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        LESSON["bleu"]([["a"], ["b"]], [["a"]])


@pytest.mark.parametrize("width, most", [(0, 3), (2, 0)])
def test_a_beam_without_a_place_or_a_word_is_refused(width: int, most: int) -> None:
    def step(words: list[int]) -> Any:
        raise AssertionError("nothing is asked")

    with pytest.raises(ValueError, match=f"width is {width}, most {most}"):
        LESSON["beam"](step, width, most)


@pytest.mark.parametrize("model", ["Deep", "Fed"])
def test_a_stack_of_no_layer_is_refused(model: str) -> None:
    with pytest.raises(ValueError, match="at least 1 layer; layers is 0"):
        LESSON[model](9, 7, 3, 4, layers=0)
