"""What a lesson defines, for tests and benchmarks: the code has one home, the notebook."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def definitions(lesson: int) -> dict[str, Any]:
    """Run a lesson's imports, functions, classes and constants in capitals; nothing else of it.

    lesson: its number. Returns everything by name. Raises FileNotFoundError when there is no such
    lesson.
    """
    paths = [path for path in NOTEBOOKS.glob(f"{lesson:02}_*.ipynb") if path.stem.count(".") == 0]
    if not paths:
        raise FileNotFoundError(f"no notebook of lesson {lesson}")
    space: dict[str, Any] = {"__name__": f"lesson_{lesson:02}"}
    for cell in json.loads(paths[0].read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"])
        body = [node for node in ast.parse(source).body if _is_definition(node)]
        exec(compile(ast.Module(body, []), paths[0].name, "exec"), space)
    return space


def _is_definition(node: ast.stmt) -> bool:
    """Whether a statement defines or imports something, or sets a constant to a literal value.

    Constants are those in capitals.
    """
    if isinstance(node, ast.Assign):
        try:
            ast.literal_eval(node.value)
        except ValueError:
            return False
        return all(isinstance(target, ast.Name) and target.id.isupper() for target in node.targets)
    return isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef))
