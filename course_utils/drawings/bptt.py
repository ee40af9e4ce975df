"""Lesson 05: the graph of backpropagation through time."""

from __future__ import annotations

from ..diagrams import Diagram

TITLES = (
    "1. Forward: one set of weights, and a loss at every step",
    "2. Backward: gradient enters each state from above and from the right",
)


def graph(step: int = 2) -> Diagram:
    """Three steps of an RNN with a loss at each: 1 forward, 2 with the gradients back (red)."""
    d = Diagram(10.3, 4.95, TITLES[step - 1], step)
    columns, row, side = (2.2, 5.4, 8.6), 2.2, 0.2  # side: from a line forward to one back
    total = d.box(5.4, 4.6, "$L = L_1 + L_2 + L_3$", 8.4, 0.55, "red")
    weights = d.box(5.4, 0.4, "", 8.4, 0.6)
    d.text(1.5, 0.4, "$W_x, W_h, b$: the same at every step", ha="left")
    cells = [d.box(x, row, "", 1.8, 0.8) for x in columns]
    losses = [d.box(x, 3.6, f"$L_{t}$", 1, 0.5, "red") for t, x in enumerate(columns, 1)]
    d.text(0.3, row + side, "$h_0$", size=16)
    d.text(1.15, 1.42, "$(N, D)$", size=12)
    for t, (node, loss) in enumerate(zip(cells, losses), 1):
        x, right = node.x, node.at(right=1)[0]
        floor, ceiling = node.at(up=-1)[1], node.at(up=1)[1]
        d.text(x, row + 0.17, rf"$h_{t} = \tanh(a_{t})$", zorder=4)
        d.text(x - 0.52, 1.1, f"$x_{t}$", "green", size=16)
        d.arrow((x - 0.64, 1.3), (x - 0.64, floor))
        d.arrow((x, weights.at(up=1)[1]), (x, floor))
        d.arrow((x - side, ceiling), (x - side, loss.at(up=-1)[1]))
        d.text(x - side - 0.22, 3.0, f"$h_{t}$", size=12)
        d.arrow((x - side, loss.at(up=1)[1]), (x - side, total.at(up=-1)[1]))
        start = columns[t - 2] + 0.9 if t > 1 else 0.5
        d.arrow((start, row + side), (node.at(right=-1)[0], row + side))
        if t < 3:
            d.text(right + 0.7, row + side + 0.17, f"$h_{t}$  $(N, H)$", size=12)
        with d.since(2):
            back = [
                ((x + side, total.at(up=-1)[1]), (x + side, loss.at(up=1)[1])),
                ((x + side, loss.at(up=-1)[1]), (x + side, ceiling)),
                ((node.at(right=-1)[0], row - side), (start, row - side)),
                ((x - 0.4, floor), (x - 0.4, 1.3)),
                ((x + 2 * side, floor), (x + 2 * side, weights.at(up=1)[1])),
            ]
            for first, last in back:
                d.arrow(first, last, colour="red", dashed=True)
            d.text(x + 0.3, 3.15, "from above", "red", ha="left", size=12)
            share = rf"$\partial L_{t} / \partial h_{t}$"
            d.text(x + 0.3, 2.85, share, "red", ha="left", size=12)
            both = rf"$\partial L / \partial h_{t}$"
            d.text(x, row - 0.19, f"{both}: the sum" if t < 3 else both, "red", size=12, zorder=4)
            if t < 3:
                share = rf"$(\partial L / \partial a_{t + 1})\, W_h^\top$"
                d.text(right + 0.74, 1.81, "from the right", "red", size=12)
                d.text(right + 0.74, 1.52, share, "red", size=12)
        if step == 1:
            d.text(x, row - 0.19, "RNN cell", "grey", size=12, zorder=4)
    with d.since(2):
        d.text(0.7, 1.75, r"$\partial L / \partial h_0$", "red", size=12)
        d.text(9.3, 0.4, "gradients: the sum of all steps", "red", ha="right")
    return d
