"""Lesson 12: one step of a decoder that looks back at all states of the encoder."""

from __future__ import annotations

from ..diagrams import Diagram, Node
from ..plots import COLOURS

TITLES = (
    "1. The decoder's state asks; any state of the encoder may answer",
    "2. Each state gets a score, and softmax makes weights of the scores",
    "3. The weighted sum of the states joins the query on the way to the read-out",
)
WEIGHTS = (0.1, 0.6, 0.2, 0.1)
X, WIDE = (2.2, 3.4, 4.6, 5.8), 1.2  # middles and width of the four columns


def step(step: int = 3) -> Diagram:
    """One decoder step with attention: 1 query and keys, 2 scores and weights, 3 context, read-out.

    The encoder's states are the keys, and the values too.
    """
    d = Diagram(10.6, 5.3, TITLES[step - 1], step)
    low, middle, whole = 0.85, 4.0, 4 * WIDE
    keys = [d.box(x, low, f"$h_{s}$", WIDE, 0.5, "green") for s, x in enumerate(X, 1)]
    d.text(middle, 0.35, "the encoder's states $(N, S, H)$", "green")
    text = "which keys fit the query?" if step == 1 else r"scores $e_{ts} = $score$(s_t, h_s)$"
    scores = d.box(middle, 1.85, text, whole, 0.5, "purple", dashed=step == 1)
    for key in keys:
        d.arrow(key, _part(scores, key.x))
    d.text(2.05, 1.34, "keys", ha="right")
    cell = d.box(8.0, low, "decoder cell", 1.5, 0.5)
    d.text(cell.x, 0.12, "$y_{t-1}$", "green")
    d.arrow((cell.x, 0.28), cell, colour="green")
    d.text(9.75, low, "$s_{t-1}$")
    d.arrow((9.45, low), cell)
    d.arrow(cell, scores, via=[(cell.x, scores.y)])
    d.text(7.2, 2.05, "query $s_t$")
    d.text(7.2, 1.65, "$(N, H)$", size=12)
    with d.since(2):
        softmax = d.box(middle, 2.75, "softmax", whole, 0.45, "purple")
        weights = [d.box(x, 3.6, "", WIDE, 0.5, "purple") for x in X]
        for s, (node, share) in enumerate(zip(weights, WEIGHTS), 1):
            d.arrow(_part(scores, node.x), _part(softmax, node.x), f"$e_{{t{s}}}$", aside=(0.27, 0))
            _bar(d, node, share)
            d.text(node.x, node.y + 0.07, f"$a_{{t{s}}} = {share}$")
            d.arrow(_part(softmax, node.x), node)
        d.text(6.5, 3.6, "sum to 1\n$(N, S)$", "purple", ha="left", size=12)
    with d.since(3):
        context = d.box(
            middle, 4.55, r"weighted sum $c_t = \Sigma_s\, a_{ts} h_s$", whole, 0.5, "orange"
        )
        for node in weights:
            d.arrow(node, _part(context, node.x))
        d.arrow(keys[0], context, via=[(0.6, low), (0.6, context.y)])
        d.text(0.7, 2.7, "values", ha="left")
        joined = d.box(cell.x, context.y, "$[s_t, c_t]$", 1.1, 0.5, "black")
        d.arrow(context, joined, "$c_t$")
        d.text(6.95, 4.3, "$(N, H)$", size=12)
        d.arrow((cell.x, scores.y), joined)
        if d.visible:
            d.ax.plot(cell.x, scores.y, "o", ms=5, color="black", zorder=3)
        d.text(8.1, 3.2, "$s_t$", ha="left")
        d.text(8.0, 4.98, "$(N, 2H)$", size=12)
        read_out = d.box(9.75, context.y, "read-out", 1.1, 0.5)
        d.arrow(joined, read_out)
        d.arrow(read_out, (9.75, 5.05), colour="red")
        d.text(9.75, 5.2, "next word $(N, V)$", "red")
    return d


def _part(node: Node, x: float) -> Node:
    """The part of a wide box that lies in one column."""
    return node._replace(x=x, half_width=WIDE / 2)


def _bar(d: Diagram, node: Node, share: float) -> None:
    """A bar at the bottom of a box, as long as the share says."""
    if d.visible:
        left, y = node.at(-0.8, -0.62)
        right = left + share * 1.6 * node.half_width
        d.ax.plot([left, right], [y, y], "-", color=COLOURS["purple"], lw=6, zorder=4)
