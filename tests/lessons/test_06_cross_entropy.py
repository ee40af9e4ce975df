"""Lesson 06's loss tells a mask of another shape."""

import numpy as np
import pytest

from from_notebook import definitions


@pytest.mark.parametrize("shape", [(5, 3), (3, 1), (5,)])
def test_the_hand_written_loss_tells_a_wrong_mask(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"mask has shape .*; expected \(N=3, T=5\)"):
        definitions(6)["cross_entropy"](np.zeros((3, 5, 7)), np.zeros((3, 5), int), np.ones(shape))
