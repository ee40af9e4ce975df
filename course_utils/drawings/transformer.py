"""Lesson 14: the Transformer's two stacks, and attention by its shapes."""

from __future__ import annotations

from itertools import product
from typing import Any

from ..diagrams import Diagram, Node
from ..pages.colours import COLOURS, PALE

MODEL = (
    "1. Encoder layer: each of two parts adds to what enters it, x + part(norm(x))",
    "2. The decoder layer begins alike, but no word sees a later one",
    "3. Cross attention asks the encoder's memory; a last linear layer gives the words",
)
SHAPES = (
    "1. Three products make queries, keys and values of X",
    "2. In each head every query meets every key: T × S scores, a softmax in each row",
    "3. All heads' weighted sums side by side are H wide again; $W_O$ mixes them",
)
Shares = tuple[tuple[float, ...], ...]
SHARES: Shares = (
    (0.6, 0.2, 0.1, 0.1),
    (0.1, 0.2, 0.6, 0.1),
    (0.3, 0.1, 0.2, 0.4),
    (0.1, 0.1, 0.3, 0.5),
)
CELL = 0.22  # inches


def model(step: int = 3) -> Diagram:
    """Encoder and decoder, norm first: x + part(norm(x)) for each part.

    Built up: 1 the encoder, 2 the decoder's masked self-attention, 3 cross attention and output.
    """
    d = Diagram(10.5, 6.3, MODEL[step - 1], step)
    x, turn = 2.5, 4.72
    added = _embedded(d, x, "source", "S", 1)
    added, _ = _residual(d, added.y + 0.12, added, "self-attention", "$Q, K, V$", -1)
    added, _ = _residual(d, added.y, added, "feed-forward", "", -1)
    encoder_norm = d.box(x, added.y + 0.58, "norm", 1.0, 0.28)
    d.arrow(added, encoder_norm)
    _frame(d, 0.9, 3.8, added.y + 0.21)
    d.text(0.45, 2.2, "×\nlayers", "grey", size=14)
    d.text(3.75, turn + 0.18, "memory $(N, S, H)$")
    if step < 3:
        d.arrow(encoder_norm, (5.0, turn), via=[(x, turn)])
    with d.since(2):
        x = 7.0
        added = _embedded(d, x, "target", "T", -1)
        added, part = _residual(d, added.y + 0.12, added, "masked self-attention", "$Q, K, V$", 1)
        _mask(d, 4.2, 1.18, part)
    with d.since(3):
        added, part = _residual(d, added.y, added, "cross attention", "$Q$", 1)
        d.arrow(encoder_norm, part, via=[(2.5, turn), (5.0, turn), (5.0, part.y)])
        d.text(5.27, part.y + 0.18, "$K, V$", size=12)
        added, _ = _residual(d, added.y, added, "feed-forward", "", 1)
        _frame(d, 5.6, 8.6, added.y + 0.21)
        d.text(9.1, 2.2, "×\nlayers", "grey", size=14)
        norm = d.box(x, added.y + 0.58, "norm", 1.0, 0.28)
        d.arrow(added, norm)
        out = d.box(8.5, norm.y, "linear, softmax", 1.45, 0.38)
        d.arrow(norm, out)
        d.arrow(out, (9.52, norm.y), colour="red")
        d.text(10.0, norm.y, "next words\n$(N, T, V)$", "red", size=12)
    return d


def attention_by_shapes(step: int = 3) -> Diagram:
    """Self-attention as grids: T = S = 4, H = 4, two heads of d = 2; the second head is grey.

    Built up: 1 queries, keys, values, 2 one head's scores and weights, 3 all heads joined.
    """
    d = Diagram(10.6, 5.4, SHAPES[step - 1], step)
    heights = {"Q": 4.55, "K": 2.8, "V": 1.05}
    sizes = "" if step == 1 else r", $S = 4$, heads = 2, $d = H\,/\,$heads = 2"
    d.text(2.8, 0.15, f"drawn with $T = 4$, $H = 4${sizes}", "grey", ha="left")
    x = _grid(d, 0.7, heights["K"], 4, "green")
    _label(d, x, "$X$ $(N, T, H)$", "green")
    cut = {}
    for name, y in heights.items():
        matrix = d.box(2.0, y, f"$W_{name}$", 0.66, 0.6)
        whole = _grid(d, 3.3, y, 4, "black", grey=2 if step > 1 else 0)
        _label(d, whole, f"${name}$ $(N, T, H)$")
        d.arrow(x, matrix, via=[] if name == "K" else [(1.4, x.y), (1.4, y)])
        d.arrow(matrix, whole)
        with d.since(2):
            cut[name] = _heads(d, 4.7, y, 2, "black")
            _label(d, cut[name], "$(N, $heads$, T, d)$")
            d.arrow(whole, cut[name])
    d.ax.plot(1.4, x.y, "o", ms=5, color="black", zorder=3)
    d.text(2.0, 5.0, "$(H, H)$", size=12)
    with d.since(2):
        meet = d.box(5.95, heights["Q"], r"$QK^\top\! /\sqrt{d}$", 1.1, 0.5, "purple")
        d.arrow(cut["Q"], meet)
        d.arrow(cut["K"], meet, via=[(meet.x, heights["K"])])
        scores = _heads(d, 7.4, heights["Q"], 4, "purple")
        d.arrow(meet, scores)
        weights = _heads(d, 7.4, heights["K"], 4, "purple", SHARES)
        d.arrow(scores, weights)
        d.text(7.55, 3.65, "softmax", ha="left")
        d.text(8.1, 4.6, "scores\n$(N, $heads$, T, S)$", "purple", ha="left", size=12)
        d.text(8.1, 2.85, "weights:\neach row\nsums to 1", "purple", ha="left", size=12)
    with d.since(3):
        mix = d.box(7.4, heights["V"], "weights · $V$", 1.25, 0.5, "orange")
        d.arrow(weights, mix)
        d.arrow(cut["V"], mix)
        sums = _heads(d, 8.65, heights["V"], 2, "black")
        d.arrow(mix, sums)
        _label(d, sums, "$(N, $heads$, T, d)$")
        joined = _grid(d, 9.9, heights["V"], 4, "black", grey=2)
        d.arrow(sums, joined)
        d.text(joined.x, 0.43, "$(N, T, H)$", size=12)
        matrix = d.box(9.9, 2.3, "$W_O$", 0.66, 0.6)
        d.arrow(joined, matrix)
        out = _grid(d, 9.9, 3.5, 4, "black")
        d.arrow(matrix, out)
        _label(d, out, "$(N, T, H)$")
    return d


def _embedded(d: Diagram, x: float, name: str, steps: str, side: int) -> Node:
    """Embedding and position, added: the + at the bottom of a stack."""
    y = 0.22
    added = d.gate(x, y, "+", size=0.28)
    table = d.box(x - 0.94, y, "embedding", 1.12, 0.36)
    d.text(x - 2.12, y, f"{name}\n$(N, {steps})$", "green", size=12)
    d.arrow((x - 1.8, y), table, colour="green")
    d.arrow(table, added)
    d.arrow(d.box(x + 0.92, y, "positions", 1.05, 0.36, "green"), added, colour="green")
    d.text(x + 0.62 * side, y + 0.42, f"$(N, {steps}, H)$", size=12)
    return added


def _residual(
    d: Diagram, y: float, below: Node, name: str, reads: str, side: int
) -> tuple[Node, Node]:
    """The + above a norm and a part, with the residual line round them, and the part.

    y: the height from which all are measured. side: of the residual line, -1 left or 1 right.
    reads: what enters the part.
    """
    x = below.x
    norm = d.box(x, y + 0.58, "norm", 1.0, 0.28)
    part = d.box(x, y + 1.17, name, 2.15, 0.4)
    added = d.gate(x, y + 1.7, "+", size=0.28)
    for start, end in ((below, norm), (norm, part), (part, added)):
        d.arrow(start, end)
    d.text(x + 0.1, y + 0.845, reads, ha="left", size=12)
    fork, past = y + 0.225, x + 1.3 * side
    d.arrow((x, fork), added, via=[(past, fork), (past, added.y)])
    if d.visible:
        d.ax.plot(x, fork, "o", ms=5, color="black", zorder=3)
    return added, part


def _frame(d: Diagram, left: float, right: float, top: float) -> None:
    """A dashed frame around what is repeated."""
    if d.visible:
        xs, ys = [left, right, right, left, left], [0.49, 0.49, top, top, 0.49]
        d.ax.plot(xs, ys, "--", color=COLOURS["grey"], lw=1.4, zorder=1)


def _mask(d: Diagram, x: float, y: float, part: Node) -> None:
    """The causal mask, its lower left corner at (x, y), on its way into a part."""
    for t in range(4):
        for s in range(4):
            colour = "purple" if s <= t else "grey"
            place = (x + CELL * s, y + CELL * (3 - t))
            _cell(d, *place, PALE[colour], COLOURS[colour])
    d.arrow((x + 4 * CELL, part.y), part, "mask", colour="purple", along=0.3)
    d.text(x + 2 * CELL, y - 0.25, "each sees itself\nand those before", "purple", size=12)


def _grid(
    d: Diagram, x: float, y: float, columns: int, colour: str, shares: Shares = (), grey: int = 0
) -> Node:
    """A matrix with four rows around (x, y), darker where a share is larger.

    grey: so many columns at the right are grey.
    """
    node = Node(x, y, CELL * columns / 2, CELL * 2)
    left, low = node.at(-1, -1)
    for row, column in product(range(4), range(columns)):
        face = PALE["grey" if column >= columns - grey else "black" if shares else colour]
        place = (left + CELL * column, low + CELL * (3 - row))
        _cell(d, *place, face, COLOURS[colour])
        if shares:
            _cell(d, *place, COLOURS[colour], "none", alpha=shares[row][column])
    return node


def _heads(d: Diagram, x: float, y: float, columns: int, colour: str, shares: Shares = ()) -> Node:
    """The first head's grid around (x, y), and the second one's, grey, behind it."""
    _grid(d, x + 0.13, y - 0.13, columns, "grey")
    return _grid(d, x, y, columns, colour, shares)


def _cell(d: Diagram, left: float, low: float, face: str, edge: str, **style: Any) -> None:
    if d.visible:
        xs, ys = [left, left + CELL, left + CELL, left], [low, low, low + CELL, low + CELL]
        d.ax.fill(xs, ys, facecolor=face, edgecolor=edge, ls="-", lw=1.1, zorder=3, **style)


def _label(d: Diagram, node: Node, text: str, colour: str = "black") -> None:
    d.text(node.x, node.at(0, 1)[1] + 0.19, text, colour, size=12)
