"""The README says what is there: each lesson with its minutes, links that lead somewhere, the map of lesson 00."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LESSONS = sorted(path for path in (ROOT / "notebooks").glob("*.ipynb") if re.fullmatch(r"\d\d_\w+", path.stem))


def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return found


def test_every_lesson_stands_in_the_table_with_its_minutes() -> None:
    for path in LESSONS:
        opening = "".join("".join(cell["source"]) for cell in cells(path)[:4])
        minutes = re.search(r"(\d+)(\*\*)? minutes", opening)
        assert minutes, f"{path.name} does not say how many minutes it takes to read"
        row = next((line for line in README.splitlines() if f"(notebooks/{path.name})" in line), "")
        assert row.endswith(f"| {minutes[1]} |"), f"{path.name}: {minutes[1]} minutes; the README says {row!r}"


def test_links_lead_to_files() -> None:
    for text, folder in [(README, ROOT), *(("".join(c["source"]), p.parent) for p in LESSONS for c in cells(p) if c["cell_type"] == "markdown")]:
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if not re.match(r"https?:|mailto:|attachment:", target):
                later = re.fullmatch(r"(0[7-9]|1[0-7])_\w+\.ipynb", target)
                assert (folder / target).exists(), f"{target} is not there" + (" yet: name later lessons without a link" if later else "")


def test_the_map_is_the_one_that_lesson_00_draws() -> None:
    """To renew it, write the picture of the stored cell 00-map-draw into .github/map.png."""
    (cell,) = (cell for cell in cells(LESSONS[0]) if cell["id"] == "00-map-draw")
    (picture,) = (output["data"]["image/png"] for output in cell["outputs"] if "image/png" in output.get("data", {}))
    assert base64.b64decode(picture) == (ROOT / ".github" / "map.png").read_bytes(), "see this test's description"
