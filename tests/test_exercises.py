"""Every lesson's exercises: the solution passes, the stub is 'not started', typical wrong answers are told apart."""

from __future__ import annotations

import ast
import builtins
import json
import re
import symtable
from pathlib import Path

import pytest

from course_utils import exercises
from course_utils.exercises import (
    FOLDER,
    Exercise,
    Wrong,
    check,
    find,
    guess,
    hint,
    lesson,
    solution,
    untouched,
    verdict,
)

NUMBERS = sorted(int(path.stem.removeprefix("lesson_")) for path in FOLDER.glob("lesson_*.py"))
ALL = [(f"{name}", exercise) for number in NUMBERS for name, exercise in lesson(number).items()]
IDS = [f"lesson_{name.split('.')[0].zfill(2)}-{name}" for name, _ in ALL]


@pytest.mark.parametrize("name, exercise", ALL, ids=IDS)
def test_solution_passes(name: str, exercise: Exercise) -> None:
    state, sentence = verdict(name, exercise.solution)
    assert state == "right", sentence
    assert len(sentence.split()) >= 3


@pytest.mark.parametrize("name, exercise", ALL, ids=IDS)
def test_wrong_answers_are_told_apart(name: str, exercise: Exercise) -> None:
    told = {description: verdict(name, answer) for description, answer in exercise.wrong.items()}
    assert len(told) >= 3, "three typical wrong answers at least"
    for description, (state, sentence) in told.items():
        assert state == "wrong", f"{description}: passes for {state}"
        assert len(sentence.split()) >= 5, f"{description}: {sentence!r} does not help"
        assert not sentence.startswith("your code raised"), f"{description}: {sentence}"
    sentences = [re.sub(r"[-+]?\d[\d.e+-]*", "#", sentence) for _, sentence in told.values()]
    assert len(set(sentences)) >= 3, f"fewer than three different messages: {told}"


@pytest.mark.parametrize("name, exercise", ALL, ids=IDS)
def test_help_is_there(name: str, exercise: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    hint(name)
    solution(name)
    printed = capsys.readouterr().out
    assert f"{name} hint:" in printed and len(exercise.hint.split()) >= 5
    assert exercise.hint not in (exercise.text or "-")


@pytest.mark.parametrize("name, exercise", ALL, ids=IDS)
def test_a_printed_solution_runs_where_it_is_pasted(name: str, exercise: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    """Each name that it uses is its own, Python's, or the notebook's."""
    if not callable(exercise.solution):
        return
    solution(name)
    printed = capsys.readouterr().out.removeprefix(exercise.text + "\n" if exercise.text else "")
    (path,) = FOLDER.parent.glob(f"{int(name.split('.')[0]):02}_[a-z]*.ipynb")
    known = set(dir(builtins))
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            table = symtable.symtable("".join(cell["source"]), "cell", "exec")
            known |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}

    def missing(table: symtable.SymbolTable) -> set[str]:
        own = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()}
        return own.union(*(missing(child) for child in table.get_children()))

    table = symtable.symtable(printed, "solution", "exec")
    own = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned()}
    assert missing(table) <= known | own, f"not in the notebook: {missing(table) - known - own}"


@pytest.mark.parametrize("number", NUMBERS)
def test_stubs_in_the_notebook_are_untouched(number: int) -> None:
    (path,) = (path for path in FOLDER.parent.glob(f"{number:02}_*.ipynb") if "." not in path.stem)
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    asked = set()
    for cell in cells:
        names = re.findall(r'^check\("([\d.]+)"', "".join(cell["source"]), flags=re.M)
        asked.update(names)
        printed = "".join("".join(output.get("text", "")) for output in cell["outputs"])
        for name in names:
            assert f"{name} · not started" in printed, printed
    assert asked == set(lesson(number)), "each exercise of the file stands in the notebook once, and none besides"
    assert 3 <= len(asked) <= 6


def test_a_stub_is_recognised_and_code_is_not() -> None:
    def dots(x: int) -> int: ...  # type: ignore[empty-body]

    def described(x: int) -> int:  # type: ignore[empty-body]
        """What it should do."""
        ...

    def written(x: int) -> int:
        return x + 1

    class Empty:
        def forward(self) -> None: ...

    class Full:
        def forward(self) -> int:
            return 1

    assert all(untouched(stub) for stub in (None, ..., dots, described, Empty, (None, None), [..., dots]))
    assert not any(untouched(answer) for answer in (0, False, "", written, Full, (None, 1), len, lambda x: x, lambda: 0))


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def right_when_two(answer: int) -> str:
        if answer != 2:
            raise Wrong("one and one make two")
        return "you can add"

    sample = {"99.1": Exercise(right_when_two, "count on your fingers", 2, {}, text="Two.")}
    monkeypatch.setattr(exercises, "lesson", lambda number: sample)


def test_check_says_right_wrong_and_not_started(made_up: None, capsys: pytest.CaptureFixture[str]) -> None:
    for answer, word in ((2, "right"), (3, "one and one make two"), (None, "not started")):
        check("99.1", answer)
        assert word in capsys.readouterr().out


def test_an_error_in_the_readers_code_becomes_a_sentence(made_up: None) -> None:
    class Strange:
        def __ne__(self, other: object) -> bool:
            raise ZeroDivisionError("division by zero")

    assert verdict("99.1", Strange()) == ("wrong", "your code raised ZeroDivisionError: division by zero")


def test_a_name_that_does_not_exist_is_explained(made_up: None) -> None:
    with pytest.raises(ValueError, match="lesson 99 has 99.1"):
        find("99.7")
    with pytest.raises(ValueError, match='such as "5.2"'):
        find("five")


def test_a_lesson_without_exercises_is_explained() -> None:
    with pytest.raises(FileNotFoundError, match="lesson 98 has no exercises"):
        lesson(98)


def test_guess_with_and_without_a_prediction(capsys: pytest.CaptureFixture[str]) -> None:
    guess(None, 12.3456, "steps", 1)
    guess(10, 12.3456)
    assert capsys.readouterr().out.splitlines() == ["you made no prediction; measured: 12.3 steps", "you predicted: 10.00; measured: 12.35"]


def test_files_of_exercises_are_typed() -> None:
    for path in sorted(Path(FOLDER).glob("lesson_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("check"):
                assert node.returns is not None, f"{path.name}: {node.name} has no type"
