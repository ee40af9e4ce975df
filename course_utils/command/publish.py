"""Which lessons are as published, and how to get one back: `course.py reset`.

Standard library alone.

`notebooks/published.json` holds the SHA-256 of each lesson as it was published. What matches is the
published one, wherever it comes from: a commit of the clone's history, or the copy that the first
start kept. So a reader's own edits and commits are never mistaken for it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

SUMS = "notebooks/published.json"


def checksum(content: bytes) -> str:
    """The SHA-256 of a notebook's bytes, whatever the line ends."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def sums(root: Path) -> dict[str, str]:
    """Name of a lesson's file to its checksum as published; empty where the list is lost."""
    try:
        known: dict[str, str] = json.loads((root / SUMS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known


def is_published(root: Path, path: str) -> bool:
    """Whether the file is the published lesson."""
    file = root / path
    return file.exists() and checksum(file.read_bytes()) == sums(root).get(file.name)


def _candidates(root: Path, path: str) -> Iterator[bytes]:
    """What may be the published lesson: the kept copy, then the clone's commits from the newest."""
    copy = root / ".published" / Path(path).name
    if copy.exists():
        yield copy.read_bytes()
    if shutil.which("git") is None:
        return
    git = ["git", "-C", str(root)]
    log = subprocess.run([*git, "log", "--format=%H", "--", path], capture_output=True, text=True)
    for commit in log.stdout.split():
        shown = subprocess.run([*git, "show", f"{commit}:./{path}"], capture_output=True)
        if shown.returncode == 0:
            yield shown.stdout


def published(root: Path, path: str) -> bytes | None:
    """The published lesson's bytes, or None where no copy of it is here."""
    wanted = sums(root).get(Path(path).name)
    return next((part for part in _candidates(root, path) if checksum(part) == wanted), None)


def keep_copies(root: Path, paths: Iterable[str]) -> None:
    """In a download without git: keep the lessons that are as published, once, for `reset`."""
    if (root / ".git").exists() or (root / ".published").exists():
        return
    with tempfile.TemporaryDirectory(dir=root, prefix=".published-") as folder:
        for path in paths:
            if is_published(root, path):
                shutil.copy(root / path, folder)
        shutil.copytree(folder, folder + "-whole")
    os.rename(folder + "-whole", root / ".published")


def restore(root: Path, path: str) -> str:
    """Bring a lesson back to its published state; what was there is kept beside it.

    Returns the sentence that says what was done. Raises FileNotFoundError where no published copy
    is here.
    """
    if is_published(root, path):
        return f"{path} is in its published state: nothing to do"
    original, file = published(root, path), root / path
    if original is None:
        raise FileNotFoundError(
            f"no published copy of {path} is here: download the course again, and take this file "
            "from there"
        )
    said = f"{path} is as published"
    if file.exists():
        backup = file.with_name(file.stem + time.strftime(".mine-%Y%m%d-%H%M%S.ipynb"))
        with open(backup, "xb") as copy:  # x: never over another file
            copy.write(file.read_bytes())
        said += f"; yours is {backup.name} (in JupyterLab: File, Reload Notebook from Disk)"
    file.with_suffix(".new").write_bytes(original)
    os.replace(file.with_suffix(".new"), file)
    return said


def publish(root: Path, paths: Iterable[str]) -> None:
    """Note the lessons, as they are now, as the published ones. For authors."""
    known = sums(root)
    known |= {Path(path).name: checksum((root / path).read_bytes()) for path in paths}
    known = {name: known[name] for name in sorted(known) if (root / "notebooks" / name).exists()}
    content = json.dumps(known, indent=1) + "\n"
    (root / SUMS).write_text(content, encoding="utf-8", newline="\n")
