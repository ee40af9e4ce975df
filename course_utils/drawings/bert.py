"""Lesson 16: what BERT reads, and what it is asked."""

from __future__ import annotations

from ..diagrams import Diagram, Node
from ..plots import COLOURS

TOKENS = "[CLS] the dog [MASK] [SEP] the dog is good [SEP]".split()
FIRST = 5  # tokens of the first sentence, with [CLS] and [SEP]


def inputs() -> Diagram:
    """Ten tokens of two sentences: three rows added for each, the encoder, and two questions."""
    d = Diagram(10.7, 5.3, "Each token enters as a sum of three rows; two places are asked")
    rows = (("word", 0.72), ("position", 1.38), ("segment", 2.04))
    places, width = [1.75 + 0.94 * t for t in range(len(TOKENS))], 0.84
    middle = (places[0] + places[-1]) / 2
    encoder = d.box(middle, 3.35, "encoder", places[-1] - places[0] + width, 0.55)
    for name, y in rows:
        d.text(1.15, y, name, ha="right")
    d.text(1.15, 2.62, "$(N, T, H)$", ha="right", size=12)
    d.text(1.15, 3.85, "$(N, T, H)$", ha="right", size=12)
    for t, (x, token) in enumerate(zip(places, TOKENS)):
        column = [
            d.box(x, y, text, width, 0.4, "grey" if text == "[MASK]" else "green")
            for (_, y), text in zip(rows, (token, str(t), str(int(t >= FIRST))))
        ]
        for lower, upper in zip(column, column[1:]):
            d.text(x, (lower.y + upper.y) / 2, "+", "orange", size=15, weight="bold")
        d.arrow(column[-1], _above(encoder, x))
        d.text(x + 0.2, 2.62, f"$x_{t}$", size=12)
    for name, low, high in (("A", 0, FIRST - 1), ("B", FIRST, len(TOKENS) - 1)):
        left, right = places[low] - width / 2, places[high] + width / 2
        d.ax.plot(
            [left, left, right, right], [0.4, 0.32, 0.32, 0.4], "-", color=COLOURS["grey"], lw=1.4
        )
        d.text((left + right) / 2, 0.12, f"sentence {name}")
    for t, question, reads in ((0, "next sentence?", "$(N, 2)$"), (3, "runs?", "$V$ words")):
        x = places[t]
        read_out = d.box(x, 4.3, "read-out", 1.0, 0.4)
        d.arrow(_above(encoder, x), read_out)
        d.text(x + 0.2, 3.85, f"$h_{t}$", size=12)
        answer = d.box(x, 5.0, question, 1.5, 0.42, "red")
        d.arrow(read_out, answer)
        d.text(x + 0.1, 4.65, reads, ha="left", size=12)
    return d


def _above(encoder: Node, x: float) -> Node:
    """The part of the encoder over one token."""
    return encoder._replace(x=x, half_width=0.4)
