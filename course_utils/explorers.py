"""Figures that turn: frames drawn beforehand, and sliders that need neither kernel nor network.

An explorer is one piece of HTML with a few lines of script, so it turns by mouse and by keys in
JupyterLab, in VS Code and in an exported page, before any cell has run.
"""

from __future__ import annotations

import hashlib
import html
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .pages.picture import picture, show_html

MOST_FRAMES = 40
Slider = tuple[str, Sequence[Any], int]  # name, values, position of the first frame


def player(
    draw: Callable[..., Any],
    values: Sequence[Any],
    *,
    name: str,
    alt: str,
    values2: Sequence[Any] | None = None,
    name2: str = "",
    start: int = 0,
    start2: int = 0,
) -> None:
    """Display an explorer: one slider a parameter, one picture a setting.

    draw: (value) or, with `values2`, (value, value2) to a Figure. name, name2: what the sliders are
    called. start, start2: positions of the first frame. alt: what the pictures show, for who cannot
    see them; each frame's setting is added to it.
    All frames are drawn now: keep them few and small. Where no HTML is shown, there is the first
    frame as a plain figure.
    Raises ValueError for no value, for more than 40 frames, and for a start outside the values.
    """
    sliders: list[Slider] = [(name, values, start)]
    if values2 is not None:
        sliders.append((name2, values2, start2))
    settings = list(itertools.product(*(range(len(options)) for _, options, _ in sliders)))
    if not 1 <= len(settings) <= MOST_FRAMES:
        sizes = " x ".join(str(len(options)) for _, options, _ in sliders)
        raise ValueError(f"an explorer has 1 to {MOST_FRAMES} frames; {sizes} were asked for")
    for label, options, first in sliders:
        if not 0 <= first < len(options):
            raise ValueError(
                f"the start of {label!r} is a position in its values, 0 to {len(options) - 1}; "
                f"got {first}"
            )
    chosen = settings.index(tuple(first for *_, first in sliders))
    tags, alts, plain = [], [], ""
    for place, setting in enumerate(settings):
        shown = [options[k] for (_, options, _), k in zip(sliders, setting)]
        names = "; ".join(f"{label}: {value}" for (label, *_), value in zip(sliders, shown))
        alts.append(f"{alt} {names}.")
        tag, png = picture(draw(*shown), alts[-1], with_plain=place == chosen)
        tags.append(tag)
        plain = plain or png
    hint = f" (Explorer: turn {' and '.join(label for label, *_ in sliders)}.)"
    show_html(_page(sliders, tags, alts, chosen), plain, alts[chosen] + hint)


def _page(sliders: list[Slider], tags: list[str], alts: list[str], chosen: int) -> str:
    """The sliders, the first frame, all frames as JSON, and the script that turns them."""
    values = [list(map(str, options)) for _, options, _ in sliders]
    sources = [tag.split('src="')[1].removesuffix('">') for tag in tags]
    sources[chosen] = ""  # the page has it already, in the first picture
    frames = json.dumps({"sources": sources, "alts": alts, "values": values}, ensure_ascii=False)
    frames = frames.replace("</", "<\\/")  # text that would end the script
    identity = "explorer-" + hashlib.sha256("".join(alts).encode()).hexdigest()[:12]
    script = (Path(__file__).parent / "pages" / "explorer.js").read_text("utf-8")
    controls = []
    for number, (name, options, start) in enumerate(sliders):
        label, value = html.escape(name), html.escape(str(options[start]))
        controls.append(
            f'<label style="display: block">{label} <input type="range" min="0" step="1" '
            f'max="{len(options) - 1}" value="{start}" data-number="{number}" aria-label="{label}" '
            f'aria-valuetext="{value}" data-lm-suppress-shortcuts="true" '  # keys are the slider's
            f'style="width: 320px; vertical-align: middle"> <output>{value}</output></label>'
        )
    return (
        f'<figure id="{identity}" style="margin: 0">{"".join(controls)}{tags[chosen]}'
        f'<script type="application/json">{frames}</script>'
        f"<script>{script.replace('EXPLORER', identity)}</script></figure>"
    )
