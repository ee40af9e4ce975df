"""How course_utils is built: which room may look into which, what pages use of it, its size."""

import ast
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from shutil import copy, copytree, ignore_patterns
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "course_utils"
MODULES = sorted(PACKAGE.rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXERCISES = sorted((ROOT / "notebooks" / "exercises").glob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# What a room's modules may import besides their own room: rooms or single modules. The door is
# course_utils/*.py.
MAY_IMPORT = {
    "door": {"grading", "optim", "pages"},
    "grading": {"proofs"},
    "optim": {"text", "training"},
    "pages": set(),
    "drawings": {"diagrams", "plots", "pages.colours"},
    "datasets": {"expect"},
    "grammar": {"datasets.files"},
    "models": {"door", "datasets", "grammar"},
    "tasks": {"door", "datasets", "grammar", "models", "optim"},
}
MAY_IMPORT["command"] = set(MAY_IMPORT)
MOST_LINES = 1300  # at the door: what readers find first
# By command/measure.py:
READ_OF_EACH_TASK = {
    *("MODELS", "MORE_SEEDS", "SEEDS", "SETTINGS", "RATES", "GRIDS", "UNLEARNT", "CHECK"),
}
NOT_ON_A_PAGE = {
    "Attention": "AttentionTranslator, which lesson 12 compares, is made of it",
    "CausalTransformer": 'lesson 17 takes it as LAYERS["Transformer"]',
}


class Import(NamedTuple):
    line: int
    module: str  # in course_utils: "text", "models.beam"; "" for the package itself
    name: str  # what is taken out of the module; "" for the module itself
    local: str  # what it is called then


@cache
def trees(path: Path) -> list[ast.Module]:
    """A module's tree, or one for each code cell of a notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return [ast.parse(text, path.name)]
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    return [ast.parse("".join(cell["source"]), path.name) for cell in cells]


def nodes(path: Path) -> Iterator[ast.AST]:
    for tree in trees(path):
        yield from ast.walk(tree)


def named(path: Path) -> str:
    """A module of the package as in Import: "text", "models", "models.beam"."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path) -> Iterator[Import]:
    """What a file imports from course_utils, inside functions too; relative imports resolved."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE.name:
                    module = alias.name.partition(".")[2]
                    yield Import(node.lineno, module, "", alias.asname or alias.name)
        elif isinstance(node, ast.ImportFrom):
            start = path.relative_to(ROOT).parts[: -node.level] if node.level else ()
            base = ".".join([*start, *filter(None, [node.module])])
            if base.split(".")[0] != PACKAGE.name:
                continue
            for alias in node.names:
                module, name = base.partition(".")[2], alias.name
                inner = ".".join(filter(None, [module, name]))
                if inner in map(named, MODULES):
                    module, name = inner, ""
                yield Import(node.lineno, module, name, alias.asname or alias.name)


def room(module: str) -> str:
    first = module.partition(".")[0]
    return first if first and (PACKAGE / first).is_dir() else "door"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_imports_run_down_only(path: Path) -> None:
    here = room(named(path))
    allowed = {here, *MAY_IMPORT[here]}
    wrong = [
        f"{path.relative_to(ROOT)}:{taken.line} imports {taken.module}"
        for taken in imports(path)
        if not allowed & {room(taken.module), taken.module}
    ]
    assert wrong == [], f"{here} may import {sorted(allowed)}"


@pytest.mark.parametrize("path", [*NOTEBOOKS, *EXERCISES], ids=lambda path: path.name)
def test_pages_use_no_command_and_nothing_private(path: Path) -> None:
    taken = list(imports(path))
    assert not [part for part in taken if room(part.module) == "command"]
    assert not [part for part in taken if part.name.startswith("_")]
    assert not [part for part in taken if "._" in f".{part.module}"]
    modules = {part.local for part in taken if not part.name}
    uses = [node for node in nodes(path) if isinstance(node, ast.Attribute)]
    private = [ast.unparse(node) for node in uses if re.match("_(?!_)", node.attr)]
    assert not [use for use in private if use.rpartition(".")[0] in modules]


def read_in(path: Path) -> set[tuple[str, str]]:
    """(module, name) of what a file reads of course_utils."""
    loads = [node for node in nodes(path) if isinstance(getattr(node, "ctx", None), ast.Load)]
    names = {ast.unparse(node) for node in loads if isinstance(node, (ast.Name, ast.Attribute))}
    read = {(named(path), name) for name in names} if path in MODULES else set()
    for part in imports(path):
        if part.name:
            read |= {(part.module, part.name)} if part.local in names else set()
        else:
            start = f"{part.local}."
            inside = {name.removeprefix(start) for name in names if name.startswith(start)}
            read |= {(part.module, name) for name in inside}
    return read


def constants(path: Path) -> set[str]:
    """The names in capitals that a module gives a value at its top level."""
    statements = [n for n in trees(path)[0].body if isinstance(n, (ast.Assign, ast.AnnAssign))]
    names = {n.id for s in statements for n in ast.walk(s) if isinstance(n, ast.Name)}
    return {name for name in names if name.isupper()}


def test_each_constant_of_the_tasks_is_read() -> None:
    read = set().union(*map(read_in, [*MODULES, *NOTEBOOKS, *EXERCISES, *TESTS]))
    tasks = [path for path in MODULES if room(named(path)) == "tasks"]
    defined = {(named(path), name) for path in tasks for name in constants(path)}
    assert ("tasks.adding", "UPDATES") in defined
    assert sorted(pair for pair in defined - read if pair[1] not in READ_OF_EACH_TASK) == []


def test_each_model_is_used_on_a_page() -> None:
    files = [path for path in MODULES if room(named(path)) == "models"]
    classes = [node for path in files for node in nodes(path) if isinstance(node, ast.ClassDef)]
    models = {"Module"}
    for _ in classes:  # a model may be made from a model
        for node in classes:
            bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
            models |= {node.name} if bases & models else set()
    assert {"SRU", "GNMT"} < models
    read = set().union(*map(read_in, NOTEBOOKS))
    on_pages = {name for module, name in read if room(module) == "models"}
    assert sorted(models - on_pages - {"Module"}) == sorted(NOT_ON_A_PAGE)


def test_the_door_is_short() -> None:
    lines = {path.name: len(path.read_text("utf-8").splitlines()) for path in PACKAGE.glob("*.py")}
    assert sum(lines.values()) <= MOST_LINES, lines


def test_a_wheel_holds_the_whole_package(tmp_path: Path) -> None:
    source = tmp_path / "source"
    copytree(PACKAGE, source / PACKAGE.name, ignore=ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        copy(ROOT / name, source)
    files = [path for path in source.rglob("*/*") if path.is_file()]
    assert {"py.typed", "course.mplstyle"} < {path.name for path in files}
    build = f"import setuptools.build_meta as build; build.build_wheel({str(tmp_path)!r})"
    command = [sys.executable, "-c", build]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    expected = {path.relative_to(source).as_posix() for path in files}
    assert sorted(expected - set(zipfile.ZipFile(wheel).namelist())) == []
