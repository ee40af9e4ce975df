"""The names and dates in data/ are those of the CLDR in the Babel that constraints.txt pins."""

from __future__ import annotations

import datetime
import re
from importlib import metadata
from pathlib import Path

import pytest
from babel import Locale
from babel.dates import format_date

from course_utils import datasets
from course_utils.command import freeze

ROOT = Path(__file__).resolve().parents[1]
PINNED = f"babel=={metadata.version('babel')}" in (ROOT / "constraints.txt").read_text("utf-8")
pytestmark = pytest.mark.skipif(not PINNED, reason="another Babel carries another CLDR")


def test_the_frozen_files_are_what_freeze_makes() -> None:
    assert datasets.data_text("names.tsv") == freeze.names()
    assert datasets.data_text("dates.json") == freeze.dates()


def names(locale: str, what: str, width: int) -> dict[str, int]:
    """Names of months or weekdays in CLDR's tables, in the two contexts.

    Read from the tables, without going through a date format.
    """
    tables = getattr(Locale.parse(locale), what)
    length = {3: "abbreviated", 4: "wide", 5: "narrow"}[max(width, 3)]
    contexts = [tables[context][length] for context in ("format", "stand-alone")]
    return {name: number for numbered in contexts for number, name in numbered.items()}


def read(text: str, locale: str, pattern: str) -> datetime.date | None:
    """A date read back by a regular expression made from the pattern.

    None where the text is not in this pattern.
    """
    regex, months, weekdays = "", {}, {}
    numbers = {"y": r"(?P<year>\d{4})", "M": r"(?P<month>\d\d?)", "d": r"(?P<day>\d\d?)"}
    parts = r"'([^']*)'|(([a-zA-Z])\3*)|([^a-zA-Z']+)"
    for quoted, field, letter, other in re.findall(parts, pattern):
        if not field:
            regex += re.escape(quoted or other)
        elif letter == "M" and len(field) > 2:
            months = names(locale, "months", len(field))
            regex += "(?P<month>" + "|".join(map(re.escape, months)) + ")"
        elif letter in "Ec":
            weekdays = names(locale, "days", len(field))
            regex += "(?P<weekday>" + "|".join(map(re.escape, weekdays)) + ")"
        else:
            regex += numbers[letter]
    match = re.fullmatch(regex, text)
    if not match:
        return None
    month = months[match["month"]] if months else int(match["month"])
    day = datetime.date(int(match["year"]), month, int(match["day"]))
    return day if not weekdays or weekdays[match["weekday"]] == day.weekday() else None


def test_dates_read_back() -> None:
    """An independent reader finds the date that the ISO form states in each text, and no other."""
    for text, iso, locale in datasets.dates(4000, seed=1):
        days = {read(text, locale, pattern) for pattern in freeze.date_patterns(locale)} - {None}
        assert days == {datetime.date.fromisoformat(iso)}, (text, iso, locale)


@pytest.mark.parametrize("locale", datasets.DATE_LOCALES)
def test_dates_are_babels(locale: str) -> None:
    patterns = freeze.date_patterns(locale)
    assert len(patterns) >= 4
    for text, iso, where in datasets.dates(60, [locale], seed=2):
        day = datetime.date.fromisoformat(iso)
        assert text in [format_date(day, pattern, locale) for pattern in patterns]
        assert where == locale
