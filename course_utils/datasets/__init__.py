"""The data that all lessons share, none of which needs a network.

`sunspots` is a measured time series, cut by `windows` and `sunspot_windows`; `name_pairs` and
`dates` are real text from the Unicode CLDR; `addition` and `adding_problem` are generated. Larger
corpora are fetched when asked for: `fetch`, and what reads them. Origin and licence of each:
`data/README.md`.
"""

from .cldr import (
    DATE_LOCALES,
    NAME_KINDS,
    DateText,
    date_texts,
    dates,
    name_pairs,
)
from .corpora import (
    CORPORA,
    CorpusError,
    available,
    chat_pairs,
    conllu,
    fetch,
    multi30k,
    shakespeare,
)
from .files import DATA, data_text
from .generated import adding_problem, addition
from .series import SUNSPOT_SPLIT, sunspot_windows, sunspots, windows

__all__ = [
    "CORPORA",
    "DATA",
    "DATE_LOCALES",
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
    "date_texts",
    "dates",
    "fetch",
    "multi30k",
    "name_pairs",
    "shakespeare",
    "sunspot_windows",
    "sunspots",
    "windows",
]
