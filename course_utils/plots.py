"""House style for figures: read from the last row, told apart without colour vision, Hangul
rendered, alt text."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito's palette (2008), which people with any common kind of colour vision tell apart.
COLOURS = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "red": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "grey": "#6B6B6B",
    "black": "#000000",
}
SCALE = 6.4  # width in inches of a figure with one column


@cache
def hangul_font() -> Path:
    """The file of a font with Latin and Hangul letters (Nanum Gothic, from the package
    koreanize-matplotlib).

    Raises FileNotFoundError, saying what to install, when the package is missing.
    """
    from importlib.util import find_spec

    spec = find_spec(
        "koreanize_matplotlib"
    )  # found, not imported: importing it would change Matplotlib's settings
    path = (
        Path(spec.origin or "").parent / "fonts" / "NanumGothic.ttf"
        if spec
        else Path("NanumGothic.ttf")
    )
    if not path.exists():
        raise FileNotFoundError(
            "no Hangul font: install the package koreanize-matplotlib (it is in pyproject.toml)"
        )
    return path


@cache
def _style() -> dict[str, Any]:
    """Matplotlib settings of the house; registers the font once."""
    from cycler import cycler
    from matplotlib import font_manager

    fonts = font_manager.fontManager
    for path in (hangul_font(), hangul_font().with_name("NanumGothicBold.ttf")):
        fonts.addfont(str(path))
    fonts.ttflist[-1] = replace(
        fonts.ttflist[-1], weight=700
    )  # its file calls itself 600, which is not found as "bold"
    cycle = cycler(
        color=[
            COLOURS[name] for name in ("blue", "red", "green", "purple", "orange", "sky", "grey")
        ]
    )
    return {
        "font.family": ["NanumGothic", "DejaVu Sans"],
        "axes.unicode_minus": False,
        "mathtext.fontset": "dejavusans",
        "font.size": 13,
        "axes.titlesize": 15,
        "axes.titleweight": "bold",
        "axes.labelsize": 14,
        "legend.fontsize": 13,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "axes.prop_cycle": cycle + cycler(linestyle=["-", "--", "-.", ":", "-", "--", "-."]),
        "lines.linewidth": 2.2,
        "legend.frameon": False,
        "savefig.dpi": 80,
        "figure.dpi": 80,
    }


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
    `plt.subplots`. The lines of one figure differ in colour and in dash."""
    import matplotlib.pyplot as plt

    settings: Any = plt.rcParams
    settings.update(_style())
    size = (width or (SCALE if columns == 1 else 11.0), height or 3.8 * rows)
    fig, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", **keywords)
    for ax in (
        fig.axes
    ):  # the exponents of a logarithmic axis need a minus sign, which Nanum Gothic lacks
        ax.tick_params(which="both", labelfontfamily=["DejaVu Sans", "NanumGothic"])
    return fig, axes


def png(fig: Figure) -> bytes:
    """The figure as a PNG file's bytes, in its 256 most used colours (a third of the size); closes
    it."""
    import matplotlib.pyplot as plt
    from PIL import Image

    drawn, packed = io.BytesIO(), io.BytesIO()
    fig.savefig(drawn, format="png")
    plt.close(fig)
    with Image.open(drawn) as picture:
        few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(packed, "PNG", optimize=True)
    return packed.getvalue()


def _complain(fig: Figure, alt: str) -> None:
    """Raise ValueError when the figure breaks the house's rules: title, axis names, alt text."""
    if len(alt.split()) < 6:
        raise ValueError(
            f"alt text says in a sentence what the picture shows; {alt!r} is too short"
        )
    shown = [ax for ax in fig.axes if ax.axison and ax.get_label() != "<colorbar>"]
    if (
        not any(ax.get_title() or ax.get_title("left") for ax in fig.axes)
        and not fig.get_suptitle()
    ):
        raise ValueError(
            "a figure has a title that states the finding: ax.set_title('Forgetting starts after 12"
            " steps')"
        )
    for ax in shown:
        place: Any = ax.get_subplotspec()
        outer = {
            "x": place is None or place.is_last_row(),
            "y": place is None or place.is_first_col(),
        }
        sides = {"x": ax.xaxis, "y": ax.yaxis}
        missing = [
            side
            for side, axis in sides.items()
            if outer[side]
            and axis.get_visible()
            and not axis.get_label_text()
            and not getattr(fig, f"get_sup{side}label")()
        ]
        if missing:
            raise ValueError(
                f"name the {' and '.join(missing)} axis, with its unit:"
                f" ax.set_{missing[0]}label('time step')"
            )


def show(fig: Figure, alt: str) -> None:
    """Display the figure with its alt text, and close it.

    Raises ValueError when it has no title, a visible axis has no name, or the alt text is shorter
    than 6 words."""
    from IPython.display import display

    _complain(fig, alt)
    picture = base64.b64encode(png(fig)).decode()
    display(  # type: ignore[no-untyped-call]
        {"image/png": picture, "text/plain": alt}, raw=True, metadata={"image/png": {"alt": alt}}
    )


def label_lines(ax: Axes, gap: float = 0.075) -> None:
    """Write each line's label beside its last point, in its colour, instead of a legend; labels
    keep apart.

    gap: the smallest distance of two labels, as a share of the axis's height.
    """
    lines = [line for line in ax.get_lines() if not str(line.get_label()).startswith("_")]
    points = [np.asarray(line.get_xydata(), dtype=float) for line in lines]  # dates as numbers too
    to_axes = ax.transData + ax.transAxes.inverted()
    ends = [(to_axes.transform(xy[-1]), line) for xy, line in zip(points, lines) if len(xy)]
    floor = -1.0
    for (x, y), line in sorted(ends, key=lambda pair: float(pair[0][1])):
        floor = max(float(y), floor + gap)
        ax.annotate(
            str(line.get_label()),
            (min(float(x), 1.0) + 0.01, floor),
            xycoords="axes fraction",
            va="center",
            color=line.get_color(),
            annotation_clip=False,
        )


def unrolled(
    ax: Axes,
    inputs: Sequence[str | None],
    outputs: Sequence[str | None],
    states: Sequence[str] | None = None,
    *,
    start: str | None = None,
    cell: str = "RNN",
) -> None:
    """Draw a recurrent network step by step: inputs below, the cell at each step, outputs above,
    states on the arrows.

    inputs, outputs: one label a step; None where nothing enters or leaves. states: labels of the
    arrows to the next step (T - 1 of them, or T with the one that leaves the last cell). start: the
    label of the first state. Raises ValueError when the numbers of labels do not fit."""
    steps = len(inputs)
    if len(outputs) != steps or (states is not None and len(states) not in (steps - 1, steps)):
        raise ValueError(
            f"{steps} inputs need {steps} outputs and {steps - 1} or {steps} states; got"
            f" {len(outputs)} and {len(states or [])}"
        )
    arrow: dict[str, Any] = {
        "arrowstyle": "-|>",
        "lw": 1.8,
        "color": COLOURS["black"],
        "shrinkA": 0,
        "shrinkB": 0,
    }
    for t in range(steps):
        box = {"boxstyle": "round,pad=0.45", "fc": "#DCEBF5", "ec": COLOURS["blue"], "lw": 1.6}
        ax.text(2 * t, 0, cell, ha="center", va="center", bbox=box)
        below, above = inputs[t], outputs[t]
        if below is not None:
            ax.text(2 * t, -1.45, below, ha="center", va="center", color=COLOURS["green"])
            ax.annotate("", (2 * t, -0.42), (2 * t, -1.2), arrowprops=arrow)
        if above is not None:
            ax.text(2 * t, 1.45, above, ha="center", va="center", color=COLOURS["red"])
            ax.annotate("", (2 * t, 1.2), (2 * t, 0.42), arrowprops=arrow)
        if t + 1 < steps or (states is not None and len(states) == steps):
            ax.annotate("", (2 * t + 1.4, 0), (2 * t + 0.6, 0), arrowprops=arrow)
            if states is not None:
                ax.text(2 * t + 1, 0.3, states[t], ha="center", va="center")
    if start is not None:
        ax.annotate("", (-0.6, 0), (-1.4, 0), arrowprops=arrow)
        ax.text(-1.75, 0, start, ha="center", va="center")
    ax.set_xlim(-2.2 if start is not None else -1, 2 * steps - 0.6)
    ax.set_ylim(-1.9, 1.9)
    ax.axis("off")
