"""Figures keep the house's rules, and explorers turn without a kernel."""

from __future__ import annotations

import warnings
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pytest

from course_utils.explorers import player
from course_utils.plots import COLOURS, figure, hangul_font, label_lines, png, show, unrolled

ALT = "A straight line that rises from left to right."


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    seen: list[tuple[dict[str, Any], dict[str, Any]]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw=False, metadata=None: seen.append((data, metadata or {})))
    return seen


def line(value: float = 1.0) -> Any:
    fig, ax = figure()
    ax.plot([0, 1], [0, value], label="line")
    ax.set_title("It rises")
    ax.set_xlabel("time (s)")
    ax.set_ylabel("height (m)")
    return fig


def test_a_figure_is_shown_with_its_alt_text_and_closed(displayed: list[Any]) -> None:
    show(line(), ALT)
    (data, metadata), *more = displayed
    assert not more and metadata == {"image/png": {"alt": ALT}} and data["text/plain"] == ALT
    assert data["image/png"].startswith("iVBOR") and not plt.get_fignums()


@pytest.mark.parametrize("spoil, message", [
    (lambda ax: ax.set_title(""), "title that states the finding"),
    (lambda ax: ax.set_xlabel(""), "name the x axis"),
    (lambda ax: ax.set_ylabel(""), "name the y axis"),
    (lambda ax: (ax.set_xlabel(""), ax.set_ylabel("")), "name the x and y axis"),
])  # fmt: skip
def test_a_figure_without_title_or_names_is_refused(spoil: Any, message: str, displayed: list[Any]) -> None:
    fig = line()
    spoil(fig.axes[0])
    with pytest.raises(ValueError, match=message):
        show(fig, ALT)
    plt.close(fig)
    assert not displayed


def test_short_alt_text_is_refused() -> None:
    fig = line()
    with pytest.raises(ValueError, match="too short"):
        show(fig, "a line")
    plt.close(fig)


def test_inner_axes_share_the_outer_names(displayed: list[Any]) -> None:
    fig, axes = figure(2, 2, sharex=True, sharey=True)
    for ax in axes.flat:
        ax.set_title("One of four")
    fig.supxlabel("time (s)")
    fig.supylabel("height (m)")
    show(fig, ALT)
    assert len(displayed) == 1


def test_hangul_and_minus_render_without_a_warning() -> None:
    fig = line(-1.0)
    fig.axes[0].set_title("한국어 – the font has Hangul, ∂ and −1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert png(fig)[:8] == b"\x89PNG\r\n\x1a\n"
    assert hangul_font().exists()


def test_colours_differ_in_lightness() -> None:
    """The first three colours of the cycle are told apart in a grey print (relative luminance)."""

    def luminance(name: str) -> float:
        red, green, blue = (int(COLOURS[name][i : i + 2], 16) / 255 for i in (1, 3, 5))
        return 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2

    values = sorted(luminance(name) for name in ("black", "blue", "green", "orange"))
    assert min(b - a for a, b in zip(values, values[1:])) > 0.05


def test_labels_beside_lines_keep_apart() -> None:
    fig, ax = figure()
    for end in (1.0, 1.001, 1.002):
        ax.plot([0, 1], [0, end], label=f"to {end}")
    ax.set_ylim(0, 2)
    label_lines(ax)
    heights = sorted(text.xy[1] for text in ax.texts)
    assert len(heights) == 3 and min(b - a for a, b in zip(heights, heights[1:])) > 0.05
    plt.close(fig)


def test_a_network_is_unrolled_with_an_arrow_for_each_label() -> None:
    fig, ax = figure()
    unrolled(ax, ["나", "는", None], [None, None, "tag"], ["h1", "h2", "h3"], start="h0")
    words = {text.get_text() for text in ax.texts}
    assert {"나", "는", "tag", "h0", "h1", "h2", "h3"} <= words
    arrows = [text for text in ax.texts if getattr(text, "arrow_patch", None) is not None]
    assert len(arrows) == 2 + 1 + 3 + 1
    plt.close(fig)


def test_an_unrolled_network_explains_labels_that_do_not_fit() -> None:
    fig, ax = figure()
    with pytest.raises(ValueError, match="3 inputs need 3 outputs and 2 or 3 states; got 2 and 0"):
        unrolled(ax, ["a", "b", "c"], ["x", "y"])
    plt.close(fig)


@pytest.fixture
def widgets() -> Any:
    import ipywidgets

    ipywidgets.Widget.close_all()
    yield ipywidgets
    ipywidgets.Widget.close_all()


def test_an_explorer_links_slider_and_pictures_in_the_page(displayed: list[Any], widgets: Any) -> None:
    player(line, [1, 2, 3], name="end", alt=ALT, start=1)
    (_, metadata), (data, _) = displayed
    assert metadata["image/png"]["alt"] == ALT
    box = data["application/vnd.jupyter.widget-view+json"]["model_id"]
    state = widgets.Widget.get_manager_state(drop_defaults=False)["state"]
    assert state[box]["model_name"] == "VBoxModel"
    kinds = [entry["model_name"] for entry in state.values()]
    assert kinds.count("ImageModel") == 3 and kinds.count("LinkModel") == 1 and kinds.count("SelectionSliderModel") == 1
    (link,) = (entry["state"] for entry in state.values() if entry["model_name"] == "LinkModel")
    assert link["source"][1] == "index" and link["target"][1] == "selected_index"
    assert data["text/plain"] == "Explorer: turn end."


def test_an_explorer_with_two_sliders_has_a_picture_for_each_pair(displayed: list[Any], widgets: Any) -> None:
    seen: list[tuple[int, str]] = []

    def draw(one: int, two: str) -> Any:
        seen.append((one, two))
        return line(one)

    player(draw, [1, 2], name="end", values2=["a", "b", "c"], name2="kind", alt=ALT)
    assert set(seen) == {(one, two) for one in (1, 2) for two in "abc"}
    state = widgets.Widget.get_manager_state(drop_defaults=False)["state"].values()
    assert sum(entry["model_name"] == "LinkModel" for entry in state) == 3  # the second slider to each row, the first to the rows


def test_an_explorer_explains_bad_input() -> None:
    with pytest.raises(ValueError, match="1 to 40 frames; 0 x 1"):
        player(line, [], name="end", alt=ALT)
    with pytest.raises(ValueError, match="41 x 1"):
        player(line, list(range(41)), name="end", alt=ALT)
    with pytest.raises(ValueError, match=r"start must be a position in values \(0 to 1\)"):
        player(line, [1, 2], name="end", alt=ALT, start=2)
