"""The README says what is there: lessons with their minutes, links that lead somewhere, the map."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = (ROOT / "notebooks").glob("*.ipynb")
LESSONS = sorted(path for path in PAGES if re.fullmatch(r"\d\d_\w+", path.stem))


def cells(path: Path) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return result


def test_every_lesson_stands_in_the_table_with_its_minutes() -> None:
    for path in LESSONS:
        opening = "".join("".join(cell["source"]) for cell in cells(path)[:4])
        minutes = re.search(r"(\d+)(\*\*)? minutes", opening)
        assert minutes, f"{path.name} does not say how many minutes it takes to read"
        row = next((line for line in README.splitlines() if f"(notebooks/{path.name})" in line), "")
        assert row.endswith(f"| {minutes[1]} |"), path.name


def test_links_lead_to_files() -> None:
    texts = [(README, ROOT)]
    for path in LESSONS:
        pages = [cell for cell in cells(path) if cell["cell_type"] == "markdown"]
        texts += [("".join(cell["source"]), path.parent) for cell in pages]
    for text, folder in texts:
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if not re.match(r"https?:|mailto:|attachment:", target):
                assert (folder / target).exists(), f"{target} is not there"


def test_the_map_is_the_one_that_lesson_00_draws() -> None:
    """To renew it, write the picture of the stored cell 00-map-draw into .github/map.png."""
    (cell,) = (cell for cell in cells(LESSONS[0]) if cell["id"] == "00-map-draw")
    data = [output.get("data", {}) for output in cell["outputs"]]
    (picture,) = (kinds["image/png"] for kinds in data if "image/png" in kinds)
    stored = (ROOT / ".github" / "map.png").read_bytes()
    assert base64.b64decode(picture) == stored, "see this test's description"
