"""Names and dates as people write them, from the Unicode CLDR.

Frozen in `data/names.tsv` and `data/dates.json`, so that what the course measures does not hang on
the CLDR that an installed library carries. `command/freeze.py` makes both files.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from .files import data_text

NAME_KINDS = ("territories", "languages", "currencies", "scripts")
"""The kinds of names that `name_pairs` knows."""

DATE_LOCALES = (
    *("en_US", "en_GB", "ko", "de", "fr", "es", "it", "pt", "nl", "pl", "sv"),
    *("tr", "vi", "ru", "uk", "el", "ja", "zh", "ar", "hi"),
)
"""The locales of `dates`: 20, in seven scripts (Latin, Hangul, Cyrillic, Greek, Han with kana,
Arabic, Devanagari)."""


class DateText(NamedTuple):
    """A date as people write it."""

    text: str
    iso: str  # its ISO 8601 form, such as "1994-09-27"
    locale: str  # whose format it is


def name_pairs(
    kinds: str | Sequence[str] = ("territories", "languages", "currencies"),
) -> list[tuple[str, str]]:
    """Names of places, languages, currencies (and scripts): [(English, Korean), ...].

    Some 1,170 pairs by default. The order is fixed: kind by kind, by CLDR code. An English name
    that has come before is left out ('Nauru' is a place and a language), so that each has one
    Korean name.

    Raises ValueError for a kind outside NAME_KINDS.
    """
    requested = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    for kind in requested:
        if kind not in NAME_KINDS:
            raise ValueError(f"no names of kind {kind!r}; there are: {', '.join(NAME_KINDS)}")
    rows = [line.split("\t") for line in data_text("names.tsv").splitlines()[1:]]
    pairs: dict[str, str] = {}
    for wanted_kind in requested:
        for kind, _, english, korean in rows:
            if kind == wanted_kind:
                pairs.setdefault(english, korean)
    return list(pairs.items())


class _Format(NamedTuple):
    """One way to write a date, such as "{EEEE}, {d}. {MMMM} {y}", and a locale's words for it."""

    locale: str
    template: str
    words: dict[str, list[str]]  # CLDR field -> its texts, from Monday or from January on

    def write(self, day: datetime.date) -> str:
        numbers = {"d": f"{day.day}", "dd": f"{day.day:02}", "y": f"{day.year}"}
        months = {"M": f"{day.month}", "MM": f"{day.month:02}"}
        words = {
            field: texts[day.weekday() if field[0] in "Ec" else day.month - 1]
            for field, texts in self.words.items()
        }
        return self.template.format(**numbers, **months, **words)


@cache
def _formats(locale: str) -> tuple[_Format, ...]:
    stored = json.loads(data_text("dates.json"))
    if locale not in stored:
        raise ValueError(f"no dates in locale {locale!r}; there are: {', '.join(stored)}")
    body = stored[locale]
    return tuple(_Format(locale, template, body["words"]) for template in body["templates"])


def date_texts(day: datetime.date, locales: Sequence[str] = DATE_LOCALES) -> list[DateText]:
    """One day in every format of these locales; a text that several write alike comes once.

    The formats are CLDR's full, long, medium and short ones and its skeletons of day, month and
    year, with and without the weekday, without two sorts that would give one text two truths: years
    of two digits ("05/06/07"), and numbers alone with the month before the day and the year last
    (5/6/2007 is in May in the United States, in June elsewhere).

    Raises ValueError for a locale outside DATE_LOCALES and a year outside 1000 to 2999.
    """
    if not 1000 <= day.year <= 2999:
        raise ValueError(f"years are 1000 to 2999, not {day.year}")
    texts: dict[str, DateText] = {}
    for locale in locales:
        for form in _formats(locale):
            text = form.write(day)
            texts.setdefault(text, DateText(text, day.isoformat(), locale))
    return list(texts.values())


def dates(
    n: int,
    locales: str | Sequence[str] = DATE_LOCALES,
    seed: int = 0,
    first_year: int = 1950,
    last_year: int = 2049,
) -> list[DateText]:
    """n different date texts in the true formats of many locales, each with its ISO 8601 form.

    Every (day, format) is as likely as any other, and none comes twice; a text that several locales
    write alike ("27/09/1994") comes once, under one of them. Over all of DATE_LOCALES no text has
    two ISO forms (`date_texts` says what is left out for this), so that every date can be read
    without error. Digits are 0 to 9 in every locale.

    Raises ValueError for an unknown locale, years outside 1000 to 2999, or more texts than exist.
    """
    if not 1000 <= first_year <= last_year <= 2999:
        raise ValueError(
            f"years must run upwards within 1000 to 2999, not from {first_year} to {last_year}"
        )
    requested = [locales] if isinstance(locales, str) else locales
    formats = [form for locale in requested for form in _formats(locale)]
    first = datetime.date(first_year, 1, 1).toordinal()
    days = datetime.date(last_year, 12, 31).toordinal() - first + 1
    texts: dict[str, DateText] = {}
    for choice in np.random.default_rng(seed).permutation(days * len(formats)):
        if len(texts) >= n:
            break
        day = datetime.date.fromordinal(first + int(choice) // len(formats))
        form = formats[int(choice) % len(formats)]
        text = form.write(day)
        texts.setdefault(text, DateText(text, day.isoformat(), form.locale))
    if len(texts) < n:
        raise ValueError(f"{n:,} date texts requested, but these years have only {len(texts):,}")
    return list(texts.values())
