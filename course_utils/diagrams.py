"""Pictures of the inside of a model: boxes, gates, and arrows that end on what they point at.

A `Diagram` is built up in steps: what belongs to a later step than the one shown stays out, so that
one drawing serves for "first the state, then the gates". The lessons' drawings are in `drawings`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from .pages.colours import COLOURS, DARK, PALE
from .plots import figure

Point = tuple[float, float]


class Node(NamedTuple):
    """A box or a circle around (x, y), in inches."""

    x: float
    y: float
    half_width: float
    half_height: float
    is_round: bool = False

    def border(self, toward: Point) -> Point:
        """Where the line from the middle to another point leaves the node."""
        dx, dy = toward[0] - self.x, toward[1] - self.y
        if self.is_round:
            share = self.half_width / (math.hypot(dx, dy) or 1)
        else:
            sides = ((self.half_width, dx), (self.half_height, dy))
            share = min((half / abs(d) for half, d in sides if d), default=0)
        return self.x + share * dx, self.y + share * dy

    def at(self, right: float = 0, up: float = 0) -> Point:
        """A point of the node: right and up go from -1 to 1, from border to border."""
        return self.x + right * self.half_width, self.y + up * self.half_height


class Diagram:
    """A drawing of `width` x `height` inches, the origin at the lower left.

    title: states the finding, as every figure's. step: how far it is built up; None shows all.
    ax: draws on these axes, in their own units, and leaves them as they are.
    """

    def __init__(
        self,
        width: float = 9,
        height: float = 4,
        title: str = "",
        step: int | None = None,
        ax: Any = None,
    ) -> None:
        if ax is None:
            _, ax = figure(width=width, height=height + 0.45)
            ax.set(xlim=(0, width), ylim=(0, height), aspect="equal", title=title)
        self.fig, self.ax, self.step, self.visible = ax.figure, ax, step, True
        self.ax.axis("off")
        self.arrows: list[tuple[list[Point], Node | Point, Node | Point]] = []  # for the tests

    @contextmanager
    def since(self, step: int) -> Iterator[None]:
        """What is drawn inside is there from this step on."""
        before, self.visible = self.visible, self.step is None or self.step >= step
        yield
        self.visible = before

    def text(self, x: float, y: float, text: str, colour: str = "black", **style: Any) -> None:
        """Text around a point. style: of Matplotlib's text, such as ha="left" or size=11."""
        if self.visible:
            ink = DARK.get(colour, COLOURS[colour])
            self.ax.text(x, y, text, **{"ha": "center", "va": "center", "color": ink, **style})

    def box(
        self,
        x: float,
        y: float,
        text: str,
        width: float = 1.2,
        height: float = 0.6,
        colour: str = "blue",
        dashed: bool = False,
    ) -> Node:
        """A rounded box around a text."""
        from matplotlib.patches import FancyBboxPatch

        shape = FancyBboxPatch(
            (x - width / 2, y - height / 2), width, height, "round,pad=0,rounding_size=0.1"
        )
        self._add(shape, x, y, text, colour, dashed)
        return Node(x, y, width / 2, height / 2)

    def gate(
        self, x: float, y: float, text: str, colour: str = "orange", size: float = 0.42
    ) -> Node:
        """A circle with a sign in it: σ, tanh, ×, +."""
        from matplotlib.patches import Circle

        self._add(Circle((x, y), size / 2), x, y, text, colour, False)
        return Node(x, y, size / 2, size / 2, is_round=True)

    def _add(self, shape: Any, x: float, y: float, text: str, colour: str, dashed: bool) -> None:
        if self.visible:
            line = "--" if dashed else "-"
            shape.set(facecolor=PALE[colour], edgecolor=COLOURS[colour], lw=1.6, ls=line, zorder=3)
            self.ax.add_patch(shape)
            self.ax.text(x, y, text, ha="center", va="center", zorder=4)

    def arrow(
        self,
        start: Node | Point,
        end: Node | Point,
        label: str = "",
        *,
        via: Sequence[Point] = (),
        colour: str = "black",
        dashed: bool = False,
        head: bool = True,
        aside: Point = (0, 0.17),
        along: float = 0.5,
    ) -> None:
        """A line from node to node, by way of other points; it ends on their borders.

        label: beside it, `aside` (right, up) of the point that is `along` of the way.
        """
        inner = list(via)
        middles = [part[:2] if isinstance(part, Node) else part for part in (start, end)]
        first = start.border((inner or [middles[1]])[0]) if isinstance(start, Node) else start
        last = end.border((inner or [middles[0]])[-1]) if isinstance(end, Node) else end
        points = [first, *inner, last]
        if not self.visible:
            return
        self.arrows.append((points, start, end))
        line: dict[str, Any] = {"color": COLOURS[colour], "lw": 1.8, "zorder": 2}
        line["ls"] = "--" if dashed else "-"
        self.ax.plot(*zip(*(points[:-1] if head else points)), solid_joinstyle="round", **line)
        if head:
            tip: dict[str, Any] = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "lw": 1.8}
            tip |= {"color": COLOURS[colour], "ls": line["ls"], "mutation_scale": 14}
            self.ax.annotate("", points[-1], points[-2], arrowprops=tip, zorder=2)
        if label:
            x, y = _along(points, along)
            self.text(x + aside[0], y + aside[1], label, colour, size=12)


def _along(points: Sequence[Point], share: float) -> Point:
    """The point at this share of a path's length."""
    lengths = [math.dist(a, b) for a, b in zip(points, points[1:])]
    left = share * sum(lengths)
    for (a, b), length in zip(zip(points, points[1:]), lengths):
        if left <= length:
            part = left / (length or 1)
            return a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1])
        left -= length
    return points[-1]
