"""The course's colours, and how bars and text keep apart in grey print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Each has a contrast of 3 on white, and any two are told apart with any common kind of colour
# vision (CIELAB distance 16 at least under Machado et al. 2009,
# https://doi.org/10.1109/TVCG.2009.113).
COLOURS = {
    "blue": "#0A3FA0",
    "orange": "#B87F00",
    "green": "#00804D",
    "red": "#B0201F",
    "purple": "#B8559A",
    "sky": "#3F93D1",
    "grey": "#5A5A5A",
    "black": "#000000",
}
DARK = {  # the same as text: contrast 4.5
    "orange": "#8A5F00",
    "purple": "#9C4380",
    "sky": "#1F6FA8",
}
PALE = {  # the same as fillings, on which black text is read
    "blue": "#DCEBF5",
    "orange": "#FBEBCB",
    "green": "#D5EFE3",
    "red": "#F8DEDD",
    "purple": "#F3DEEC",
    "sky": "#E0F0FA",
    "grey": "#ECECEC",
    "black": "#FFFFFF",
}
HATCHES = {"blue": "", "orange": "//", "green": "\\\\", "red": "xx", "purple": "..", "sky": "--"}
MODELS = {  # one colour for each model, in the whole course
    "n-gram": COLOURS["grey"],
    "RNN": COLOURS["orange"],
    "LSTM": COLOURS["red"],
    "GRU": COLOURS["green"],
    "SRU": COLOURS["purple"],
    "seq2seq": COLOURS["grey"],
    "attention": COLOURS["sky"],
    "GNMT": COLOURS["black"],
    "Transformer": COLOURS["blue"],
    "BERT": COLOURS["sky"],
    "GPT": COLOURS["blue"],
    "state space": COLOURS["black"],
}


def darken_text_and_hatch_bars(fig: Figure) -> None:
    """Write text in dark colours; hatch a panel's bars where they have several colours."""
    from matplotlib.colors import to_hex
    from matplotlib.patches import Rectangle
    from matplotlib.text import Text

    names = {value.lower(): name for name, value in COLOURS.items()}
    texts: Any = fig.findobj(Text)
    for text in texts:
        name = names.get(to_hex(text.get_color()), "")
        text.set_color(DARK.get(name, text.get_color()))
    for ax in fig.axes:
        bars = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
        colours = [to_hex(bar.get_facecolor()) for bar in bars]
        if len(set(colours)) > 1:
            for bar, colour in zip(bars, colours):
                bar.set_hatch(HATCHES.get(names.get(colour, ""), ""))
                bar.set_edgecolor("white")
