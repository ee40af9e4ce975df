"""Figures keep the house's rules, and explorers are pieces of HTML that turn by themselves."""

from __future__ import annotations

import base64
import datetime
import io
import json
import re
import warnings
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from course_utils.explorers import player
from course_utils.pages.colours import COLOURS, DARK, HATCHES, MODELS
from course_utils.pages.picture import DPI, picture
from course_utils.plots import figure, hangul_font, label_lines, show

ALT = "A straight line that rises from left to right."


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    seen: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def display(data: dict[str, Any], raw: bool = False, metadata: Any = None) -> None:
        seen.append((data, metadata or {}))

    monkeypatch.setattr("IPython.display.display", display)
    return seen


def line(value: float = 1.0) -> Any:
    fig, ax = figure()
    ax.plot([0, 1], [0, value], label="line")
    ax.set_title("It rises")
    ax.set_xlabel("time (s)")
    ax.set_ylabel("height (m)")
    return fig


def test_a_figure_is_shown_with_its_alt_text_and_closed(displayed: list[Any]) -> None:
    plt.close("all")  # what other tests left open
    show(line(), ALT)
    ((data, metadata),) = displayed
    assert metadata == {"image/png": {"alt": ALT}}
    assert data["text/plain"] == ALT
    assert f'<img alt="{ALT}"' in data["text/html"]
    assert data["image/png"].startswith("iVBOR")
    assert not plt.get_fignums()


def test_a_figure_has_twice_the_pixels_that_it_takes(displayed: list[Any]) -> None:
    show(line(), ALT)
    page = displayed[0][0]["text/html"]
    content = re.search(r"base64,([^\"]*)", page)[1]  # type: ignore[index]
    width, _ = Image.open(io.BytesIO(base64.b64decode(content))).size
    assert f'width="{width // 2}"' in page
    assert width == pytest.approx(2 * DPI * 6.4, abs=2)


def test_an_alt_text_may_hold_any_sign(displayed: list[Any]) -> None:
    show(line(), 'A "line" with x < 1 & y > 2 in it.')
    assert "A &quot;line&quot; with x &lt; 1 &amp; y &gt; 2 in it." in displayed[0][0]["text/html"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda ax: ax.set_title(""), "title that states the finding"),
        (lambda ax: ax.set_xlabel(""), "name the x axis"),
        (lambda ax: ax.set_ylabel(""), "name the y axis"),
        (lambda ax: (ax.set_xlabel(""), ax.set_ylabel("")), "name the x and y axis"),
    ],
)
def test_a_figure_without_title_or_names_is_refused(
    spoil: Any, message: str, displayed: list[Any]
) -> None:
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
        picture(fig, ALT)
    assert hangul_font().exists()


# Contrast, colour vision and grey print


def luminance(colour: str) -> float:
    """Relative luminance, by https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast_on_white(colour: str) -> float:
    return 1.05 / (luminance(colour) + 0.05)


def test_lines_and_text_stand_out_from_white() -> None:
    for name, colour in COLOURS.items():
        assert contrast_on_white(colour) >= 3, name
        assert contrast_on_white(DARK.get(name, colour)) >= 4.5, name
    assert set(MODELS.values()) <= set(COLOURS.values())


def test_text_in_a_pale_colour_is_written_in_its_dark_twin() -> None:
    fig = line()
    ax = fig.axes[0]
    pale = [ax.text(0.5, 0.5, name, color=COLOURS[name]) for name in COLOURS]
    ax.get_lines()[0].set_color(COLOURS["orange"])
    label_lines(ax)
    picture(fig, ALT)
    for text in [*pale, ax.texts[-1]]:
        assert contrast_on_white(to_hex(text.get_color())) >= 4.5
    assert to_hex(ax.get_lines()[0].get_color()) == COLOURS["orange"].lower(), "a line may stay"


def test_bars_of_several_colours_are_hatched_and_of_one_are_not() -> None:
    fig, (left, right) = figure(1, 2)
    names = [name for name in COLOURS if name not in ("grey", "black")]
    for place, name in enumerate(names):
        left.bar(place, 1, color=COLOURS[name])
    right.bar([0, 1], [1, 2], color=COLOURS["red"])
    left.set(title="Many", xlabel="bar", ylabel="height")
    picture(fig, ALT)
    assert [bar.get_hatch() or "" for bar in left.patches] == [HATCHES[name] for name in names]
    assert len({bar.get_hatch() for bar in left.patches}) == len(names)
    assert not any(bar.get_hatch() for bar in right.patches)


def seen_with(matrix: Any, colour: str) -> Any:
    """The colour in CIELAB as somebody sees it whose vision the matrix simulates."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(matrix) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ linear / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Machado, Oliveira & Fernandes 2009, full severity (https://doi.org/10.1109/TVCG.2009.113)
VISION = {
    "full": np.eye(3),
    "deutan": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "protan": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "tritan": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


@pytest.mark.parametrize("vision", VISION)
def test_any_two_colours_are_told_apart(vision: str) -> None:
    seen = {name: seen_with(VISION[vision], colour) for name, colour in COLOURS.items()}
    for one in seen:
        for other in seen:
            if one < other:
                assert np.linalg.norm(seen[one] - seen[other]) > 15, (one, other)


# Labels


def test_labels_beside_lines_keep_apart() -> None:
    fig, ax = figure()
    for end in (1.0, 1.001, 1.002):
        ax.plot([0, 1], [0, end], label=f"to {end}")
    ax.set_ylim(0, 2)
    label_lines(ax)
    heights = sorted(text.xy[1] for text in ax.texts)
    assert len(heights) == 3
    assert min(b - a for a, b in zip(heights, heights[1:])) > 0.05
    plt.close(fig)


@pytest.mark.parametrize(
    "xs",
    [
        [datetime.date(2001, 1, 1), datetime.date(2001, 1, 2)],
        np.array(["2001-01", "2001-02"], dtype="datetime64[M]"),
        ["a", "b"],
    ],
    ids=["dates", "NumPy's dates", "words"],
)
def test_labels_stand_beside_lines_over_any_axis(xs: Any) -> None:
    fig, ax = figure()
    ax.plot(xs, [1, 2], label="x")
    ax.plot([], [], label="empty")
    label_lines(ax)
    assert [text.get_text() for text in ax.texts] == ["x"]
    plt.close(fig)


# Explorers


def frames(page: str) -> dict[str, Any]:
    content = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    return json.loads(content[1])  # type: ignore[index]


def test_an_explorer_is_one_output_with_a_picture_for_each_value(displayed: list[Any]) -> None:
    player(line, [1, 2, 3], name="end", alt=ALT, start=1)
    ((data, metadata),) = displayed
    content = frames(data["text/html"])
    assert len(set(content["sources"])) == len(content["sources"]) == 3
    assert content["alts"] == [f"{ALT} end: {value}." for value in (1, 2, 3)]
    assert content["values"] == [["1", "2", "3"]]
    assert f'<img alt="{ALT} end: 2."' in data["text/html"], "the first frame needs no script"
    assert 'aria-label="end" aria-valuetext="2"' in data["text/html"]
    assert data["text/plain"] == f"{ALT} end: 2. (Explorer: turn end.)"
    assert metadata["image/png"]["alt"] == data["text/plain"]
    assert data["image/png"].startswith("iVBOR")


def test_an_explorer_with_two_sliders_has_a_picture_for_each_pair(displayed: list[Any]) -> None:
    drawn: list[tuple[int, str]] = []

    def draw(one: int, two: str) -> Any:
        drawn.append((one, two))
        return line(one)

    player(draw, [1, 2], name="end", values2=["a", "b", "c"], name2="kind", alt=ALT, start2=2)
    assert drawn == [(one, two) for one in (1, 2) for two in "abc"]
    content = frames(displayed[0][0]["text/html"])
    assert content["values"] == [["1", "2"], ["a", "b", "c"]]
    assert content["alts"][2] == f"{ALT} end: 1; kind: c."
    assert f'<img alt="{ALT} end: 1; kind: c."' in displayed[0][0]["text/html"]


def test_an_explorer_is_the_same_each_time(displayed: list[Any]) -> None:
    for _ in range(2):
        player(line, [1, 2], name="end </script>", alt=ALT)
    first, second = (data["text/html"] for data, _ in displayed)
    assert first == second
    assert frames(first)["alts"][0] == f"{ALT} end </script>: 1."


def test_an_explorer_explains_bad_input() -> None:
    with pytest.raises(ValueError, match="1 to 40 frames; 0 were asked for"):
        player(line, [], name="end", alt=ALT)
    with pytest.raises(ValueError, match="41 were"):
        player(line, list(range(41)), name="end", alt=ALT)
    with pytest.raises(ValueError, match="7 x 6 were"):
        player(line, range(7), values2=range(6), name="end", name2="kind", alt=ALT)
    with pytest.raises(
        ValueError, match="the start of 'end' is a position in its values, 0 to 1; got 2"
    ):
        player(line, [1, 2], name="end", alt=ALT, start=2)
