"""An exercise as one block: a solution, cases, and typical mistakes as small changes to it."""

from __future__ import annotations

import copy
import inspect
import linecache
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..proofs import numbers
from .alike import EXACT, SINGLE, distance, is_numeric, misfit

PIECE = re.compile(r"`([^`]*)`\s+->\s+`([^`]*)`")


Judged = tuple[tuple[Any, ...], Any, Any, float]
"""A case, what the answer gave, what is right, and how far they are apart."""


class Wrong(Exception):
    """Raised by a check: its message says what is wrong and what would be right."""


class Raised(Exception):
    """Raised where the reader's own code raised something: its cause is that error."""


@dataclass(frozen=True)
class Exercise:
    """One exercise: how to check an answer, and what helps. `exercise` makes one from its block."""

    check: Callable[[Any], str]  # gives a sentence of praise, or raises `Wrong`
    hint: str
    solution: Any  # a right answer; the source of a function or class is printed
    wrong: Mapping[str, Any]  # typical wrong answers by name; each gets a message of its own
    text: str = ""  # what `solution` prints, where the answer needs words
    truth: Callable[..., Any] | None = None  # what is right, where the solution is not the standard
    same: Sequence[str] = ()  # one-step changes of the solution that leave it right (see the tests)
    compared: bool = False  # whether results are compared with the truth, case by case


def changed(answer: Any, *pieces: tuple[str, str], name: str = "change") -> Any:
    """The function or class with each old piece of its source replaced by the new one.

    Raises ValueError for a piece that does not stand in the source exactly once, so that a solution
    cannot be edited away from its mistakes.
    """
    source = textwrap.dedent(inspect.getsource(answer))
    for old, _ in pieces:
        if (times := source.count(old)) != 1:
            raise ValueError(
                f"{answer.__name__}: {old!r} stands {times} times in its source, not once"
            )
    for old, new in sorted(pieces, key=lambda piece: -source.index(piece[0])):  # the last one first
        place = source.index(old)
        source = source[:place] + new + source[place + len(old) :]
    return compiled(answer, source, f"<{answer.__name__}, {name}>")


def compiled(answer: Any, source: str, filename: str) -> Any:
    """What `source` defines under the answer's name, with the names that the answer itself sees."""
    module = sys.modules[answer.__module__]
    space: dict[str, Any] = dict(vars(module))
    exec(compile(f"from __future__ import annotations\n{source}", filename, "exec"), space)
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    return space[answer.__name__]


@contextmanager
def gradients_on() -> Iterator[None]:
    """PyTorch's gradients switched on, whatever the notebook did; its chance is left as it was."""
    if "torch" not in sys.modules:
        yield
        return
    import torch

    enable_grad: Any = torch.enable_grad
    with enable_grad(), torch.random.fork_rng(devices=[]):
        yield


def autograd(loss: Callable[..., Any], *arrays: Any) -> tuple[Any, ...]:
    """PyTorch's gradients of loss(*tensors), one for each array, as NumPy float64.

    loss: from float64 tensors of the arrays' shapes to a scalar tensor. For the `truth` of an
    exercise that asks for a gradient.
    """
    import torch

    with gradients_on():
        leaves = [torch.tensor(numbers(array), dtype=torch.float64) for array in arrays]
        for leaf in leaves:
            leaf.requires_grad_()
        slopes = torch.autograd.grad(loss(*leaves), leaves, allow_unused=True)
    return tuple(
        np.zeros(leaf.shape) if g is None else g.numpy() for g, leaf in zip(slopes, leaves)
    )


def ask(answer: Any, *arguments: Any, **named: Any) -> Any:
    """What the answer gives for deep copies of these arguments.

    So an answer may do what it likes with what it is given. (A generator cannot be copied: hand it
    over in a function, ask(partial(answer, pieces())).) Raises `Raised` for whatever the answer
    raises (sys.exit too), so that its errors are told apart from the check's own.
    """
    copies, named_copies = copy.deepcopy(arguments), copy.deepcopy(named)
    try:
        with gradients_on():
            return answer(*copies, **named_copies)
    except (Wrong, Raised, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise Raised from error


def read_mistakes(text: str) -> dict[str, tuple[list[tuple[str, str]], str]]:
    """Name to (pieces of source to change, sentence) of a text such as

        no mean: `.mean(axis=0)` -> `.sum(axis=0)`
            the loss is a mean over the sequences; yours grows with their number

    A mistake may change several pieces, each old one standing in the source exactly once. Raises
    ValueError for a mistake without a piece or without a sentence.
    """
    mistakes = {}
    for block in re.split(r"\n(?=\S)", textwrap.dedent(text).strip()):
        name, _, rest = block.partition(":")
        pieces, sentence = PIECE.findall(rest), " ".join(PIECE.sub("", rest).split())
        if not pieces or not sentence or name in mistakes:
            raise ValueError(f"a mistake has a name, `old` -> `new` and a sentence; got {block!r}")
        mistakes[name] = pieces, sentence
    return mistakes


def _what_differs(arguments: tuple[Any, ...], got: Any, right: Any, names: Sequence[str]) -> str:
    """The sentence for an answer that no typical mistake explains: which parts or numbers."""
    parts: dict[str, tuple[Any, Any]] = {}
    if isinstance(right, Mapping):
        parts = {str(key): (got[key], right[key]) for key in right}
    elif isinstance(right, (tuple, list)) and len(names) == len(right) > 1:
        parts = {name: (ours, theirs) for name, ours, theirs in zip(names, got, right)}
    if parts:
        wrong = [name for name, (ours, theirs) in parts.items() if distance(ours, theirs) > SINGLE]
        correct = [name for name in parts if name not in wrong]
        return f"wrong: {', '.join(wrong)}; right: {', '.join(correct) or 'none'}"
    large = any(is_numeric(value) and numbers(value).size > 12 for value in arguments)
    values = [] if large else arguments  # so many numbers would say nothing
    shown = ", ".join(textwrap.shorten(" ".join(str(value).split()), 60) for value in values)
    ours, theirs = (textwrap.shorten(" ".join(str(value).split()), 80) for value in (got, right))
    return f"{'for ' + shown + ' ' if shown else ''}the answer is {theirs}; yours is {ours}"


def exercise(
    solution: Any,
    cases: Callable[[], Iterable[tuple[Any, ...]]] | None,
    mistakes: str = "",
    *,
    hint: str,
    praise: str,
    others: Mapping[str, Any] | None = None,
    otherwise: str | Callable[[tuple[Any, ...], Any, Any], str] = "",
    names: Sequence[str] = (),
    form: Callable[[tuple[Any, ...], Any], None] | None = None,
    use: Callable[..., Any] = ask,
    truth: Callable[..., Any] | None = None,
    tolerance: float = EXACT,
    text: str = "",
    same: Sequence[str] = (),
) -> Exercise:
    """An exercise from its block.

    solution: a right function or class; or a value, and then `cases` is None.
    cases: gives the arguments of each case, with sizes (N, T, D, H) that all differ.
    mistakes: typical ones as small changes to the solution (`read_mistakes` has the form). An
    answer that agrees with one gets its sentence; where two agree, the first in the table counts.
    others: further wrong answers by name, each with a sentence, (answer, sentence), or alone where
    `form` or `otherwise` has the words for it.
    otherwise: advice for an answer that is wrong in another way, after what differs is named; or
    (given, got, right) to the whole sentence.
    names: of the parts, where a result has several ("the gradient with respect to x", ...).
    form: (given, got) raises `Wrong` for a result of a form that the shapes alone do not show.
    use: (answer, *case) to the result that is compared, where it is not answer(*case), such as the
    output of a class with set weights. It calls the answer by `ask`.
    truth: what is right, called as the solution: autograd or the framework. Needed wherever a
    gradient is asked for, so that it is never the solution that proves itself.
    tolerance: relative; an answer in float32 may differ by SINGLE where no mistake is nearer.
    text: what `solution` prints besides. same: changes of one step that leave the solution right.
    """
    table: dict[str, tuple[Any, str]] = {}  # mistaken answers with their sentences
    for name, (pieces, sentence) in (read_mistakes(mistakes) if mistakes else {}).items():
        table[name] = changed(solution, *pieces, name=name), sentence
    wrong = {name: answer for name, (answer, _) in table.items()}
    for name, other in (others or {}).items():
        with_words = isinstance(other, tuple) and len(other) == 2 and isinstance(other[1], str)
        wrong[name] = other[0] if with_words else other
        if with_words:
            table[name] = other
    standard = solution if truth is None else truth

    def result(answer: Any, arguments: tuple[Any, ...]) -> Any:
        return use(answer, *arguments) if callable(answer) else answer

    def mistaken(arguments: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
        """The name and the result of each mistake that has one in this case."""
        for name, (answer, _) in table.items():
            try:
                with np.errstate(all="ignore"):
                    yield name, result(answer, arguments)
            except (Wrong, Raised):
                continue

    def explain(arguments: tuple[Any, ...], got: Any, right: Any) -> str:
        if callable(otherwise):
            return otherwise(arguments, got, right)
        return ". ".join(filter(None, [_what_differs(arguments, got, right, names), otherwise]))

    def check(answer: Any) -> str:
        if callable(solution) and not callable(answer):
            raise Wrong("give the function itself, by its name, without calling it")
        judged: list[Judged] = []
        for arguments in [()] if cases is None else cases():
            right = result(standard, arguments)
            got = result(answer, arguments)
            if form is not None:
                form(arguments, got)
            error = distance(got, right)
            if error > tolerance:
                near = {name: distance(got, value) for name, value in mistaken(arguments)}
                left = {name: near[name] for name in near if name not in refuted(judged)} or near
                nearest = min(left, key=left.__getitem__, default="")
                if nearest and (near[nearest] <= tolerance or near[nearest] < min(error, SINGLE)):
                    raise Wrong(table[nearest][1])
                if error > SINGLE:
                    raise Wrong(misfit(got, right, names) or explain(arguments, got, right))
            judged.append((arguments, got, right, error))
        if max(error for *_, error in judged) > tolerance:
            exclude_mistakes(judged)
        return praise

    def refuted(judged: list[Judged]) -> set[str]:
        """The mistakes with which the answer has disagreed in these cases."""
        return {
            name
            for arguments, got, _, error in judged
            for name, value in mistaken(arguments)
            if distance(got, value) > max(error, tolerance)
        }

    def exclude_mistakes(judged: list[Judged]) -> None:
        """Raise `Wrong` where the answer's few digits leave room for a typical mistake."""
        left = set(table)
        for arguments, _, right, error in judged:
            reach = 2 * (tolerance if error <= tolerance else SINGLE)
            left -= {name for name, value in mistaken(arguments) if distance(value, right) > reach}
        if left:
            raise Wrong(
                "as far as your numbers go (float32 has 7 digits) this is right, but so would be a "
                f"typical mistake ({min(left)}): compute in float64"
            )

    return Exercise(check, hint, solution, wrong, text, truth, same, compared=True)
