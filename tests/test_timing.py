"""Times of two pieces of work, with a clock that goes as the test says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from course_utils.timing import in_turn, speedup


class Clock:
    """Stands still but for the work that moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def works(self, seconds: list[float]) -> Callable[[], None]:
        """Work that takes each of these times in turn."""
        following = iter(seconds)

        def work() -> None:
            self.now += next(following)

        return work


def test_rows_are_pairs_and_the_warm_up_is_not_counted() -> None:
    clock = Clock()
    work = clock.works([9.0, 8.0, 2.0, 1.0, 3.0, 1.0])
    times = in_turn(work, work, pairs=2, warm=1, clock=clock)
    assert times.tolist() == [[2.0, 1.0], [3.0, 1.0]]


def test_it_goes_on_until_the_seconds_are_over() -> None:
    clock = Clock()
    work = clock.works([1.0, 2.0] * 10)
    times = in_turn(work, work, pairs=1, seconds=30, warm=1, clock=clock)
    assert times.tolist() == [[1.0, 2.0]] * 9


def test_of_several_runs_in_a_turn_the_seconds_are_those_of_one() -> None:
    clock = Clock()
    work = clock.works([1.0, 3.0, 7.0, 9.0])
    times = in_turn(work, work, pairs=1, warm=0, runs=2, clock=clock)
    assert times.tolist() == [[2.0, 8.0]]


def test_a_pair_of_runs_is_needed() -> None:
    with pytest.raises(ValueError, match="runs is 0"):
        in_turn(lambda: None, lambda: None, runs=0)
    with pytest.raises(ValueError, match="pairs is 0"):
        in_turn(lambda: None, lambda: None, pairs=0)


def test_speedup_compares_the_quickest_runs() -> None:
    clock = Clock()
    slow, fast = clock.works([1.0, 1.0, 6.0, 9.0]), clock.works([1.0, 1.0, 5.0, 3.0])
    assert speedup(slow, fast, pairs=2, clock=clock) == 2.0
