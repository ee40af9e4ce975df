"""House style for figures: read from the last row, in grey print and without colour vision.

Hangul renders everywhere, and the alt text reaches whoever cannot see the picture.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .pages.colours import COLOURS, MODELS
from .pages.fonts import hangul_font, register_fonts
from .pages.picture import picture, show_html

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "MODELS", "figure", "hangul_font", "label_lines", "show"]
WIDTH = 6.4  # inches of a figure with one column


def figure(
    rows: int = 1,
    columns: int = 1,
    *,
    width: float | None = None,
    height: float | None = None,
    **keywords: Any,
) -> Any:
    """(figure, axes) in the house style; axes as `plt.subplots` gives them (one, or an array).

    width, height: inches; by default 6.4 for one column and 11 for more, 3.8 a row. keywords: for
    `plt.subplots`. The lines of one figure differ in colour and in dash.
    """
    import matplotlib.pyplot as plt
    from cycler import cycler

    register_fonts()
    plt.style.use(Path(__file__).parent / "pages" / "course.mplstyle")
    names = ("blue", "red", "green", "purple", "orange", "sky", "grey")
    dashes = cycler(linestyle=["-", "--", "-.", ":", "-", "--", "-."])
    colours = cycler(color=[COLOURS[name] for name in names])
    plt.rcParams.update({"axes.prop_cycle": colours + dashes})
    size = (width or (WIDTH if columns == 1 else 11.0), height or 3.8 * rows)
    fig, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", **keywords)
    for ax in fig.axes:  # an exponent's minus sign, which Nanum Gothic lacks
        ax.tick_params(which="both", labelfontfamily=["DejaVu Sans", "NanumGothic"])
    return fig, axes


def _complain(fig: Figure, alt: str) -> None:
    """Raise ValueError when the figure breaks the house's rules: title, axis names, alt text."""
    if len(alt.split()) < 6:
        raise ValueError(
            f"alt text says in a sentence what the picture shows; {alt!r} is too short"
        )
    titles = [ax.get_title() or ax.get_title("left") for ax in fig.axes]
    if not any(titles) and not fig.get_suptitle():
        raise ValueError(
            "a figure has a title that states the finding: "
            "ax.set_title('Forgetting starts after 12 steps')"
        )
    for ax in (ax for ax in fig.axes if ax.axison and ax.get_label() != "<colorbar>"):
        place: Any = ax.get_subplotspec()
        sides = {
            "x": (ax.xaxis, place is None or place.is_last_row(), fig.get_supxlabel()),
            "y": (ax.yaxis, place is None or place.is_first_col(), fig.get_supylabel()),
        }
        missing = [
            side
            for side, (axis, outer, shared) in sides.items()
            if outer and axis.get_visible() and not axis.get_label_text() and not shared
        ]
        if missing:
            cure = f"ax.set_{missing[0]}label('time step')"
            raise ValueError(f"name the {' and '.join(missing)} axis, with its unit: {cure}")


def show(fig: Figure, alt: str) -> None:
    """Display the figure with its alt text, and close it.

    Raises ValueError when it has no title, a visible axis has no name, or the alt text is shorter
    than 6 words.
    """
    _complain(fig, alt)
    show_html(*picture(fig, alt), alt)


def label_lines(ax: Axes, gap: float = 0.075) -> None:
    """Write each line's label beside its last point, in its colour; labels keep apart.

    gap: the smallest distance of two labels, as a share of the axis's height.
    """
    lines = [line for line in ax.get_lines() if not str(line.get_label()).startswith("_")]
    points = [np.asarray(line.get_xydata(), dtype=float) for line in lines]  # dates as numbers too
    to_axes = ax.transData + ax.transAxes.inverted()
    ends = [(to_axes.transform(xy[-1]), line) for xy, line in zip(points, lines) if len(xy)]
    floor = -1.0
    for (x, y), line in sorted(ends, key=lambda pair: float(pair[0][1])):
        floor = max(float(y), floor + gap)
        place = (min(float(x), 1.0) + 0.02, floor)
        style: dict[str, Any] = {"xycoords": "axes fraction", "va": "center"}
        label = str(line.get_label())
        ax.annotate(label, place, color=line.get_color(), annotation_clip=False, **style)
