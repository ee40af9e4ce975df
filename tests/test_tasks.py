"""The shared tasks and the file of results."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from course_utils import grammar, text
from course_utils.command import measure
from course_utils.models.layers import LAYERS
from course_utils.tasks import (
    TASKS,
    adding,
    dates,
    labelling,
    language_model,
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


def row(**changed: object) -> results.Run:
    return results.Run("adding", "RNN", 0, {"5": 0.1}, 3, 1.0)._replace(**changed)


def test_results_come_back_by_model_and_seed(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    second = row(seed=1, values={"5": 0.2})
    measure.save([second, row(), row(model="GRU"), row(task="language")], path)
    assert results.values("adding", "RNN", "5", path) == [0.1, 0.2]
    assert list(results.load("adding", path)) == ["GRU", "RNN"]
    with pytest.raises(ValueError, match="no '7' of model 'RNN'"):
        results.values("adding", "RNN", "7", path)
    with pytest.raises(ValueError, match="no result of task 'sums'; there are adding, language"):
        results.load("sums", path)


def test_missing_or_damaged_results_say_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    with pytest.raises(FileNotFoundError, match=r"course\.py results"):
        results.load("adding", path)
    path.write_text('{"runs": [{"task"', encoding="utf-8")
    with pytest.raises(ValueError, match="damaged"):
        results.load("adding", path)


def test_a_broken_off_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, asked = tmp_path / "results.json", []

    def fake(model: str, seed: int) -> tuple[dict[str, float], nn.Module]:
        if (model, seed) == ("B", 0) and len(asked) == 2:
            asked.append("broken")
            raise KeyboardInterrupt
        asked.append((model, seed))
        return {"score": 1 / 3}, nn.Linear(4, 1)

    toy = SimpleNamespace(MODELS=("A", "B"), SEEDS=2, run=fake)
    monkeypatch.setattr(measure, "TASKS", {"toy": "toy"})
    monkeypatch.setattr(measure, "module", lambda task: toy)
    with pytest.raises(KeyboardInterrupt):
        measure.main([], path)
    assert len(json.loads(path.read_text())["runs"]) == 2
    assert measure.main([], path) == 0
    assert [run.seed for run in results.load("toy", path)["B"]] == [0, 1]
    assert len(asked) == 5
    assert results.values("toy", "A", "score", path) == [0.3333] * 2
    assert measure.main([], path) == 0
    assert len(asked) == 5
    assert measure.main(["--again", "toy"], path) == 0
    assert len(asked) == 9
    assert measure.main(["nothing"], path) == 2
    assert "toy" in capsys.readouterr().err


def test_the_stored_file_is_whole() -> None:
    for task in TASKS:
        runs, module = results.load(task), measure.module(task)
        seeds = {model: [run.seed for run in runs[model]] for model in module.MODELS}
        assert seeds == {model: list(range(module.SEEDS)) for model in module.MODELS}


def test_labelled_data_shares_its_test_and_never_its_training() -> None:
    data, other = sentiment.data(100, 0), sentiment.data(50, 1)
    assert data.test == other.test
    assert len(data.test) == labelling.TEST
    assert data.train[:10] == sentiment.data(10, 0).train
    assert data.train[:50] != other.train
    assert [pair.sentiment + 1 for pair in data.train_pairs] == data.train_labels
    held_out = {pair.english for pair in data.test_pairs}
    assert not held_out & {pair.english for pair in sentiment.data(labelling.MOST, 2).train_pairs}
    with pytest.raises(ValueError, match="n is 1 to 5000 and seed 0 to 2; got n=6000"):
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


def test_a_labeller_learns_from_few_labels_and_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelling, "PLAN", ((40, 1.5e-2),))
    data = tagging.data(100)
    first, second = (labelling.accuracy(labelling.train(data), data) for _ in range(2))
    assert first == second > 70
    predicted = labelling.predict(labelling.Labeller(len(data.words), 3), data.test)
    assert predicted.shape == (labelling.TEST,)


def size(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def test_the_transformers_are_as_large_as_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """And each trains at the rate that it needs."""
    transformer, other = map(dates.new_model, ("Transformer", "attention, additive"))
    assert 0.8 < size(transformer) / size(other) < 1.2
    asked = {}

    def remember(model: Any, *_: Any, rate: float, **__: Any) -> None:
        asked[size(model)] = rate

    small = sums.Sums(text.Vocabulary("+0123456789"), [("5+7", "12")], [])
    monkeypatch.setattr(sums, "train_in_one_cycle", remember)
    monkeypatch.setattr(sums, "data", lambda: small)
    models = [sums.train(name, 0)[0] for name in ("both", "Transformer")]
    assert 0.8 < size(models[0]) / size(models[1]) < 1.2
    assert set(asked.values()) == {sums.RATE}
    lower, _ = sums.train("Transformer, lower rate", 0)
    assert asked[size(lower)] == sums.RATE / 3
    assert type(lower) is type(models[1])
