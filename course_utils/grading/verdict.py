"""Finding an exercise, and what its check says of an answer."""

from __future__ import annotations

import dis
import importlib.util
import inspect
import linecache
import sys
from functools import cache
from types import TracebackType
from typing import Any

from . import record
from .blocks import Exercise, Raised, Wrong


@cache
def lesson(number: int) -> dict[str, Exercise]:
    """The exercises of one lesson. Raises FileNotFoundError when the lesson has no file of them."""
    path = record.EXERCISES / f"lesson_{number:02}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.exists() or spec is None or spec.loader is None:
        raise FileNotFoundError(f"lesson {number} has no exercises: {path.name} is not there")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # inspect finds a class's source through its module
    spec.loader.exec_module(module)
    return dict(module.EXERCISES)


def find(name: str | float) -> tuple[str, Exercise]:
    """The full name and the exercise of "5.2" (also "05.2", or 5.2).

    Raises ValueError that lists the lesson's exercises when there is none of that name.
    """
    first, _, second = str(name).partition(".")
    if not (first.isdigit() and second.isdigit()):
        raise ValueError(f'an exercise is named by lesson and number, such as "5.2"; got {name!r}')
    full, exercises = f"{int(first)}.{int(second)}", lesson(int(first))
    if full not in exercises:
        raise ValueError(f"no exercise {name!r}; lesson {int(first)} has {', '.join(exercises)}")
    return full, exercises[full]


def untouched(answer: Any) -> bool:
    """Whether an answer is still the stub: None, ..., or a function that only returns None.

    Of a class all methods must be so, of a tuple or list all parts.
    """
    if answer is None or answer is ...:
        return True
    if inspect.isclass(answer):
        return all(untouched(part) for part in vars(answer).values() if inspect.isfunction(part))
    if not inspect.isfunction(answer):
        parts = answer if isinstance(answer, (tuple, list)) else ()
        return len(parts) > 0 and all(untouched(part) for part in parts)
    code = [step for step in dis.get_instructions(answer) if step.opname not in ("RESUME", "NOP")]
    returns = ("LOAD_CONST", "RETURN_VALUE", "RETURN_CONST")
    return (
        len(code) <= 2 and all(step.opname in returns for step in code) and code[0].argval is None
    )


def _own_line(traceback: TracebackType | None) -> str:
    """Where in the reader's own code an error arose: " in line 3 of your cell: h = n + 1"."""
    place = ""
    while traceback is not None:
        filename, number = traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
        if "ipykernel" in filename or filename.startswith("<ipython"):
            place = f" in line {number} of your cell: {linecache.getline(filename, number).strip()}"
        traceback = traceback.tb_next
    return place


def _raised(error: BaseException) -> str:
    """The sentence for an error of the reader's own code."""
    message = (str(error).strip().splitlines() or ["no message"])[0]
    return f"your code raised {type(error).__name__}{_own_line(error.__traceback__)} ({message})"


def verdict(name: str | float, answer: Any) -> tuple[str, str]:
    """("right" | "wrong" | "not started" | "broken", the sentence that says why).

    "broken": the check itself failed, which is no fault of the answer.
    """
    _, exercise = find(name)
    if untouched(answer):
        return "not started", "replace the dots with your code, then run this cell again."
    try:
        return "right", exercise.check(answer)
    except Wrong as reason:
        return "wrong", str(reason)
    except Raised as raised:
        return "wrong", _raised(raised.__cause__ or raised)
    except Exception as error:
        if _own_line(error.__traceback__):  # deep in an object that the reader's code made
            return "wrong", _raised(error)
        problem = f"{type(error).__name__}: {error}"
        return "broken", f"the check itself failed ({problem}). That is our fault: please report it"
