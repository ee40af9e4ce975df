"""Makes data/names.tsv and data/dates.json from the CLDR in the Babel library.

    python -m course_utils.command.freeze

Prints the SHA-256 of each, which belong into `datasets/files.py`. The tests hold the files against
the Babel that constraints.txt pins.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re

from ..datasets.cldr import DATE_LOCALES, NAME_KINDS
from ..datasets.files import DATA

NUMBERS = {"d", "dd", "M", "MM", "y"}  # fields that `datasets.cldr` writes itself


def names() -> str:
    """The content of names.tsv: what has another name in Korean than in English, by CLDR code.

    Names that are the same in both are left out: most of them are not translated at all.
    """
    from babel import Locale

    lines = ["kind\tcode\tenglish\tkorean"]
    for kind in NAME_KINDS:
        english, korean = (getattr(Locale.parse(language), kind) for language in ("en", "ko"))
        for code in sorted(set(english) & set(korean)):
            if english[code] != korean[code]:
                lines.append(f"{kind}\t{code}\t{english[code]}\t{korean[code]}")
    return "\n".join(lines) + "\n"


def date_patterns(locale: str) -> list[str]:
    """The CLDR patterns of a locale, such as "EEEE, d MMMM y", that `date_texts` describes."""
    from babel import Locale

    locale_data = Locale.parse(locale)
    patterns = [
        locale_data.date_formats[length].pattern for length in ("full", "long", "medium", "short")
    ]
    skeletons = locale_data.datetime_skeletons
    candidates = [name for name in sorted(skeletons) if set("yMd") <= set(name) <= set("yMdEc")]
    patterns += [skeletons[name].pattern for name in candidates]
    chosen = []
    for pattern in dict.fromkeys(patterns):
        fields = re.sub(r"'[^']*'", "", pattern)
        month_first = re.search(r"M.*d.*y", fields) and not re.search(r"MMM|LLL", fields)
        if not re.search(r"(?<!y)yy(?!y)", fields) and not month_first:
            chosen.append(pattern)
    return chosen


def field_texts(locale: str, field: str) -> list[str]:
    """What a locale writes for a field, from Monday or from January on."""
    from babel.dates import DateTimeFormat

    if field[0] in "Ec":
        days = [datetime.date(2001, 1, day) for day in range(1, 8)]  # begins on a Monday
    elif field[0] in "ML":
        days = [datetime.date(2001, month, 1) for month in range(1, 13)]
    else:
        raise ValueError(f"a date pattern of {locale} has a field {field!r} that is not handled")
    return [str(DateTimeFormat(day, locale)[field]) for day in days]


def dates() -> str:
    """The content of dates.json: locale -> {"templates": [...], "words": {field: [text, ...]}}."""
    from babel.dates import parse_pattern

    locales = {}
    for locale in DATE_LOCALES:
        formats = [str(parse_pattern(pattern).format) for pattern in date_patterns(locale)]
        templates = [re.sub(r"%\((\w+)\)s", r"{\1}", template) for template in formats]
        fields = dict.fromkeys(re.findall(r"{(\w+)}", " ".join(templates)))
        words = {name: field_texts(locale, name) for name in fields if name not in NUMBERS}
        locales[locale] = {"templates": templates, "words": words}
    return json.dumps(locales, ensure_ascii=False, indent=1) + "\n"


def main() -> None:
    """Write both files."""
    for name, content in (("names.tsv", names()), ("dates.json", dates())):
        (DATA / name).write_text(content, encoding="utf-8", newline="\n")
        print(f"{name}: {hashlib.sha256(content.encode()).hexdigest()}")


if __name__ == "__main__":
    main()
