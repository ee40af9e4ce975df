"""The shared data are what their docstrings promise."""

import datetime
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from course_utils import datasets
from course_utils.datasets import files


def test_import_is_light() -> None:
    """The libraries behind the data are loaded when the data are asked for."""
    late = {"babel", "pooch", "requests", "torch"}
    code = f"import sys, course_utils.datasets; print({late} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, check=True).stdout.split() == [b"set()"]


def test_every_file_and_corpus_is_described() -> None:
    text = (datasets.DATA / "README.md").read_text("utf-8")
    kinds = (".csv", ".txt", ".json", ".toml", ".tsv")
    kept = [path.name for path in datasets.DATA.iterdir() if path.suffix in kinds]
    assert "sunspots.csv" in kept
    for name in [*kept, *datasets.CORPORA]:
        assert f"`{name}`" in text, f"data/README.md does not say where {name} comes from"
    for name, corpus in datasets.CORPORA.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}`")]
        terms = corpus.licence.split(",")[0], f"{corpus.size:,}"
        for fact in (corpus.repository, corpus.commit, corpus.path, *terms):
            assert fact in row, f"data/README.md: {name}: {fact}"


# Sunspots


def test_sunspots() -> None:
    years, values = datasets.sunspots()
    assert years.dtype == values.dtype == np.float64
    assert np.array_equal(years, np.arange(1700, 2009))
    assert values.sum() == pytest.approx(15373.4)
    assert values.min() == 0
    assert values.max() == 190.2
    # Three minima and the highest maximum
    known = {1700: 5.0, 1810: 0.0, 1913: 1.4, 1957: 190.2, 2008: 2.9}
    assert dict(zip(years, values, strict=True)).items() >= known.items()


def test_sunspots_missing_or_damaged(tmp_path, monkeypatch) -> None:
    good = (datasets.DATA / "sunspots.csv").read_bytes()
    monkeypatch.setattr(files, "DATA", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"sunspots.csv is missing.*git checkout"):
        datasets.sunspots()
    file = tmp_path / "sunspots.csv"
    for damaged in (good[:1000], good.replace(b"190.2", b"190.3"), b""):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"not the published file.*git checkout"):
            datasets.sunspots()
    file.write_bytes(good.replace(b"\n", b"\r\n"))  # as git checks it out on Windows
    assert len(datasets.sunspots()[0]) == 309


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 30))
def test_windows(length: int, horizon: int, more: int) -> None:
    """Each window is followed by its value at the right distance, and no window is lost."""
    series = np.random.default_rng(more).normal(size=length + horizon + more)
    x, y, position = datasets.windows(series, length, horizon)
    assert x.shape == (more + 1, length)
    assert y.shape == position.shape == (more + 1,)
    for row, target, at in zip(x, y, position, strict=True):
        assert target == series[at]
        assert np.array_equal(row, series[at - horizon - length + 1 : at - horizon + 1])
    assert position[-1] == len(series) - 1
    assert np.array_equal(np.diff(position), np.ones(more))
    x[:] = 0
    assert (series != 0).all()  # a copy


def test_windows_refuses() -> None:
    with pytest.raises(ValueError, match=r"shape \(3, 2\); expected one row of numbers"):
        datasets.windows(np.zeros((3, 2)), 1)
    with pytest.raises(ValueError, match="at least 1"):
        datasets.windows(np.zeros(9), 0)
    with pytest.raises(ValueError, match="at least 1"):
        datasets.windows(np.zeros(9), 2, 0)
    with pytest.raises(ValueError, match="9 steps has no window of 9"):
        datasets.windows(np.zeros(9), 9)


@pytest.mark.parametrize("length, horizon", [(1, 1), (9, 1), (22, 3), (220, 1)])
def test_sunspot_windows_do_not_leak(length: int, horizon: int) -> None:
    """Each part forecasts its own years, all of them, from nothing but earlier years."""
    years, values = datasets.sunspots()
    parts = datasets.sunspot_windows(length, horizon)
    assert list(parts) == list(datasets.SUNSPOT_SPLIT) == ["train", "validation", "test"]
    forecast = np.concatenate([part[2] for part in parts.values()])
    assert np.array_equal(forecast, years[length + horizon - 1 :])
    for name, (x, y, when) in parts.items():
        first, last = datasets.SUNSPOT_SPLIT[name]
        assert when[0] == max(first, 1700 + length + horizon - 1)
        assert when[-1] == last
        assert len(x) == len(y) == len(when)
        for row, target, year in zip(x, y, when, strict=True):
            assert target == values[years == year].item()
            before = (years > year - horizon - length) & (years <= year - horizon)
            assert np.array_equal(row, values[before])


def test_sunspot_windows_refuse() -> None:
    with pytest.raises(ValueError, match="no year up to 1920"):
        datasets.sunspot_windows(221)


# Names


def is_hangul(text: str) -> bool:
    return any("HANGUL" in unicodedata.name(letter, "") for letter in text)


def test_name_pairs_english_korean() -> None:
    pairs = datasets.name_pairs()
    assert len(pairs) > 1050
    assert len({english for english, _ in pairs}) == len(pairs)
    known = {"South Korea": "대한민국", "Germany": "독일", "Greek": "그리스어"}
    assert {english: korean for english, korean in pairs if english in known} == known
    assert sum(is_hangul(korean) for _, korean in pairs) > 0.98 * len(pairs)
    assert not any(is_hangul(english) for english, _ in pairs)


def test_name_pairs_kinds() -> None:
    scripts = datasets.name_pairs(kinds="scripts")
    territories = datasets.name_pairs(kinds=("territories",))
    together = datasets.name_pairs(kinds=("scripts", "territories"))
    # Of two kinds with one name, the first kind's is kept
    assert together[: len(scripts)] == scripts
    assert dict(together) == dict(territories) | dict(scripts)
    # The place; the language of this name is 나우루어
    assert dict(datasets.name_pairs())["Nauru"] == "나우루"


def test_name_pairs_refuses() -> None:
    with pytest.raises(ValueError, match="'rivers'; there are: territories"):
        datasets.name_pairs(kinds=("rivers",))


# Dates


def test_no_date_text_has_two_truths() -> None:
    """All days of a common and of a leap year, in all formats of all locales.

    The year stands in full in each text.
    """
    truths: dict[str, str] = {}
    clashes = []
    start = datetime.date(2023, 1, 1)
    for day in (start + datetime.timedelta(number) for number in range(365 + 366)):
        for text, iso, locale in datasets.date_texts(day):
            if str(day.year) not in text or truths.setdefault(text, iso) != iso:
                clashes.append((text, truths.get(text), iso, locale))
    assert not clashes, clashes[:5]
    assert len(truths) > 60_000


def test_dates_promise() -> None:
    drawn = datasets.dates(3000)
    assert drawn == datasets.dates(3000) != datasets.dates(3000, seed=1)
    assert len({text for text, _, _ in drawn}) == 3000
    assert {locale for _, _, locale in drawn} == set(datasets.DATE_LOCALES)
    assert len(datasets.DATE_LOCALES) >= 12
    letters = {letter for text, _, _ in drawn for letter in text if letter.isalpha()}
    scripts = {unicodedata.name(letter).split()[0] for letter in letters}
    assert {"LATIN", "HANGUL", "CYRILLIC", "GREEK", "CJK", "ARABIC", "DEVANAGARI"} <= scripts
    two_years = datasets.dates(400, ["en_GB"], first_year=1999, last_year=2000)
    assert {iso[:4] for _, iso, _ in two_years} == {"1999", "2000"}
    # Both write 27/09/2024
    shared = datasets.dates(3000, ["en_GB", "fr"], first_year=2024, last_year=2024)
    assert len({text for text, _, _ in shared}) == 3000
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(number) for number in range(366)]
    texts = {form.text for day in days for form in datasets.date_texts(day, ["en_US"])}
    assert {text for text, _, _ in datasets.dates(len(texts), ["en_US"], 0, 2024, 2024)} == texts
    with pytest.raises(ValueError, match=f"have only {len(texts):,}"):
        datasets.dates(len(texts) + 1, ["en_US"], 0, 2024, 2024)


def test_dates_refuses() -> None:
    with pytest.raises(ValueError, match="no dates in locale 'xx_YY'; there are: en_US"):
        datasets.dates(1, ["en_US", "xx_YY"])
    too_many = r"100,000 date texts requested, but these years have only [\d,]+"
    with pytest.raises(ValueError, match=too_many):
        datasets.dates(100_000, ["ko"], first_year=2000, last_year=2001)
    with pytest.raises(ValueError, match="years must run upwards"):
        datasets.dates(1, first_year=2001, last_year=2000)


# Addition


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 300), st.integers(1, 2), st.integers(0, 4), st.integers(0, 9))
def test_addition_is_right(n: int, least: int, more: int, seed: int) -> None:
    n = min(n, 100) if least == 1 and more == 0 else n
    sums = datasets.addition(n, least + more, seed, least)
    assert len(set(sums)) == len(sums) == n
    for question, answer in sums:
        a, b = question.split("+")
        assert str(int(a) + int(b)) == answer
        for number in (a, b):
            assert least <= len(number) <= least + more
            assert str(int(number)) == number


def test_addition_textbook_set() -> None:
    sums = datasets.addition(50_000)
    assert sums == datasets.addition(50_000) != datasets.addition(50_000, seed=1)
    assert max(len(question) for question, _ in sums) == 7
    assert max(int(answer) for _, answer in sums) <= 1998
    shapes = [tuple(map(len, question.split("+"))) for question, _ in sums]
    counts = {shape: shapes.count(shape) for shape in set(shapes)}
    assert counts[1, 1] == 100
    assert counts[1, 2] == counts[2, 1] == 900
    large = [counts[shape] for shape in counts if min(shape) > 1 or max(shape) == 3]
    assert len(large) == 6
    assert max(large) - min(large) <= 1
    assert sum(counts.values()) == 50_000
    # The order is mixed: about half of the 100 shortest in the first half
    assert 20 < shapes[:25_000].count((1, 1)) < 80


def test_addition_counts() -> None:
    questions = {f"{a}+{b}" for a in range(10) for b in range(10)}
    assert {question for question, _ in datasets.addition(100, 1)} == questions
    assert len(set(datasets.addition(90 * 90, 2, min_digits=2))) == 8100
    too_many = "101 different sums wanted, but only 100 exist with 1 to 1 digits"
    with pytest.raises(ValueError, match=too_many):
        datasets.addition(101, 1)
    with pytest.raises(ValueError, match="only 8,100 exist with 2 to 2 digits"):
        datasets.addition(8101, 2, min_digits=2)
    with pytest.raises(ValueError, match="1 <= min_digits <= digits"):
        datasets.addition(1, 2, min_digits=3)


# The adding problem


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 50), st.integers(2, 60), st.integers(0, 9))
def test_adding_problem(n: int, length: int, seed: int) -> None:
    x, y = datasets.adding_problem(n, length, np.random.default_rng(seed))
    assert x.shape == (n, length, 2)
    assert y.shape == (n,)
    assert x.dtype == y.dtype == np.float64
    values, markers = x[:, :, 0], x[:, :, 1]
    assert ((values >= 0) & (values <= 1)).all()
    assert np.isin(markers, (0, 1)).all()
    assert (markers[:, : length // 2].sum(1) == 1).all()
    assert (markers[:, length // 2 :].sum(1) == 1).all()
    for row in range(n):
        first, second = np.flatnonzero(markers[row])
        assert y[row] == pytest.approx(values[row, first] + values[row, second])


def test_adding_problem_baseline() -> None:
    """Always answering 1 has a mean squared error of 1/6.

    A sample's mean is within four standard errors of it.
    """
    _, y = datasets.adding_problem(100_000, 10, np.random.default_rng(0))
    squares = (y - 1) ** 2
    assert abs(squares.mean() - 1 / 6) < 4 * squares.std() / np.sqrt(len(y))


def test_adding_problem_markers_reach_every_step() -> None:
    x, _ = datasets.adding_problem(2000, 7, np.random.default_rng(0))
    counts = x[:, :, 1].sum(0)
    assert (abs(counts[:3] - 2000 / 3) < 120).all()
    assert (abs(counts[3:] - 2000 / 4) < 120).all()


def test_adding_problem_refuses() -> None:
    with pytest.raises(ValueError, match="at least 2 steps"):
        datasets.adding_problem(3, 1, np.random.default_rng(0))
