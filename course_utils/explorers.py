"""Figures that turn: frames drawn beforehand, shown by a slider that works with and without a
kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from course_utils.plots import png, show

MOST_FRAMES = 40


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
    """Display the first frame as a plain figure, then the explorer: one slider a parameter, one
    picture a setting.

    draw: (value) or, with `values2`, (value, value2) to a Figure. name, name2: what the sliders are
    called. start, start2: positions of the first frame. alt: what the pictures show, for who cannot
    see them. All frames are drawn now; sliders and pictures are linked in the page itself
    (`jslink`), so that they turn in JupyterLab, in exported HTML and without a kernel. Keep frames
    few and small: each is stored in the notebook. Raises ValueError for no value, for more than 40
    frames, and for a start outside the values."""
    import ipywidgets as widgets
    from IPython.display import display

    others: Sequence[Any] = [None] if values2 is None else values2
    if not values or not others or len(values) * len(others) > MOST_FRAMES:
        raise ValueError(
            f"an explorer has 1 to {MOST_FRAMES} frames; {len(values)} x {len(others)} were"
            " asked for"
        )
    if not (0 <= start < len(values) and 0 <= start2 < len(others)):
        raise ValueError(
            f"start must be a position in values (0 to {len(values) - 1}), start2 in values2 (0 to"
            f" {len(others) - 1})"
        )

    def frame(one: Any, two: Any) -> Any:
        return draw(one) if values2 is None else draw(one, two)

    show(frame(values[start], others[start2]), alt)

    def stack(children: list[Any], position: int) -> Any:
        return widgets.Stack(children, selected_index=position)

    def picture(one: Any, two: Any) -> Any:
        return widgets.Image(value=png(frame(one, two)), format="png", layout={"max_width": "100%"})

    def slider(options: Sequence[Any], label: str, position: int) -> Any:
        labels = [(str(option), number) for number, option in enumerate(options)]
        style, layout = {"description_width": "initial"}, {"width": "440px"}
        return widgets.SelectionSlider(
            options=labels,
            index=position,
            description=label,
            continuous_update=True,
            style=style,
            layout=layout,
        )

    main = slider(values, name, start)
    controls = [main]
    if values2 is None:
        pictures = stack([picture(value, None) for value in values], start)
    else:
        second = slider(others, name2, start2)
        controls.append(second)
        rows = [stack([picture(value, other) for other in others], start2) for value in values]
        for row in rows:
            widgets.jslink((second, "index"), (row, "selected_index"))
        pictures = stack(rows, start)
    widgets.jslink((main, "index"), (pictures, "selected_index"))
    box = widgets.VBox([*controls, pictures])
    data = {
        "application/vnd.jupyter.widget-view+json": {
            "version_major": 2,
            "version_minor": 0,
            "model_id": box.model_id,
        }
    }
    display(
        {**data, "text/plain": f"Explorer: turn {name}{' and ' + name2 if name2 else ''}."},
        raw=True,
    )  # type: ignore[no-untyped-call]
