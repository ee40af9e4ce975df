"""The shared tasks and the file of results."""

from __future__ import annotations

import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from course_utils import grammar, text
from course_utils.command import measure
from course_utils.models.layers import LAYERS
from course_utils.proofs import compare
from course_utils.tasks import (
    TASKS,
    adding,
    dates,
    labelling,
    language_model,
    protocol,
    results,
    sentiment,
    sums,
    tagging,
)


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_has_the_shared_form(name: str) -> None:
    layer = LAYERS[name](5, 7)
    states, last = layer(torch.zeros(3, 4, 5))
    assert states.shape == (3, 4, 7)
    again, _ = layer(torch.zeros(3, 4, 5), last)
    assert again.shape == (3, 4, 7)


def test_adder_reads_the_last_state() -> None:
    class Same(nn.Module):
        def forward(self, x: torch.Tensor, initial: object = None) -> tuple[torch.Tensor, None]:
            return x, None

    model = adding.Adder(lambda D, H: Same(), hidden=2)
    x, y = adding.data(6, 5, np.random.default_rng(0))
    assert x.dtype == y.dtype == torch.float32
    assert x.shape == (6, 5, 2)
    assert y.shape == (6,)
    assert torch.allclose(model(x), model.head(x[:, -1])[:, 0])
    assert torch.isclose(adding.squared_error(model, (x, y)), ((model(x) - y) ** 2).mean())


def test_always_one_has_the_baselines_error() -> None:
    class One(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ones(len(x))

    assert adding.error(One(), 9) == pytest.approx(adding.BASELINE, abs=0.02)
    assert adding.error(One(), 9) == adding.error(One(), 9)


def test_training_is_repeatable_and_learns() -> None:
    first, second = (adding.train(LAYERS["GRU"], 3, seed=1, updates=150) for _ in range(2))
    assert adding.error(first, 3) == adding.error(second, 3) < adding.SOLVED


def test_longest_solved_stops_at_the_first_failure() -> None:
    assert adding.longest_solved({5: [0, 0, 1], 10: [0.01], 20: [0.2, 0.2, 0], 40: [0]}) == 10
    assert adding.longest_solved({5: [0.2]}) == 0


@pytest.mark.parametrize("name", grammar.LANGUAGES)
def test_language_has_a_closed_vocabulary(name: str) -> None:
    data = language_model.data(name)
    assert len(data.train) == language_model.TRAIN
    assert len(data.test) == language_model.TEST
    assert all(ids[0] == text.SOS and ids[-1] == text.EOS for ids in data.test)
    assert not any(text.UNK in ids for ids in data.test)
    assert 15 < data.floor < 35


def test_language_models_loss_is_the_mean_of_its_tokens() -> None:
    model, sequences = language_model.LanguageModel(9, 4), [[2, 5, 6, 3], [2, 7, 3]]
    nats = language_model.token_nats(model, sequences)
    assert [len(row) for row in nats] == [3, 2]
    loss = language_model.next_token_loss(model, (sequences,)).item()
    assert loss == pytest.approx(np.concatenate(nats).mean(), rel=1e-5)
    assert model.head.weight is model.embed.weight
    assert language_model.LanguageModel(9, 4, tied=False).head.weight is not model.embed.weight


def test_agreement_counts_what_a_known_model_prefers() -> None:
    words = language_model.vocabulary("english")

    class AfterDog(nn.Module):
        def forward(self, ids: torch.Tensor, state: object = None) -> tuple[torch.Tensor, None]:
            form = torch.where(ids == words.id("dog"), words.id("runs"), words.id("run"))
            return nn.functional.one_hot(form, len(words)).float(), None

    clauses = [
        language_model.Clause(("dogs", "run"), 1, "runs", 0),
        language_model.Clause(("the", "dog", "runs"), 2, "run", 0),
        language_model.Clause(("the", "dog", "that", "sleeps", "runs"), 4, "run", 2),
    ]
    verdicts = language_model.prefers_right(AfterDog(), clauses, words)
    assert verdicts.tolist() == [1, 1, 0]
    with np.errstate(invalid="ignore"), pytest.warns(RuntimeWarning):
        assert language_model.by_distance(verdicts, clauses)[[0, 2]].tolist() == [100, 0]


def test_wrong_forms_are_wrong() -> None:
    for clause in language_model.agreement_clauses(grammar.sample(60, 1)):
        assert grammar.derivations(clause.words) == 1
        words = [*clause.words]
        words[clause.verb] = clause.wrong
        assert not grammar.derivations(words)


def row(**changed: object) -> dict[str, Any]:
    return {
        "task": "adding",
        "model": "RNN",
        "setting": "5",
        "seed": 0,
        "rate": 0.002,
        "updates": 10,
        "rows": 320,
        "values": {"5": 0.1},
        "parameters": 3,
        "seconds": 1.0,
        **changed,
    }


def test_results_come_back_by_model_and_seed(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    rows = [
        row(seed=1, values={"5": 0.2}),
        row(),
        row(setting="7", values={"7": 0.3}),
        row(model="GRU"),
        row(task="language"),
    ]
    grids = {("adding", "RNN", "5"): {0.001: -3.0, 0.002: -1.0, 0.004: -1.0}}
    measure.save(results.Results(grids, rows), path)
    assert results.values("adding", "RNN", "5", path) == [0.1, 0.2]
    assert list(results.load("adding", path=path)) == ["GRU", "RNN"]
    first = results.load("adding", path=path)["RNN"][0]
    assert first == results.Run("adding", "RNN", 0, {"5": 0.1, "7": 0.3}, 3, 2.0)
    (alone,) = results.load("adding", "7", path)["RNN"]
    assert alone == results.Run("adding", "RNN", 0, {"7": 0.3}, 3, 1.0)
    with pytest.raises(ValueError, match="task 'adding' with setting '8'"):
        results.load("adding", "8", path)
    assert results.chosen_rate("adding", "RNN", "5", path) == 0.002  # of equals the lowest
    with pytest.raises(ValueError, match=r"no rate of .*'9'.* there are"):
        results.chosen_rate("adding", "RNN", "9", path)
    with pytest.raises(ValueError, match="no '9' of model 'RNN'"):
        results.values("adding", "RNN", "9", path)
    with pytest.raises(ValueError, match=r"no result of task 'sums'; .* adding, language"):
        results.load("sums", path=path)


def test_missing_or_damaged_results_say_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    with pytest.raises(FileNotFoundError, match=r"course\.py results"):
        results.load("adding", path=path)
    for damaged in ('{"runs": [{"task"', '{"runs": [], "choices": [{"task": "adding"}]}', "[]"):
        path.write_text(damaged, encoding="utf-8")
        with pytest.raises(ValueError, match="damaged"):
            results.load("adding", path=path)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A task of two models in one setting; the best rate of A is 0.004, of B beyond the grid."""

    def run(name: str, seed: int, setting: str, rate: float, part: str) -> protocol.Outcome:
        task.asked.append((name, seed, rate, part))
        if len(task.asked) == task.breaks_at:
            raise KeyboardInterrupt
        if rate in task.diverges or seed in task.diverges:
            raise FloatingPointError("the loss is nan")
        score = -abs(math.log(rate / task.best[name]))
        return protocol.Outcome(score, {"score": 1 / 3}, nn.Linear(4, 1), 10, 320)

    task = SimpleNamespace(
        MODELS=("A", "B"),
        SETTINGS=("",),
        run=run,
        asked=[],
        breaks_at=0,
        diverges=(),
        best={"A": 0.004, "B": 0.032},
    )
    monkeypatch.setattr(measure, "TASKS", {"toy": "toy"})
    monkeypatch.setattr(measure, "module", lambda name: task)
    return task


def rates_tried(toy: Any, model: str) -> list[float]:
    return [
        rate for name, seed, rate, _ in toy.asked if (name, seed) == (model, protocol.CHOICE_SEED)
    ]


def test_rates_are_chosen_on_the_development_part_and_the_test_is_asked_once(
    toy: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.json"
    assert measure.main(["--processes", "1"], path) == 0
    trials = [asked for asked in toy.asked if asked[1] == protocol.CHOICE_SEED]
    assert {part for *_, part in trials} == {"development"}
    assert rates_tried(toy, "A") == list(protocol.RATES)
    assert rates_tried(toy, "B") == [*protocol.RATES, 0.032, 0.064]  # until it is worse again
    runs = [asked for asked in toy.asked if asked not in trials]
    assert runs == [
        (name, seed, rate, "test")
        for seed in range(protocol.SEEDS)
        for name, rate in (("A", 0.004), ("B", 0.032))
    ]
    assert results.chosen_rate("toy", "B", "", path) == 0.032
    assert results.values("toy", "A", "score", path) == [0.3333] * 3
    assert "edge" not in capsys.readouterr().out


@pytest.mark.parametrize("best", [1e-6, 1e3])
def test_a_grid_grows_by_a_few_rates_and_says_that_the_best_is_still_at_its_edge(
    toy: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], best: float
) -> None:
    toy.best["B"] = best
    measure.main(["--processes", "1", "--model", "B"], tmp_path / "results.json")
    tried = rates_tried(toy, "B")
    assert len(tried) == len(protocol.RATES) + measure.WIDEST == len(set(tried))
    assert tried[-1] == (min(tried) if best < 1 else max(tried))
    assert f"toy, B: best at the edge, {tried[-1]:g}" in capsys.readouterr().out


def test_where_nothing_is_learnt_higher_rates_are_tried(toy: Any, tmp_path: Path) -> None:
    toy.UNLEARNT, toy.best["A"] = -math.log(3), 0.064  # five scores of -1.39 or less
    measure.main(["--processes", "1", "--model", "A"], tmp_path / "results.json")
    assert rates_tried(toy, "A") == [*protocol.RATES, 0.032, 0.064, 0.128]
    toy.asked, toy.UNLEARNT = [], 1.0
    measure.main(["--processes", "1", "--model", "B"], tmp_path / "results.json")
    assert len(rates_tried(toy, "B")) == 8


def test_a_rate_that_diverges_is_the_worst_and_a_run_that_does_is_told(
    toy: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, toy.diverges = tmp_path / "results.json", (0.016, 0.032, 2)
    toy.best["B"] = 0.008
    assert measure.main(["--processes", "1"], path) == 1
    assert "seed 2: FloatingPointError: the loss is nan" in capsys.readouterr().out
    assert json.loads(path.read_text())["choices"][0]["grid"]["0.016"] is None
    whole = results.read(path)
    assert whole.grids["toy", "B", ""][0.016] == -math.inf
    assert {row["seed"] for row in whole.rows} == {0, 1}
    toy.diverges = ()
    assert measure.main(["--processes", "1"], path) == 0
    assert len(results.read(path).rows) == 6


def test_side_by_side_is_as_one_after_the_other(
    toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    measure.main(["--processes", "1"], one)
    toy.diverges = (2,)
    monkeypatch.setattr(
        measure, "ProcessPoolExecutor", lambda n, context, start: ThreadPoolExecutor(n)
    )
    assert measure.main([], two) == 1  # the others of the pool are kept
    assert len(results.read(two).rows) == 4
    toy.diverges = ()
    assert measure.main([], two) == 0
    without_times = [re.sub(r'"seconds": [^}]*', "", path.read_text()) for path in (one, two)]
    assert without_times[0] == without_times[1]


def test_what_another_command_has_written_is_kept(toy: Any, tmp_path: Path) -> None:
    path, run = tmp_path / "results.json", toy.run

    def both(name: str, *rest: Any) -> protocol.Outcome:
        if name == "B" and not path.exists():  # while B's first training runs, A is done
            measure.main(["--processes", "1", "--model", "A"], path)
        outcome: protocol.Outcome = run(name, *rest)
        return outcome

    toy.run = both
    measure.main(["--processes", "1", "--model", "B"], path)
    assert {row["model"] for row in results.read(path).rows} == {"A", "B"}


def test_a_run_with_a_rate_that_is_no_longer_the_best_is_done_anew(
    toy: Any, tmp_path: Path
) -> None:
    path = tmp_path / "results.json"
    measure.main(["--processes", "1", "--model", "A"], path)
    whole = results.read(path)
    grid = {**whole.grids["toy", "A", ""], 0.002: 1.0}
    measure.save(whole._replace(grids={("toy", "A", ""): grid}), path)
    measure.main(["--processes", "1", "--model", "A"], path)
    assert [row["rate"] for row in results.read(path).rows] == [0.002] * 3


@pytest.mark.parametrize("breaks_at", [1, 4, 12, 18])
def test_what_is_broken_off_goes_on(toy: Any, tmp_path: Path, breaks_at: int) -> None:
    path, toy.breaks_at = tmp_path / "results.json", breaks_at
    with pytest.raises(KeyboardInterrupt):
        measure.main(["--processes", "1"], path)
    assert measure.main(["--processes", "1"], path) == 0
    assert len(toy.asked) == 19  # 5 + 7 trials, 6 runs, and what was broken off
    assert measure.main(["--processes", "1"], path) == 0
    assert len(toy.asked) == 19
    whole = json.loads(path.read_text())
    assert len(whole["runs"]) == 6
    assert measure.main(["--processes", "1", "--again", "--model", "A"], path) == 0
    assert len(toy.asked) == 19 + 5 + 3
    assert json.loads(path.read_text()) == whole


def test_a_check_holds_one_seed_against_the_file(
    toy: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, toy.CHECK = tmp_path / "results.json", ("B", "")
    measure.main(["--processes", "1"], path)
    toy.asked.clear()
    assert measure.main(["--check"], path) == 0
    assert toy.asked == [("B", 0, 0.032, "test")]
    assert measure.main(["--check", "--model", "A"], path) == 0
    assert toy.asked[-1] == ("A", 0, 0.004, "test")
    changed = path.read_text().replace('{"score": 0.3333}', '{"score": 0.5}')
    path.write_text(changed)
    assert measure.main(["--check"], path) == 1
    assert "OUTSIDE" in capsys.readouterr().out


def test_the_command_says_what_is_wrong(
    toy: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.json"
    for arguments, message in (
        (["--model", "A", "--model", "C"], "no such model: C; there are A, B"),
        (["--processes", "0"], "1 or more, not 0"),
        (["--processes", "two"], "1 or more, not two"),
    ):
        with pytest.raises(SystemExit):
            measure.main(arguments, path)
        assert message in capsys.readouterr().err
    assert measure.main(["--check"], path) == 2
    assert "`python3 course.py results` makes it" in capsys.readouterr().err
    path.write_text('{"runs": [{"task"', encoding="utf-8")
    for arguments in ([], ["--again"], ["--check"]):
        assert measure.main(arguments, path) == 2
        assert "is damaged" in capsys.readouterr().err
    assert path.read_text() == '{"runs": [{"task"'
    assert toy.asked == []


def test_the_stored_file_is_whole() -> None:
    whole = results.read()
    wanted = list(measure.units(list(TASKS)))
    assert measure.jobs(wanted, whole) == []
    assert set(whole.grids) == set(wanted)
    for task in TASKS:
        runs, module = results.load(task), measure.module(task)
        more = getattr(module, "MORE_SEEDS", {})
        assert set(more) <= set(module.MODELS)
        seeds = {model: [run.seed for run in runs[model]] for model in module.MODELS}
        wanted_seeds = {model: more.get(model, protocol.SEEDS) for model in module.MODELS}
        assert seeds == {model: list(range(n)) for model, n in wanted_seeds.items()}
    for row in whole.rows:
        assert row["rate"] == results.best(whole.grids[measure.unit_of(row)])
    assert results.FILE.stat().st_size < 300_000


def test_labelled_data_shares_its_test_and_never_its_training() -> None:
    data, other = sentiment.data(100, 0), sentiment.data(50, 1)
    assert data.test == other.test
    assert len(data.test) == labelling.TEST
    assert data.train[:10] == sentiment.data(10, 0).train
    assert data.train[:50] != other.train
    assert [pair.sentiment + 1 for pair in data.train_pairs] == data.train_labels
    held_out = {*map(tuple, data.test), *map(tuple, data.development)}
    assert len(held_out) == labelling.TEST + labelling.DEVELOPMENT
    pools = {}
    for seed in (*labelling.FIRST_POOLS, *labelling.MORE_POOLS):
        pools[seed] = [tuple(ids) for ids in sentiment.data(labelling.MOST, seed).train]
        assert not held_out & set(pools[seed])
        assert len(pools[seed]) == labelling.MOST
    assert len({pool[:20] for pool in map(tuple, pools.values())}) == len(pools)
    with pytest.raises(ValueError, match=r"n is 1 to 5000 and seed one of .*; got n=6000"):
        sentiment.data(6000)


@pytest.mark.parametrize("language", grammar.LANGUAGES)
def test_every_word_has_a_tag(language: str) -> None:
    data = tagging.data(20, 2, language)
    assert [len(ids) for ids in data.test] == [len(tags) for tags in data.test_labels]
    pair = data.train_pairs[0]
    tags = tuple(data.names[number] for number in data.train_labels[0])
    assert tags == (pair.tags if language == "english" else pair.korean_tags)


def test_reversing_within_the_real_length() -> None:
    x = torch.arange(1.0, 9).reshape(2, 4, 1)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    turned = labelling.reverse_steps(x, mask)
    assert turned[:, :, 0].tolist() == [[4, 3, 2, 1], [6, 5, 7, 8]]
    assert torch.equal(labelling.reverse_steps(turned, mask), x)


@pytest.mark.parametrize("each_word", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_padding_changes_no_score_of_a_labeller(name: str, each_word: bool) -> None:
    torch.manual_seed(0)
    model = labelling.Labeller(9, 3, LAYERS[name], each_word, size=8).eval()
    rows = [[4, 5, 6], [7, 8, 4, 5, 6]]
    with torch.no_grad():
        ids, mask = (torch.from_numpy(part) for part in text.pad(rows, 9))
        together = model(ids, mask)
        for row, scores in zip(rows, together):
            alone = model(torch.tensor([row]), torch.ones(1, len(row), dtype=torch.bool))[0]
            assert torch.allclose(scores[: len(row)] if each_word else scores, alone, atol=1e-6)


def test_a_bag_is_scikit_learns_regression_on_counts() -> None:
    data = sentiment.data(200)
    ids, mask = (torch.from_numpy(part) for part in text.pad(data.train))
    for weighted in (False, True):
        bag = sentiment.fitted(data, weighted, 10.0)
        frequency = (sentiment.counts(ids, mask, len(data.words)) > 0).sum(dim=0)
        rarity = torch.log(201 / (1 + frequency)) + 1
        compare(bag.weights, rarity if weighted else torch.ones(len(data.words)), tolerance=1e-6)
        features = bag.features(ids, mask).numpy()
        fit = LogisticRegression(C=10.0, max_iter=2000).fit(features, data.train_labels)
        shares = bag(ids, mask).softmax(dim=1)
        compare(shares, fit.predict_proba(features), tolerance=1e-3)
    outcome = sentiment.run("bag of words", 0, "100", 10.0, "development")
    assert (outcome.updates, outcome.rows) == (0, 100)


def test_a_bag_of_two_labels_never_says_the_third() -> None:
    data = sentiment.data(200)
    kept = [place for place, label in enumerate(data.train_labels) if label != 1]
    two = data._replace(
        train=[data.train[place] for place in kept],
        train_labels=[data.train_labels[place] for place in kept],
    )
    said = labelling.predict(sentiment.fitted(two, False, 10.0), data.test)
    assert set(said.tolist()) == {0, 2}
    assert (said == data.test_labels).mean() > 0.15


@pytest.mark.parametrize("task", TASKS)
def test_a_part_that_is_none_is_refused(task: str) -> None:
    model, setting = next(iter(measure.units([task])))[1:]
    with pytest.raises(ValueError, match="part is 'development' or 'test', not 'train'"):
        measure.module(task).run(model, 0, setting, 0.001, "train")


def test_a_labeller_learns_from_few_labels_and_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelling, "UPDATES", 40)
    data = tagging.data(100)
    first, second = (labelling.accuracy(labelling.train(data), data) for _ in range(2))
    assert first == second > 70
    predicted = labelling.predict(labelling.Labeller(len(data.words), 3), data.test)
    assert predicted.shape == (labelling.TEST,)


def size(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def test_the_transformers_are_as_large_as_the_others() -> None:
    transformer, other = map(dates.new_model, ("Transformer", "attention, additive"))
    assert 0.8 < size(transformer) / size(other) < 1.2
    transformer, other = map(sums.new_model, ("Transformer", "both"))
    assert 0.8 < size(transformer) / size(other) < 1.2
