"""Drawings of the inside of models: arrows end on borders, and nothing is written over."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pytest
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from course_utils.diagrams import Diagram, Node, Point
from course_utils.drawings import (
    attention,
    bert,
    bptt,
    gru,
    lstm,
    network,
    rnn,
    seq2seq,
    transformer,
)
from course_utils.plots import figure

STEPS: dict[Callable[[int], Diagram], int] = {
    rnn.cell: 2,
    bptt.graph: 2,
    lstm.cell: 4,
    gru.cell: 3,
    seq2seq.encoder_decoder: 3,
    attention.step: 3,
    transformer.model: 3,
    transformer.attention_by_shapes: 3,
}
SHARES = [k / 200 for k in range(201)]


def unrolled() -> Diagram:
    _, ax = figure(width=9)
    ax.set_title("Three steps")
    return network.unrolled(ax, "abc", "xyz", ["$h_1$", "$h_2$", "$h_3$"], start="$h_0$")


DRAWINGS: dict[str, Callable[[], Diagram]] = {
    f"{draw.__module__.split('.')[-1]}.{draw.__name__}({step})": partial(draw, step)
    for draw, steps in STEPS.items()
    for step in range(1, steps + 1)
}
DRAWINGS |= {"bert.inputs()": bert.inputs, "network.unrolled()": unrolled}
each_drawing = pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)


def distance_from_border(point: tuple[float, float], node: Node) -> float:
    right, up = abs(point[0] - node.x), abs(point[1] - node.y)
    if node.is_round:
        return abs(math.hypot(right, up) - node.half_width)
    inside = (right <= node.half_width + 1e-9, up <= node.half_height + 1e-9)
    assert all(inside), "outside of the box"
    return min(node.half_width - right, node.half_height - up)


@each_drawing
def test_arrows_touch_the_border_of_what_they_join(draw: Callable[[], Diagram]) -> None:
    diagram = draw()
    for points, start, end in diagram.arrows:
        for point, node in ((points[0], start), (points[-1], end)):
            if isinstance(node, Node):
                assert abs(distance_from_border(point, node)) < 1e-9, (points, node)
    heads = [text for text in diagram.ax.texts if isinstance(text, Annotation)]
    tips = {tuple(head.xy) for head in heads if head.arrow_patch is not None}
    assert tips
    assert tips <= {tuple(points[-1]) for points, *_ in diagram.arrows}
    plt.close(diagram.fig)


@each_drawing
def test_what_is_written_can_be_read(draw: Callable[[], Diagram]) -> None:
    """No text leaves the picture, lies on another one, or is crossed by an arrow."""
    diagram = draw()
    diagram.fig.canvas.draw()
    page = diagram.fig.bbox
    boxes: dict[str, Bbox] = {}
    for number, text in enumerate([*diagram.ax.texts, diagram.ax.title]):
        if text.get_text():
            box = Bbox(text.get_window_extent())
            boxes[f"{number} {text.get_text()}"] = box
            assert box.x0 >= page.x0, text
            assert box.x1 <= page.x1, text
            assert box.y0 >= page.y0, text
            assert box.y1 <= page.y1, text
    smaller = {name: box.padded(-2) for name, box in boxes.items()}
    for (name, box), (other, second) in itertools.combinations(smaller.items(), 2):
        assert not box.overlaps(second), f"{name!r} lies on {other!r}"
    for points, *_ in diagram.arrows:
        path = diagram.ax.transData.transform(points)
        for (start, end), (name, box) in itertools.product(
            itertools.pairwise(path), smaller.items()
        ):
            assert not crosses(start, end, box), f"an arrow crosses {name!r}"
    plt.close(diagram.fig)


def crosses(start: Point, end: Point, box: Bbox) -> bool:
    """Whether a line enters a box: one of 200 points along it lies inside."""
    (x, y), (to_x, to_y) = start, end
    return any(box.contains(x + s * (to_x - x), y + s * (to_y - y)) for s in SHARES)


@pytest.mark.parametrize("draw", STEPS, ids=lambda draw: draw.__module__)
def test_nothing_moves_from_step_to_step(draw: Callable[[int], Diagram]) -> None:
    """Each arrow of a step is in the next one, too (except where a box is opened)."""
    before: set[str] = set()
    for step in range(1, STEPS[draw] + 1):
        diagram = draw(step)
        ends = {str(points[-1]) for points, *_ in diagram.arrows}
        assert len(ends) >= len(before)
        before = ends
        plt.close(diagram.fig)


def test_a_network_is_unrolled_with_an_arrow_for_each_label() -> None:
    fig, ax = figure()
    labels = ["$h_1$", "$h_2$", "$h_3$"]
    diagram = network.unrolled(ax, ["나", "는", None], [None, None, "tag"], labels, start="$h_0$")
    words = {text.get_text() for text in ax.texts}
    assert {"나", "는", "tag", "$h_0$", *labels} <= words
    assert len(diagram.arrows) == 2 + 1 + 3 + 1
    with pytest.raises(ValueError, match="3 inputs need 3 outputs and 2 or 3 states; got 2 and 0"):
        network.unrolled(ax, ["a", "b", "c"], ["x", "y"])
    plt.close(fig)


def test_what_belongs_to_a_later_step_stays_out() -> None:
    diagram = Diagram(4, 2, "A box", step=1)
    first = diagram.box(1, 1, "now")
    with diagram.since(2):
        diagram.arrow(first, diagram.gate(3, 1, "+"), "later")
    diagram.text(2, 0.2, "always")
    assert [text.get_text() for text in diagram.ax.texts] == ["now", "always"]
    assert not diagram.arrows
    plt.close(diagram.fig)
