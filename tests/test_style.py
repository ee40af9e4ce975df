"""Types and form: mypy's strict checks of course_utils, ruff over all code, notebooks too."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_course_utils_is_fully_typed(tmp_path: Path) -> None:
    options = ["--strict", "--cache-dir", str(tmp_path)]
    command = [sys.executable, "-m", "mypy", *options, "course_utils"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("task", ["check", "format --check"])
def test_code_has_the_house_s_form(task: str) -> None:
    command = [sys.executable, "-m", "ruff", *task.split(), "--no-cache", "."]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("mark", ["# fmt: ", "# noqa", "# ruff: "])
def test_no_line_is_kept_out_of_it(mark: str) -> None:
    command = ["git", "grep", "-nF", mark, "--", "*.py", "*.ipynb", f":!{Path(__file__).name}"]
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    assert [line for line in listed.splitlines() if "tests/test_style.py" not in line] == []
