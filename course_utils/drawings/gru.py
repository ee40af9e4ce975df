"""Lesson 09: the GRU's cell, built up in three steps."""

from __future__ import annotations

from math import cos, pi, sin

from ..diagrams import Diagram
from .rnn import SIGMA, dot, frame, key, sign

TITLES = (
    "1. The update gate mixes the old state and a candidate",
    "2. The candidate comes from the input and the old state",
    "3. The reset gate decides how much of the old state enters the candidate",
)
CANDIDATES = (
    "",
    r"$n_t = \tanh(x_t W_x^n + b^n + u_t)$",
    r"$n_t = \tanh(x_t W_x^n + b^n + r_t \odot u_t)$",
)


def cell(step: int = 3) -> Diagram:
    """The cell built up to a step: 1 the mix by z_t, 2 the candidate n_t, 3 the reset gate r_t.

    As in PyTorch, the reset gate acts after the product of the old state with its weights.
    """
    d = Diagram(11, 5, TITLES[step - 1], step)
    top, slide, row, bus, low = 4.25, 3.45, 2.05, 1.25, 0.75  # heights
    x_in, x_z, x_r, x_u, x_sum = 1.7, 2.8, 3.75, 4.9, 6.1
    x_old, x_new, x_h = 7.15, 8.85, 9.55
    frame(d, 1.15, 0.5, 9.95, 4.75, "GRU cell")
    d.text(0.35, top, "$h_{t-1}$", size=16)
    d.text(x_in, 0.12, "$x_t$", "green", size=16)
    join = d.box(x_in, bus, "", width=0.5, height=0.2, colour="black")
    update = sign(d, x_z, row, SIGMA, "blue")
    old, mix = sign(d, x_old, top, "×"), sign(d, x_new, top, "+")
    rest, new = sign(d, 8.0, slide, "1−"), sign(d, x_new, slide, "×")
    d.arrow((0.7, top), old)
    d.text(2.6, top + 0.18, "$(N, H)$", size=12)
    d.arrow((x_in, top), join)
    d.arrow((x_in, 0.3), join)
    d.arrow(join, update, via=[(x_z, bus)])
    d.text(2.75, 1.0, "$[x_t, h_{t-1}]$  $(N, D + H)$", size=12)
    d.arrow(update, old, "$z_t$", via=[(x_z, slide), (x_old, slide)], along=0.6)
    d.arrow((x_old, slide), rest)
    d.arrow(rest, new)
    d.arrow(old, mix, r"$z_t \odot h_{t-1}$")
    d.arrow(new, mix)
    d.arrow(mix, (10.4, top))
    d.arrow((x_h, top), (x_h, 4.9))
    d.text(x_h + 0.3, 4.9, "$h_t$", "red", size=16)
    d.text(10.65, top, "$h_t$", size=16)
    dot(d, (x_in, top), (x_old, slide), (x_h, top))
    if step == 1:
        source = d.box(x_old, row, "candidate", width=1.3, colour="grey", dashed=True)
    else:
        source = sign(d, x_old, row, "tanh")
    d.arrow(source, new, via=[(x_new, row)])
    d.text(8.3, row + 0.18, "$n_t$", size=12)
    with d.since(2):
        recurrent = d.box(x_u, 2.85, r"$W_h^n,\ b_h^n$", height=0.5)
        entering = d.box(x_sum, 1.25, r"$W_x^n,\ b^n$", height=0.5)
        plus = sign(d, x_sum, row, "+")
        bridge = [(x_u + 0.13 * sin(k * pi / 8), slide + 0.13 * cos(k * pi / 8)) for k in range(9)]
        d.arrow((x_u, top), recurrent, via=bridge)
        d.arrow((x_in, low), entering, via=[(x_sum, low)])
        d.text(4.95, low + 0.18, "$x_t$  $(N, D)$", size=12)
        d.arrow(entering, plus)
        d.arrow(plus, source)
        d.text(x_u + 0.22, 2.46, "$u_t$", size=12)
        dot(d, (x_u, top), (x_in, low))
        if step == 2:
            d.arrow(recurrent, plus, via=[(x_u, row)])
    with d.since(3):
        reset, valve = sign(d, x_r, row, SIGMA, "blue"), sign(d, x_u, row, "×")
        d.arrow((x_z, bus), reset, via=[(x_r, bus)])
        d.arrow(reset, valve, "$r_t$")
        d.arrow(recurrent, valve)
        d.arrow(valve, plus)
        dot(d, (x_z, bus))
        d.text(
            5.65, 2.85, "reset after the product\nwith $W_h^n$, as in PyTorch", ha="left", size=12
        )
    d.text(2.2, 0.12, r"$h_t = (1 - z_t) \odot n_t + z_t \odot h_{t-1}$", ha="left", size=15)
    d.text(6.1, 0.12, CANDIDATES[step - 1], ha="left", size=15)
    key(d, 6.7, 0.8)
    return d
