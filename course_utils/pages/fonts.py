"""A font with Latin and Hangul letters, the same on every machine."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path


@cache
def hangul_font() -> Path:
    """The file of a font with Latin and Hangul letters (Nanum Gothic, of koreanize-matplotlib).

    Raises FileNotFoundError, saying what to install, when the package is missing.
    """
    from importlib.util import find_spec

    spec = find_spec("koreanize_matplotlib")  # an import would change Matplotlib's settings
    folder = Path(spec.origin or "").parent / "fonts" if spec else Path()
    if not (folder / "NanumGothic.ttf").exists():
        raise FileNotFoundError("no Hangul font: install the package koreanize-matplotlib")
    return folder / "NanumGothic.ttf"


@cache
def register_fonts() -> None:
    """Make Matplotlib know the font, in regular and bold."""
    from matplotlib import font_manager

    fonts = font_manager.fontManager
    for path in (hangul_font(), hangul_font().with_name("NanumGothicBold.ttf")):
        fonts.addfont(str(path))
    fonts.ttflist[-1] = replace(fonts.ttflist[-1], weight=700)  # its file says 600, not "bold"
