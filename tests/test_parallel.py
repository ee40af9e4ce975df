"""Several processes compute what one computes.

They run the script of lesson 17, started by torchrun without a network.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from course_utils import training
from course_utils.proofs import compare
from course_utils.tasks import parallel


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_parts_are_a_partition_of_nearly_equal_size(world: int) -> None:
    items = list(range(11))
    parts = [parallel.my_part(items, rank, world) for rank in range(world)]
    assert [item for part in parts for item in part] == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    training.setup()
    with pytest.MonkeyPatch.context() as patch:  # no network, as for every lesson
        patch.setenv("PYTHONPATH", str(Path(__file__).parent / "no_network"))
        return parallel.launch(tmp_path_factory.mktemp("ranks"), processes=3)


def test_three_processes_give_the_gradient_of_one(runs: list[dict[str, Any]]) -> None:
    batch = parallel.sentences(parallel.BATCH)
    one = parallel.gradients(parallel.fresh_model(), parallel.own_mean, batch)
    assert sorted(run["sentences"] for run in runs) == [10, 11, 11]
    assert sum(run["tokens"] for run in runs) == sum(len(ids) - 1 for ids in batch)
    for run in runs:
        compare(run["token mean"], one, tolerance=1e-6, what="gradient by")
        compare(run["own mean"], runs[0]["own mean"], tolerance=1e-7, what="gradient by")
    with pytest.raises(AssertionError, match="differ by"):
        compare(runs[0]["own mean"], one, tolerance=1e-4)


def test_weights_stay_equal_and_are_those_of_one_process(runs: list[dict[str, Any]]) -> None:
    batch = parallel.sentences(parallel.BATCH)
    one = parallel.train_steps(parallel.fresh_model(), parallel.own_mean, batch)
    for run in runs:
        compare(run["weights"], one, tolerance=1e-6, what="weight")
        assert set(run["seconds"]) == set(parallel.TIMED_WIDTHS)
        assert all(seconds > 0 for times in run["seconds"].values() for seconds in times.values())


def test_a_failing_process_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failing = [sys.executable, "-c", "raise SystemExit('no room left')"]
    monkeypatch.setattr(parallel, "command", lambda folder, processes: failing)
    with pytest.raises(RuntimeError, match="the processes failed: no room left"):
        parallel.launch(tmp_path)
