"""Lesson 04: the cell of Elman's recurrent network, from inside."""

from __future__ import annotations

from typing import Any

from ..diagrams import Diagram, Node, Point
from ..pages.colours import COLOURS, PALE

SIGMA = r"$\sigma$"
TITLES = (
    "1. Input and old state are added, each through its weights",
    "2. tanh of the sum is the new state: it goes up and to the next step",
)


def frame(d: Diagram, left: float, bottom: float, right: float, top: float, name: str) -> None:
    """The border of a cell, behind everything; its name stands in the upper left corner."""
    if d.visible:
        from matplotlib.patches import FancyBboxPatch

        size = (right - left, top - bottom)
        shape = FancyBboxPatch((left, bottom), *size, "round,pad=0,rounding_size=0.15")
        shape.set(facecolor="#FAFAFA", edgecolor=COLOURS["grey"], lw=1.2, zorder=0)
        d.ax.add_patch(shape)
        d.text(left + 0.15, top - 0.22, name, "grey", ha="left", size=12)


def sign(d: Diagram, x: float, y: float, text: str, colour: str = "orange") -> Node:
    """A gate with a large sign: orange works element by element, blue has weights of its own."""
    long = len(text) > 2 and "$" not in text
    node = d.gate(x, y, "", colour, size=0.66 if long else 0.52)
    d.text(x, y, text, size=14 if long else 16 if len(text) == 2 else 20, zorder=4)
    return node


def dot(d: Diagram, *points: Point) -> None:
    """Junctions: here one line starts on another."""
    if d.visible:
        for x, y in points:
            d.ax.plot(x, y, "o", ms=6, color="black", zorder=3)


def key(d: Diagram, x: float, y: float) -> None:
    """What the two fillings mean, from x to the right."""
    meanings = ((0, "blue", "learnt weights"), (1.75, "orange", "element-wise"))
    for right, colour, meaning in meanings if d.visible else ():
        style: dict[str, Any] = {"mec": COLOURS[colour], "mfc": PALE[colour], "mew": 1.6}
        d.ax.plot(x + right, y, "o", ms=11, ls="", **style)
        d.text(x + right + 0.18, y, meaning, ha="left", size=12)


def cell(step: int = 2) -> Diagram:
    """Elman's cell: 1 the sum a_t of input, old state and bias; 2 tanh, and where h_t goes."""
    d = Diagram(10.6, 4.75, TITLES[step - 1], step)
    row, x_sum, x_out = 2.6, 4.9, 8.3
    frame(d, 1.4, 0.85, 8.9, 4.25, "RNN cell")
    d.text(0.3, row, "$h_{t-1}$", size=16)
    d.text(x_sum, 0.15, "$x_t$", "green", size=16)
    recurrent = d.box(2.85, row, "$W_h$\n$(H, H)$", height=0.8)
    entering = d.box(x_sum, 1.4, "$W_x$\n$(D, H)$", height=0.8)
    bias = d.box(x_sum, 3.75, "$b$  $(H)$", height=0.5)
    plus = sign(d, x_sum, row, "+")
    d.arrow((0.65, row), recurrent, "$(N, H)$", along=0.23)
    d.arrow(recurrent, plus, "$(N, H)$")
    d.arrow((x_sum, 0.35), entering, "$(N, D)$", aside=(0.5, 0), along=0.35)
    d.arrow(entering, plus, "$(N, H)$", aside=(0.5, 0))
    d.arrow(bias, plus)
    with d.since(2):
        squash = sign(d, 6.85, row, "tanh")
    d.arrow(plus, squash)
    d.text(5.85, row + 0.18, "$a_t$  $(N, H)$", size=12)
    d.text(0.1, 0.5, "$a_t = x_t W_x + h_{t-1} W_h + b$", ha="left", size=15)
    key(d, 7.2, 0.15)
    with d.since(2):
        d.arrow(squash, (9.35, row))
        d.text(7.7, row + 0.18, "$(N, H)$", size=12)
        dot(d, (x_out, row))
        d.arrow((x_out, row), (x_out, 4.5))
        d.text(x_out + 0.3, 4.5, "$h_t$", "red", size=16)
        d.text(9.6, row, "$h_t$", size=16)
        d.text(9.85, row, "to step\n$t + 1$", "grey", ha="left", size=12)
        d.text(0.1, 0.12, r"$h_t = \tanh(a_t)$", ha="left", size=15)
    return d
