"""The small files in `data/`, each verified before it is used."""

from __future__ import annotations

import hashlib
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "data"
"""The repository's `data` folder; it stands beside the package, which is installed editable."""

SHA256 = {
    "sunspots.csv": "f27f008d9156ad412e4d049a84d1a2aeaf5a9c575c6e4964e0247376ebe829cf",
    "names.tsv": "a6338cba6c8b4041e064d6f4785fc17fee66ebfea196bd9f9b0ff8d43f54a645",
    "dates.json": "adbdeb17c21042cb7fed4dcdb3b53e8cb5db05a251caeca34dc99dfc12fb8d1b",
}


def data_text(name: str) -> str:
    """The text of a file in `data/`, verified by its SHA-256 (line ends are made the same first).

    Raises FileNotFoundError when the file is missing and ValueError when its content is not the
    published one.
    """
    path = DATA / name
    cure = "'git checkout -- data' in the course's folder brings the published file back"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; {cure}")
    content = path.read_bytes().replace(b"\r\n", b"\n")
    if hashlib.sha256(content).hexdigest() != SHA256[name]:
        raise ValueError(f"{path} is not the published file (its SHA-256 differs); {cure}")
    return content.decode("utf-8")
