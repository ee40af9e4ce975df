"""Lesson 14's attention by hand: masks, and a sequence longer than the table of positions."""

import pytest
import torch

from from_notebook import definitions

LESSON = definitions(14)


@pytest.mark.parametrize(
    "mask, message",
    [
        (torch.ones(2, 5) > 0, r"has shape \(2, 5\); expected \(N, A, T, S\) = \(2, 3, 4, 5\)"),
        (torch.ones(5, 1, 1, 2) > 0, r"has shape \(5, 1, 1, 2\)"),
        (torch.ones(1, 1, 5, 4) > 0, r"has shape \(1, 1, 5, 4\)"),
        (torch.ones(1, 2, 4, 5) > 0, r"has shape \(1, 2, 4, 5\)"),
        (torch.ones(1, 1, 4, 5), "True where a query may look .* this one holds torch.float32"),
    ],
)
def test_a_wrong_mask_is_told(mask: torch.Tensor, message: str) -> None:
    query, key = torch.zeros(2, 3, 4, 6), torch.zeros(2, 3, 5, 6)
    with pytest.raises(ValueError, match=f"mask.*{message}"):
        LESSON["attention"](query, key, key, mask)


def test_a_fully_masked_row_gives_zeros_and_no_nan_comes_out_or_back() -> None:
    parts = [torch.randn(1, 2, steps, 4, requires_grad=True) for steps in (3, 5, 5)]
    mask = torch.ones(1, 1, 3, 5, dtype=torch.bool)
    mask[0, 0, 1] = False
    context = LESSON["Attention"].apply(*parts, mask)
    assert not context[:, :, 1].any()
    assert context[:, :, [0, 2]].all()
    assert context.isfinite().all()
    context.sum().backward()
    for part in parts:
        assert part.grad is not None
        assert part.grad.isfinite().all()
    assert not parts[0].grad[:, :, 1].any()  # type: ignore[index]


def test_words_beyond_the_table_of_positions_are_refused() -> None:
    words, E = torch.zeros(1, 5, dtype=torch.long), torch.ones(3, 6)
    table = LESSON["positions"](4, 6)
    assert LESSON["embed"](words[:, :4], E, table).shape == (1, 4, 6)
    with pytest.raises(ValueError, match="5 tokens, but the table has 4 positions"):
        LESSON["embed"](words, E, table)


@pytest.mark.parametrize("kind", [torch.float32, torch.int64, torch.uint8])
def test_a_mask_of_numbers_is_refused(kind: torch.dtype) -> None:
    query, key = torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 3, 2)
    with pytest.raises(ValueError, match=f"True where a query may look .* holds {kind}"):
        LESSON["attention"](query, key, key, torch.ones(1, 1, 1, 3, dtype=kind))


@pytest.mark.parametrize("ids", [[[-1]], [[4]], [[1.0]], [[True]]])
def test_ids_that_are_none_are_refused(ids: list[list[float]]) -> None:
    with pytest.raises(ValueError, match=r"expected ids.* whole numbers from 0 to 3"):
        LESSON["embed"](torch.tensor(ids), torch.eye(4), LESSON["positions"](3, 4))


def test_ids_of_one_byte_are_ids_and_no_mask() -> None:
    ids = torch.tensor([[1, 0, 3, 1]], dtype=torch.uint8)
    E, table = torch.eye(4), LESSON["positions"](5, 4)
    assert torch.equal(LESSON["embed"](ids, E, table), LESSON["embed"](ids.long(), E, table))


def test_positions_of_an_odd_width_end_with_a_sine() -> None:
    table = LESSON["positions"](3, 5)
    assert table.shape == (3, 5)
    assert torch.allclose(table[:, 4], (torch.arange(3) * 10_000 ** (-4 / 5)).sin())


@pytest.mark.parametrize("name", ["Attention", "LayerNorm"])
def test_a_second_derivative_is_refused(name: str) -> None:
    x = torch.randn(1, 1, 2, 4, dtype=torch.double, requires_grad=True)
    if name == "Attention":
        y = LESSON[name].apply(x, x, x, torch.ones(1, 1, 2, 2) > 0)
    else:
        y = LESSON[name].apply(x[0], torch.ones(4).double(), torch.zeros(4).double())
    with pytest.raises(NotImplementedError, match="no second derivative"):
        torch.autograd.grad(y.pow(2).sum(), x, create_graph=True)
    (dx,) = torch.autograd.grad(y.pow(2).sum(), x)
    assert dx.isfinite().all()
    assert dx.any()
