"""The data that all lessons share, none of which needs a network.

`sunspots` is a measured time series from `data/`, cut by `windows` and `sunspot_windows`; `name_pairs` and `dates` are real text from the Unicode CLDR,
which the Babel library carries; `addition` and `adding_problem` are generated. Larger corpora, fetched on request,
live in `course_utils.corpora` and can be imported from here too. Origin and licence of each: `data/README.md`.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from course_utils.corpora import CORPORA, CorpusError, available, chat_pairs, conllu, fetch, multi30k, shakespeare

__all__ = [
    "CORPORA",
    "DATA",
    "DATE_LOCALES",
    "LANGUAGES",
    "NAME_KINDS",
    "SUNSPOT_SPLIT",
    "CorpusError",
    "DateText",
    "adding_problem",
    "addition",
    "available",
    "chat_pairs",
    "conllu",
    "data_text",
    "date_patterns",
    "dates",
    "fetch",
    "multi30k",
    "name_pairs",
    "shakespeare",
    "sunspot_windows",
    "sunspots",
    "windows",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DATA = Path(__file__).resolve().parents[1] / "data"
"""The repository's `data` folder; it stands beside the package, which is installed editable."""

_SHA256 = {"sunspots.csv": "f27f008d9156ad412e4d049a84d1a2aeaf5a9c575c6e4964e0247376ebe829cf"}

NAME_KINDS = ("territories", "languages", "currencies", "scripts")
"""The kinds of names that `name_pairs` knows."""

LANGUAGES = (
    "en", "ko", "ar", "cs", "de", "el", "es", "fi", "fr", "he", "hi", "hu", "id", "it", "ja", "nl", "pl", "pt", "ru",
    "sv", "tr", "vi",
)  # fmt: skip
"""The languages of `name_pairs`: English, Korean and 20 others (CLDR codes)."""

DATE_LOCALES = (
    "en_US", "en_GB", "ko", "de", "fr", "es", "it", "pt", "nl", "pl", "sv", "tr", "vi", "ru", "uk", "el", "ja", "zh",
    "ar", "hi",
)  # fmt: skip
"""The locales of `dates`: 20, in seven scripts (Latin, Hangul, Cyrillic, Greek, Han with kana, Arabic, Devanagari)."""


SUNSPOT_SPLIT = {"train": (1700, 1920), "validation": (1921, 1955), "test": (1956, 2008)}
"""The first and last year that is forecast in each part, for every lesson that forecasts sunspots (lesson 1 says why)."""


class DateText(NamedTuple):
    """A date as people write it, its ISO 8601 form ("1994-09-27"), and the locale whose format it is."""

    text: str
    iso: str
    locale: str


def data_text(name: str) -> str:
    """The text of a file in `data/`, verified by its SHA-256 (line ends are made the same first).

    Raises FileNotFoundError when the file is missing and ValueError when its content is not the published one.
    """
    path = DATA / name
    cure = "'git checkout -- data' in the course's folder brings the published file back"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; {cure}")
    text = path.read_bytes().replace(b"\r\n", b"\n")
    if hashlib.sha256(text).hexdigest() != _SHA256[name]:
        raise ValueError(f"{path} is not the published file (its SHA-256 differs); {cure}")
    return text.decode("utf-8")


def sunspots() -> tuple[Floats, Floats]:
    """Yearly mean sunspot numbers, 1700 to 2008: (years (309,), values (309,)), both float64.

    A sunspot number counts spots and groups of spots on the Sun's visible face (Wolf 1851): 10 x groups + spots,
    scaled for the observer. It has no unit, and a cycle of about 11 years. These are the figures of the original
    series (version 1.0), which was replaced in 2015 by one on another scale: do not join it to newer values.
    Source: National Geophysical Data Center (NOAA), public domain, as the statsmodels package carries them.
    """
    rows = [line.split(",") for line in data_text("sunspots.csv").splitlines()[1:]]
    return np.array([float(year) for year, _ in rows]), np.array([float(value) for _, value in rows])


def windows(series: npt.ArrayLike, length: int, horizon: int = 1) -> tuple[Floats, Floats, Ints]:
    """Every window of a series with the value to forecast from it: (x (n, length), y (n,), position (n,)).

    Row k of x is series[k : k + length], oldest value first; y[k] is series[position[k]], `horizon` steps after the
    window's last value. All windows are there, so n = len(series) - length - horizon + 1. x and y are copies, float64.
    Raises ValueError for a series that is not one row of numbers, length or horizon < 1, or a series too short.
    """
    values = np.asarray(series, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"a series is one row of numbers, (T,); this one has shape {values.shape}")
    if length < 1 or horizon < 1:
        raise ValueError(f"length={length}, horizon={horizon}: both count steps and are at least 1")
    if len(values) < length + horizon:
        raise ValueError(f"a series of {len(values)} steps has no window of {length} and a value {horizon} after it")
    position = np.arange(length + horizon - 1, len(values), dtype=np.int64)
    x = np.lib.stride_tricks.sliding_window_view(values, length)[: len(position)].copy()  # (n, length)
    return x, values[position], position


def sunspot_windows(length: int, horizon: int = 1) -> dict[str, tuple[Floats, Floats, Floats]]:
    """Sunspot windows split by time: "train", "validation", "test", each (x (n, length), y (n,), years (n,)).

    A window belongs to the part in whose years (SUNSPOT_SPLIT) the value to forecast lies. It may look back into an
    earlier part, as a forecaster of that year could; nothing of a later part is ever in an earlier one. So all lengths
    forecast the same 35 and 53 years of validation and test; training loses its first years, which have no full window.

    Raises ValueError as `windows` does, and when the training years have no full window.
    """
    years, values = sunspots()
    last = SUNSPOT_SPLIT["train"][1]
    if length + horizon > last - int(years[0]) + 1:
        raise ValueError(f"length={length}, horizon={horizon}: no year up to {last} has so many years before it")
    x, y, position = windows(values, length, horizon)
    parts = {}
    for part, (first, last) in SUNSPOT_SPLIT.items():
        inside = (years[position] >= first) & (years[position] <= last)
        parts[part] = x[inside], y[inside], years[position][inside]
    return parts


def name_pairs(
    source: str = "en", target: str = "ko", kinds: Sequence[str] = ("territories", "languages", "currencies")
) -> list[tuple[str, str]]:
    """Names of places, languages, currencies (and scripts) in two languages: [(source name, target name), ...].

    Real text: the Unicode CLDR, through Babel. About 1,100 pairs from English to Korean. The order is fixed: kind by
    kind, by CLDR code. Two sorts of entries are left out: names that are the same in both languages (most of them
    are not translated at all; between languages of one script some are true, such as 'Angola'), and a source name
    that has come before (English 'Nauru' is a place and a language), so that each source name has one target.

    Raises ValueError for a language outside LANGUAGES, a kind outside NAME_KINDS, or source == target.
    """
    from babel import Locale

    for language in (source, target):
        if language not in LANGUAGES:
            raise ValueError(f"no names in language {language!r}; there are: {', '.join(LANGUAGES)}")
    if source == target:
        raise ValueError(f"source and target are the same language, {source!r}")
    pairs: dict[str, str] = {}
    for kind in (kinds,) if isinstance(kinds, str) else kinds:
        if kind not in NAME_KINDS:
            raise ValueError(f"no names of kind {kind!r}; there are: {', '.join(NAME_KINDS)}")
        ours, theirs = (getattr(Locale.parse(language), kind) for language in (source, target))
        for code in sorted(ours):
            if code in theirs and ours[code] != theirs[code]:
                pairs.setdefault(ours[code], theirs[code])
    return list(pairs.items())


@functools.cache
def date_patterns(locale: str) -> tuple[str, ...]:
    """The CLDR patterns of a locale in which `dates` writes, such as "EEEE, d MMMM y" and "y. M. d.".

    They are its full, long, medium and short formats and its skeletons of day, month and year, with and without the
    weekday, without two sorts that would give one text two truths: years of two digits ("05/06/07"), and numbers
    alone with the month before the day and the year last (5/6/2007 is in May in the United States, in June
    elsewhere).

    Raises ValueError for a locale that Babel does not know.
    """
    from babel import Locale, UnknownLocaleError

    try:
        known = Locale.parse(locale)
    except (UnknownLocaleError, ValueError, TypeError) as error:
        raise ValueError(f"no dates in locale {locale!r}; tested are: {', '.join(DATE_LOCALES)}") from error
    formats = [known.date_formats[length].pattern for length in ("full", "long", "medium", "short")]
    skeletons = known.datetime_skeletons
    formats += [skeletons[name].pattern for name in sorted(skeletons) if set("yMd") <= set(name) <= set("yMdEc")]
    kept = []
    for pattern in dict.fromkeys(formats):
        fields = re.sub(r"'[^']*'", "", pattern)
        month_first = re.search(r"M.*d.*y", fields) and not re.search(r"MMM|LLL", fields)
        if not re.search(r"(?<!y)yy(?!y)", fields) and not month_first:
            kept.append(pattern)
    return tuple(kept)


class _Writer:
    """Writes dates in one pattern of one locale; every word in it is Babel's, looked up once and kept."""

    def __init__(self, locale: str, pattern: str) -> None:
        from babel.dates import parse_pattern

        self.locale = locale
        self.template = str(parse_pattern(pattern).format)  # "%(d)s. %(M)s. %(y)s"
        self.tables = {field: self._table(field) for field in re.findall(r"%\((\w+)\)s", self.template)}

    def _table(self, field: str) -> tuple[str, Mapping[int, str]]:
        """(the attribute of a date that the field shows, its texts)."""
        from babel.dates import DateTimeFormat

        def text(day: datetime.date) -> str:
            return str(DateTimeFormat(day, self.locale)[field])

        january = [datetime.date(2001, 1, day) for day in range(1, 32)]  # begins on a Monday
        match field[0]:
            case "d":
                return "day", {day.day: text(day) for day in january}
            case "E" | "c" | "e":
                return "weekday", {day.weekday(): text(day) for day in january[:7]}
            case "M" | "L":
                return "month", {month: text(datetime.date(2001, month, 1)) for month in range(1, 13)}
            case "y" if text(january[0]) == "2001":
                return "year", {year: str(year) for year in range(1000, 3000)}
            case "G":
                return "era", {0: text(january[0])}
        raise ValueError(f"a date pattern of {self.locale} has a field {field!r} that is not handled")

    def __call__(self, day: datetime.date) -> str:
        index = {"day": day.day, "weekday": day.weekday(), "month": day.month, "year": day.year, "era": 0}
        return self.template % {field: table[index[name]] for field, (name, table) in self.tables.items()}


@functools.cache
def _writers(locale: str) -> tuple[_Writer, ...]:
    return tuple(_Writer(locale, pattern) for pattern in date_patterns(locale))


def dates(
    n: int, locales: Sequence[str] = DATE_LOCALES, seed: int = 0, first_year: int = 1950, last_year: int = 2049
) -> list[DateText]:
    """n different date texts in the true formats of many locales, each with its ISO 8601 form.

    Every (day, format) is as likely as any other, and none comes twice; a text that several locales write alike
    ("27/09/1994") comes once, under one of them. Over all of DATE_LOCALES no text has two ISO forms (`date_patterns`
    says what is left out for this), so that every date can be read without error. Digits are 0 to 9 in every locale.

    Raises ValueError for an unknown locale, years outside 1000 to 2999, or more texts than exist.
    """
    if not 1000 <= first_year <= last_year <= 2999:
        raise ValueError(f"years must run upwards within 1000 to 2999, not from {first_year} to {last_year}")
    writers = [writer for locale in ([locales] if isinstance(locales, str) else locales) for writer in _writers(locale)]
    first = datetime.date(first_year, 1, 1).toordinal()
    days = datetime.date(last_year, 12, 31).toordinal() - first + 1
    found: dict[str, DateText] = {}
    for choice in np.random.default_rng(seed).permutation(days * len(writers)):
        if len(found) >= n:
            break
        day = datetime.date.fromordinal(first + int(choice) // len(writers))
        writer = writers[int(choice) % len(writers)]
        text = writer(day)
        found.setdefault(text, DateText(text, day.isoformat(), writer.locale))
    if len(found) < n:
        raise ValueError(f"{n:,} date texts wanted, but only {len(found):,} different ones exist in these years")
    return list(found.values())


def addition(n: int, digits: int = 3, seed: int = 0, min_digits: int = 1) -> list[tuple[str, str]]:
    """n different sums of two whole numbers: [("57+5", "62"), ...], in random order, without padding.

    Each number has min_digits to `digits` digits and no leading zero. Every pair of lengths gets the same share of
    the n sums as far as it has enough: there are only 100 sums of two one-digit numbers. (Were all numbers up to 999
    equally likely, 81 % of the sums would have two three-digit numbers.) "57+5" and "5+57" are two questions.
    addition(50_000) has questions of up to 7 characters and answers of up to 4.

    Raises ValueError for digits < min_digits, min_digits < 1, or more sums than exist.
    """
    if not 1 <= min_digits <= digits:
        raise ValueError(f"digits={digits} and min_digits={min_digits}: 1 <= min_digits <= digits is needed")
    rng = np.random.default_rng(seed)
    lowest = {length: 10 ** (length - 1) if length > 1 else 0 for length in range(min_digits, digits + 1)}
    count = {length: 10**length - low for length, low in lowest.items()}
    total = sum(count.values()) ** 2
    if n > total:
        raise ValueError(f"{n:,} different sums wanted, but only {total:,} exist with {min_digits} to {digits} digits")
    lengths = sorted(((i, j) for i in count for j in count), key=lambda pair: count[pair[0]] * count[pair[1]])
    sums: list[tuple[int, int]] = []
    for k, (i, j) in enumerate(lengths):
        share = min(count[i] * count[j], -(-(n - len(sums)) // (len(lengths) - k)))
        for choice in rng.choice(count[i] * count[j], size=share, replace=False):
            sums.append((lowest[i] + int(choice) // count[j], lowest[j] + int(choice) % count[j]))
    order = rng.permutation(n)
    return [(f"{a}+{b}", f"{a + b}") for a, b in (sums[k] for k in order)]


def adding_problem(n: int, length: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """n sequences with two marked numbers, and their sums: (x (N, T, 2), y (N,)), float64, T = length.

    x[:, :, 0] is uniform in [0, 1]; x[:, :, 1] is 1 at two steps and 0 elsewhere: one step of the first half
    (T // 2 steps) and one of the second. y is the sum of the two marked numbers, so a model has to carry the first
    one over T / 2 steps on average. The reference: always answering 1 has a mean squared error of 1/6 = 0.167, the
    variance of the sum of two uniform numbers.

    Source: Hochreiter & Schmidhuber 1997 (https://doi.org/10.1162/neco.1997.9.8.1735), in the simpler form of
    Le, Jaitly & Hinton 2015 (https://arxiv.org/abs/1504.00941) and Arjovsky, Shah & Bengio 2016
    (https://arxiv.org/abs/1511.06464), which has one marker in each half.

    Raises ValueError for length < 2 or n < 0.
    """
    if length < 2 or n < 0:
        raise ValueError(f"n={n}, length={length}: a sequence of at least 2 steps and n >= 0 are needed")
    x = np.zeros((n, length, 2))  # (N, T, 2)
    x[:, :, 0] = rng.uniform(size=(n, length))
    rows, half = np.arange(n), length // 2
    x[rows, rng.integers(0, half, size=n), 1] = 1
    x[rows, rng.integers(half, length, size=n), 1] = 1
    return x, (x[:, :, 0] * x[:, :, 1]).sum(axis=1)
