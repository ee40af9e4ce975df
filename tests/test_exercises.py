"""Every lesson's exercises: what is right passes in every style, mistakes are verdicts apart."""

from __future__ import annotations

import ast
import builtins
import json
import os
import re
import symtable
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from course_utils import exercises
from course_utils.exercises import check, guess, hint, solution
from course_utils.grading import Exercise, Raised, Wrong, exercise, record, verdict as judging
from course_utils.grading.verdict import find, lesson, untouched, verdict
from solution_mutants import OutOfTime, limited, mutants

FOLDER = record.EXERCISES
NUMBERS = sorted(int(path.stem.removeprefix("lesson_")) for path in FOLDER.glob("lesson_*.py"))
if only := os.environ.get("COURSE_LESSONS"):  # course.py test 05
    NUMBERS = [int(number) for number in only.split()]
ALL = [(name, exercise) for number in NUMBERS for name, exercise in lesson(number).items()]
IDS = [f"lesson_{name.split('.')[0].zfill(2)}-{name}" for name, _ in ALL]
each_exercise = pytest.mark.parametrize(("name", "exercise"), ALL, ids=IDS)
# A gradient must be able to start from these answers, so that only a tensor is right
TENSORS = {"6.4"}


@each_exercise
def test_the_solution_passes(name: str, exercise: Exercise) -> None:
    state, sentence = verdict(name, exercise.solution)
    assert state == "right", sentence
    assert len(sentence.split()) >= 3


@each_exercise
def test_wrong_answers_are_told_apart(name: str, exercise: Exercise) -> None:
    with np.errstate(all="ignore"):
        verdicts = {key: verdict(name, answer) for key, answer in exercise.wrong.items()}
    assert len(verdicts) >= 3, "three typical wrong answers at least"
    for description, (state, sentence) in verdicts.items():
        assert state == "wrong", f"{description}: {state}, {sentence}"
        assert len(sentence.split()) >= 5, f"{description}: {sentence!r} does not help"
        assert not sentence.startswith("your code raised"), f"{description}: {sentence}"
    sentences = [re.sub(r"[-+]?\d[\d.e+-]*", "#", sentence) for _, sentence in verdicts.values()]
    assert len(set(sentences)) >= 3, f"fewer than three different messages: {verdicts}"


def converted(value: Any, convert: Callable[[Any], Any]) -> Any:
    """The result with `convert` applied to every array and tensor in it."""
    if isinstance(value, Mapping):
        return {key: converted(part, convert) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        parts = [converted(part, convert) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    return convert(value) if isinstance(value, (np.ndarray, torch.Tensor)) else value


def in_single(value: Any) -> Any:
    floating = (
        value.is_floating_point() if isinstance(value, torch.Tensor) else value.dtype.kind == "f"
    )
    if not floating:
        return value
    return value.float() if isinstance(value, torch.Tensor) else value.astype(np.float32)


def of_the_other_library(value: Any) -> Any:
    return (
        value.detach().numpy()
        if isinstance(value, torch.Tensor)
        else torch.from_numpy(np.array(value))
    )


def spoil(value: Any) -> None:
    """Overwrite what an answer was given."""
    if isinstance(value, np.ndarray) and value.flags.writeable and value.dtype.kind in "biuf":
        value[...] = 1
    elif isinstance(value, torch.Tensor):
        with torch.no_grad():
            value.fill_(1)
    elif isinstance(value, Mapping):
        for part in value.values():
            spoil(part)
    elif isinstance(value, (tuple, list)):
        for part in value:
            spoil(part)
        if isinstance(value, list):
            value.clear()


def in_place(answer: Callable[..., Any]) -> Callable[..., Any]:
    def spoiling(*given: Any, **named: Any) -> Any:
        result = answer(*given, **named)
        kept = converted(
            result, lambda part: part.clone() if isinstance(part, torch.Tensor) else part.copy()
        )
        spoil(given)
        return kept

    return spoiling


def with_results(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda answer: lambda *given, **named: converted(answer(*given, **named), convert)


STYLES: dict[str, Callable[[Any], Any]] = {
    "in place": in_place,
    "float32": with_results(in_single),
    "the other library": with_results(of_the_other_library),
    "lists": with_results(lambda part: part.tolist()),
}


def is_a_function_that_is_compared(exercise: Exercise) -> bool:
    return (
        exercise.compared
        and not isinstance(exercise.solution, type)
        and callable(exercise.solution)
    )


@pytest.mark.parametrize("style", STYLES)
@each_exercise
def test_the_right_answer_passes_in_every_style(name: str, exercise: Exercise, style: str) -> None:
    if not is_a_function_that_is_compared(exercise) or (
        name in TENSORS and style in ("the other library", "lists")
    ):
        return
    state, sentence = verdict(name, STYLES[style](exercise.solution))
    assert state == "right", sentence


@each_exercise
def test_gradients_may_have_been_switched_off(name: str, exercise: Exercise) -> None:
    with torch.no_grad():
        state, sentence = verdict(name, exercise.solution)
    assert state == "right", sentence


@each_exercise
def test_one_step_changes_of_the_solution_are_noticed(name: str, exercise: Exercise) -> None:
    if not exercise.compared or not callable(exercise.solution):
        return
    survivors, total = [], 0
    with np.errstate(all="ignore"):
        for what, mutant in mutants(exercise.solution):
            total += 1
            try:
                with limited():
                    exercise.check(mutant)
                survivors.append(what)
            except (Wrong, Raised, OutOfTime):
                continue
    assert set(survivors) == set(exercise.same), f"of {total} changes: {survivors}"


@each_exercise
def test_gradients_are_held_against_something_else_than_the_solution(
    name: str, exercise: Exercise
) -> None:
    source = getattr(exercise.solution, "__name__", "")
    if exercise.compared and re.search(r"backward|gradient|jacobian", source):
        assert exercise.truth is not None


@each_exercise
def test_help_is_there(name: str, exercise: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    hint(name)
    solution(name)
    printed = capsys.readouterr().out
    assert f"{name} hint:" in printed
    assert len(exercise.hint.split()) >= 5
    assert exercise.hint not in (exercise.text or "-")


def notebook(number: int) -> list[dict[str, Any]]:
    (path,) = (path for path in FOLDER.parent.glob(f"{number:02}_*.ipynb") if "." not in path.stem)
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [
        {**cell, "source": "".join(cell["source"])} for cell in cells if cell["cell_type"] == "code"
    ]


@each_exercise
def test_a_printed_solution_runs_where_it_is_pasted(
    name: str, exercise: Exercise, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each name that it uses is its own, Python's, or the notebook's."""
    if not callable(exercise.solution):
        return
    solution(name)
    printed = capsys.readouterr().out.removeprefix(exercise.text + "\n" if exercise.text else "")
    known = set(dir(builtins))
    for cell in notebook(int(name.split(".")[0])):
        table = symtable.symtable(cell["source"], "cell", "exec")
        known |= {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}

    def missing(table: symtable.SymbolTable) -> set[str]:
        own = {s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced()}
        return own.union(*(missing(child) for child in table.get_children()))

    table = symtable.symtable(printed, "solution", "exec")
    own = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned()}
    assert missing(table) <= known | own, f"not in the notebook: {missing(table) - known - own}"


@pytest.mark.parametrize("number", NUMBERS)
def test_stubs_in_the_notebook_are_untouched(number: int) -> None:
    asked = set()
    for cell in notebook(number):
        names = re.findall(r'^check\("([\d.]+)"', cell["source"], flags=re.M)
        asked.update(names)
        texts = [
            output.get("text") or output.get("data", {}).get("text/plain", "")
            for output in cell["outputs"]
        ]
        printed = "".join("".join(text) for text in texts)
        for name in names:
            assert f"{name} · not started" in printed, printed
    assert asked == set(lesson(number)), (
        "each exercise of the file stands in the notebook once, and none besides"
    )
    assert asked == set(record.names()[number])
    assert 3 <= len(asked) <= 6


@pytest.mark.parametrize("number", NUMBERS)
def test_answers_are_called_by_ask_alone(number: int) -> None:
    """So that they get copies, and their errors are verdicts apart from the check's."""
    tree = ast.parse((FOLDER / f"lesson_{number:02}.py").read_text(encoding="utf-8"))
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        called = {
            node.func.id
            for node in ast.walk(function)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert "answer" not in called, function.name


def test_a_stub_is_recognised_and_code_is_not() -> None:
    def dots(x: int) -> int: ...  # type: ignore[empty-body]

    def described(x: int) -> int:  # type: ignore[empty-body]
        """What it should do."""

    def written(x: int) -> int:
        return x + 1

    class Empty:
        def forward(self) -> None: ...

    class Full:
        def forward(self) -> int:
            return 1

    stubs = (None, ..., dots, described, Empty, (None, None), [..., dots])
    assert all(untouched(stub) for stub in stubs)
    code = (0, False, "", written, Full, (None, 1), len, lambda x: x, lambda: 0, np.zeros(3))
    assert not any(untouched(answer) for answer in code)


# The machinery, on an exercise of its own


def halve(x: Any, keep: bool) -> Any:
    total = x * 0.5
    return total if keep else total.sum(axis=1)


MADE_UP = exercise(
    halve,
    lambda: [(np.arange(6.0).reshape(2, 3), True), (np.arange(6.0).reshape(2, 3), False)],
    """
doubled: `x * 0.5` -> `x * 2`
    that is twice the number, not half of it
axis: `axis=1` -> `axis=0`
    the sum runs over the columns of one row
nothing: `x * 0.5` -> `x * 0.500001`
    a mistake that float32 hardly tells from the truth
""",
    hint="count on your fingers, one by one",
    praise="you can halve",
)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "lesson", lambda number: {"99.1": MADE_UP})


def test_check_says_right_wrong_and_not_started(
    made_up: None, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = (
        (halve, "right: you can halve"),
        (lambda x, keep: x * 2, "twice the number"),
        (None, "not started"),
    )
    for answer, words in answers:
        check("99.1", answer)
        assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x, keep: print(), "an array of shape (2, 3); yours: None"),
        (lambda x, keep: x.T, "an array of shape (2, 3); yours has the shape (3, 2)"),
        (lambda x, keep: "half", "an array of shape (2, 3); yours: of type str"),
        (lambda x, keep: x * 0.25, "for [[0. 1. 2.] [3. 4. 5.]], True the answer is"),
        (lambda x, keep: 1 / 0, "your code raised ZeroDivisionError (division by zero)"),
        (lambda x: x, "your code raised TypeError"),
        (lambda x, keep: sys.exit(), "your code raised SystemExit"),
    ],
)
def test_what_is_wrong_is_said(made_up: None, answer: Any, words: str) -> None:
    state, sentence = verdict("99.1", answer)
    assert state == "wrong"
    assert words in sentence


def test_float32_that_cannot_tell_a_mistake_from_the_truth_is_told_so(made_up: None) -> None:
    state, sentence = verdict("99.1", lambda x, keep: halve(x, keep) * (1 - 1.5e-6))
    assert state == "wrong"
    assert "compute in float64" in sentence


def test_the_checks_own_error_is_not_blamed_on_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(answer: Any) -> str:
        return str([][0])

    made = {"99.1": Exercise(broken, "none", 1, {})}
    monkeypatch.setattr(judging, "lesson", lambda number: made)
    state, sentence = verdict("99.1", lambda: 1)
    assert state == "broken"
    assert "our fault" in sentence


def test_a_piece_that_does_not_stand_once_is_refused() -> None:
    for pieces in ("`x * 3` -> `x`", "`total` -> `x`"):
        with pytest.raises(ValueError, match="times in its source, not once"):
            exercise(halve, None, f"a: {pieces}\n    a sentence of words", hint="", praise="")
    with pytest.raises(ValueError, match="has a name, `old` -> `new` and a sentence"):
        exercise(halve, None, "a: `x * 0.5` -> `x`", hint="", praise="")


def test_a_name_is_read_in_every_form(made_up: None) -> None:
    assert find("99.1")[0] == find(99.1)[0] == find("099.01")[0] == "99.1"
    with pytest.raises(ValueError, match=r"lesson 99 has 99\.1"):
        find("99.7")
    with pytest.raises(ValueError, match=r'such as "5\.2"'):
        find("five")


def test_a_lesson_without_exercises_is_explained() -> None:
    with pytest.raises(FileNotFoundError, match="lesson 98 has no exercises"):
        lesson(98)


def test_guess_with_and_without_a_prediction(capsys: pytest.CaptureFixture[str]) -> None:
    guess(None, 12.3456, "steps", 1)
    guess(10, 12.3456)
    guess("12", 3.0)  # type: ignore[arg-type]
    guess("twelve", 3.0)  # type: ignore[arg-type]
    assert capsys.readouterr().out.splitlines() == [
        "you made no prediction; measured: 12.3 steps",
        "you predicted: 10.00; measured: 12.35",
        "you predicted: 12.00; measured: 3.00",
        "your prediction 'twelve' is no number; measured: 3.00",
    ]


# Progress


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "progress.jsonl"
    monkeypatch.setenv("COURSE_PROGRESS", str(path))
    return path


def test_what_was_solved_is_kept_with_the_tries(made_up: None, kept: Path) -> None:
    for answer in (lambda x, keep: x, None, halve, lambda x, keep: x):
        check("99.1", answer)
    assert record.load() == {
        "99.1": record.Progress(2, True)
    }  # what follows a success no longer counts


def test_a_line_that_broke_off_loses_nothing(made_up: None, kept: Path) -> None:
    check("99.1", lambda x, keep: x)
    with open(kept, "ab") as handle:
        handle.write(b'{"exercise": "99.1", "sta')
    check("99.1", halve)
    assert record.load() == {"99.1": record.Progress(2, True)}


def test_a_folder_that_cannot_be_written_to_fails_nothing(
    made_up: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "nowhere" / "progress"))
    check("99.1", halve)
    assert "right" in capsys.readouterr().out
    assert record.load() == {}


def test_no_machine_leaves_a_trace(made_up: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSE_PROGRESS", raising=False)
    monkeypatch.setattr(exercises, "watched", lambda: False)
    monkeypatch.setattr(record, "keep", lambda *_: pytest.fail("kept"))
    check("99.1", halve)


def test_progress_is_a_table_by_lesson(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record.keep("8.1", "wrong")
    record.keep("8.1", "right")
    record.keep("8.2", "wrong")
    exercises.progress()
    printed = capsys.readouterr().out
    total = sum(map(len, record.names().values()))
    assert printed.startswith(f"1 of {total} exercises solved")
    assert re.search(r"lesson 08 +8\.1 ✓ 2 tries +8\.2 ✗ 1 try +8\.3 ·", printed)
    page = record.page(exercises.COLOURS)
    assert "8.1 ✓ 2 tries" in page
    assert page.count("<tr>") == len(record.names())
