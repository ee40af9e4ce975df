"""Lesson 08: the LSTM's cell, built up in four steps."""

from __future__ import annotations

from ..diagrams import Diagram, Node, Point
from .rnn import SIGMA, dot, frame, key, sign

TITLES = (
    "1. The cell state passes from step to step",
    "2. The forget gate decides what stays",
    "3. The input gate decides how much of the candidate is written",
    "4. The output gate decides what leaves as the hidden state",
)
EQUATIONS = (
    "$c_t = c_{t-1}$",
    r"$c_t = f_t \odot c_{t-1}$",
    r"$c_t = f_t \odot c_{t-1} + i_t \odot g_t$",
    r"$c_t = f_t \odot c_{t-1} + i_t \odot g_t \qquad h_t = o_t \odot \tanh(c_t)$",
)


def cell(step: int = 4) -> Diagram:
    """The cell built up to a step: 1 the cell state, 2 forget gate, 3 input gate, 4 output gate.

    All four gates read one bus, the input and the old state side by side.
    """
    d = Diagram(11, 4.9, TITLES[step - 1], step)
    top, middle, gates, bus = 4.2, 3.15, 2.1, 1.25  # heights
    x_f, x_i, x_g, x_o, x_h = 3.4, 4.9, 6.2, 7.4, 8.5
    frame(d, 1.15, 0.75, 9.2, 4.75, "LSTM cell")
    d.text(0.35, top, "$c_{t-1}$", size=16)
    d.text(9.7, top, "$c_t$", size=16)
    d.text(2.6, 4.38, "$(N, H)$", size=12)
    d.text(2.3, 0.2, EQUATIONS[step - 1], ha="left", size=15)
    with d.since(2):
        key(d, 7.6, 0.2)
        keep = sign(d, x_f, top, "×")
        join = d.box(1.75, bus, "", width=0.2, height=0.5, colour="black")
        forget = sign(d, x_f, gates, SIGMA, "blue")
        d.text(0.35, bus, "$h_{t-1}$", size=16)
        d.text(1.75, 0.2, "$x_t$", "green", size=16)
        d.arrow((0.7, bus), join)
        d.arrow((1.75, 0.4), join)
        d.arrow(join, forget, via=[(x_f, bus)])
        d.text(2.6, bus + 0.2, "$[x_t, h_{t-1}]$", size=13)
        d.text(2.6, bus - 0.2, "$(N, D + H)$", size=12)
        d.arrow(forget, keep, "$f_t$", aside=(0.22, 0))
    with d.since(3):
        write, scale = sign(d, x_g, top, "+"), sign(d, x_g, middle, "×")
        enter = sign(d, x_i, gates, SIGMA, "blue")
        candidate = sign(d, x_g, gates, "tanh", "blue")
        dot(d, (x_f, bus), (x_i, bus))
        d.arrow((x_f, bus), enter, via=[(x_i, bus)])
        d.arrow((x_i, bus), candidate, via=[(x_g, bus)])
        d.arrow(enter, scale, "$i_t$", via=[(x_i, middle)], aside=(0, 0.2), along=0.65)
        d.arrow(candidate, scale, "$g_t$", aside=(0.22, 0))
        d.arrow(scale, write)
    with d.since(4):
        show = sign(d, x_h, middle, "tanh")
        hide = sign(d, x_h, gates, "×")
        leave = sign(d, x_o, gates, SIGMA, "blue")
        dot(d, (x_g, bus), (x_h, top), (10.15, bus))
        d.arrow((x_g, bus), leave, via=[(x_o, bus)])
        d.arrow(leave, hide, "$o_t$")
        d.arrow((x_h, top), show)
        d.arrow(show, hide)
        d.arrow(hide, (10.55, bus), via=[(x_h, bus)])
        d.arrow((10.15, bus), (10.15, 4.5))
        d.text(8.9, bus + 0.18, "$(N, H)$", size=12)
        d.text(10.15, 4.7, "$h_t$", "red", size=16)
        d.text(10.8, bus, "$h_t$", size=16)
    signs = [keep, write][: step - 1]
    stops: list[Node | Point] = [(0.7, top), *signs, (9.5, top)]
    for start, end in zip(stops, stops[1:]):
        d.arrow(start, end)
    return d
