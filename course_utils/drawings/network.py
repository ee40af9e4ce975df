"""A recurrent network, drawn step by step (lessons 00 to 11)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..diagrams import Diagram, Node, Point


def unrolled(
    ax: Any,
    inputs: Sequence[str | None],
    outputs: Sequence[str | None],
    states: Sequence[str] | None = None,
    *,
    start: str | None = None,
    cell: str = "RNN",
) -> Diagram:
    """A cell at each step, inputs below and outputs above; step t stands at (2t, 0) of the axes.

    inputs, outputs: one label a step; None where nothing enters or leaves. states: labels of the
    arrows to the next step (T - 1 of them, or T with the one that leaves the last cell). start: the
    label of the first state. Raises ValueError when the numbers of labels do not fit.
    """
    steps = len(inputs)
    if len(outputs) != steps or (states is not None and len(states) not in (steps - 1, steps)):
        raise ValueError(
            f"{steps} inputs need {steps} outputs and {steps - 1} or {steps} states; got "
            f"{len(outputs)} and {len(states or [])}"
        )
    d = Diagram(ax=ax)
    cells = [d.box(2 * t, 0, cell, 1.2, 0.9) for t in range(steps)]
    ends: list[Node | Point] = [*cells, (2 * steps - 0.6, 0)]
    for t, (below, above) in enumerate(zip(inputs, outputs)):
        if below is not None:
            d.text(2 * t, -1.45, below, "green")
            d.arrow((2 * t, -1.2), cells[t])
        if above is not None:
            d.text(2 * t, 1.45, above, "red")
            d.arrow(cells[t], (2 * t, 1.2))
        if t + 1 < steps or (states is not None and len(states) == steps):
            label = states[t] if states is not None else ""
            d.arrow(cells[t], ends[t + 1], label, aside=(0, 0.3))
    if start is not None:
        d.text(-1.75, 0, start)
        d.arrow((-1.4, 0), cells[0])
    ax.set_xlim(-2.2 if start is not None else -1, 2 * steps - 0.6)
    ax.set_ylim(-1.9, 1.9)
    return d
