"""Prints the lowest versions that pyproject.toml allows, as pip constraints, so that no second list has to be kept."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
for line in project["dependencies"] + project["optional-dependencies"]["test"]:
    name, lowest = re.match(r"([\w-]+)>=([\w.]+)", line).groups()
    print(f"{name}=={lowest}")
