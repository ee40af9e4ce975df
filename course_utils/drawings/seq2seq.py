"""Lesson 11: an encoder that reads, and a decoder that writes from the encoder's last state."""

from __future__ import annotations

from ..diagrams import Diagram, Node
from ..plots import COLOURS

TITLES = (
    "1. The encoder reads all words, and says nothing",
    "2. Its last state is handed over: all that the decoder will know of the source",
    "3. The decoder starts from this state and writes word by word",
)
SOURCE, TARGET = ("dogs", "run", "<eos>"), ("<sos>", "개들은", "달린다", "<eos>")


def encoder_decoder(step: int = 3) -> Diagram:
    """Three words in, three words out, built up: 1 encoder, 2 handover, 3 decoder.

    In training the true word enters from below (teacher forcing), in use the written one from above
    (dashed).
    """
    d = Diagram(10.9, 4.7, TITLES[step - 1], step)
    words, cells, read_out, written = 0.75, 1.85, 2.9, 3.9  # heights
    encoder = [d.box(x, cells, r"$f_{\mathrm{enc}}$", width=0.9) for x in (1.3, 2.75, 4.2)]
    for node, word in zip(encoder, SOURCE):
        d.arrow(d.box(node.x, words, word, 0.95, 0.42, "green"), node, colour="green")
    d.text(0.3, cells + 0.25, "$h_0 = 0$", size=12)
    d.arrow((0.1, cells), encoder[0])
    for s, (node, later) in enumerate(zip(encoder, encoder[1:]), start=1):
        d.arrow(node, later, f"$h_{s}$")
    d.text(2.75, 2.55, "encoder: reads", "blue", size=15)
    _span(d, encoder, 0.37, "source $(N, S)$")
    with d.since(2):
        decoder = [d.box(7.1, cells, r"$f_{\mathrm{dec}}$", width=0.9)]
        context = d.box(5.65, cells, "$c = h_S$", 0.95, 0.6, "black")
        d.text(5.65, 2.37, "context")
        d.text(5.65, 1.33, "$(N, H)$", size=12)
        d.arrow(encoder[-1], context)
        d.arrow(context, decoder[0], "$s_0$")
    with d.since(3):
        decoder += [d.box(x, cells, r"$f_{\mathrm{dec}}$", width=0.9) for x in (8.65, 10.2)]
        own: Node | None = None
        for t, node in enumerate(decoder):
            d.arrow(d.box(node.x, words, TARGET[t], 0.95, 0.42, "green"), node, colour="green")
            choose = d.box(node.x, read_out, "linear,\nsoftmax", 0.95, 0.62)
            d.arrow(node, choose)
            if own:
                left = node._replace(x=node.x - 0.27, half_width=0.18)  # the part that it enters
                turn = node.x - 0.76
                corners = [(turn, written), (turn, 2.4), (left.x, 2.4)]
                d.arrow(own, left, via=corners, dashed=True)
            own = d.box(node.x, written, TARGET[t + 1], 0.95, 0.42, "red")
            d.arrow(choose, own)
        for t, (node, later) in enumerate(zip(decoder, decoder[1:]), start=1):
            d.arrow(node, later, f"$s_{t}$")
        d.text(8.65, 4.5, "decoder: writes", "blue", size=15)
        _span(d, decoder, 0.37, "true words $(N, T)$")
        d.text(6.97, 3.4, "$(N, T, V)$", ha="right", size=12)
        for y, text, colour, dashed in (
            (4.1, "in training: the true word (teacher forcing)", "green", False),
            (3.65, "in use: its own last word", "black", True),
        ):
            d.arrow((0.5, y), (1.2, y), colour=colour, dashed=dashed)
            d.text(1.35, y, text, ha="left")
    return d


def _span(d: Diagram, nodes: list[Node], y: float, text: str) -> None:
    """A bracket below all nodes, and what they are together."""
    if d.visible:
        left, right = nodes[0].at(-1)[0], nodes[-1].at(1)[0]
        xs, ys = (left, left, right, right), (y + 0.08, y, y, y + 0.08)
        d.ax.plot(xs, ys, "-", color=COLOURS["grey"], lw=1.4)
        d.text((left + right) / 2, y - 0.22, text)
