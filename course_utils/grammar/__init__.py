"""A grammar that writes English and Korean sentence pairs and knows everything about them.

`sample` and `split` draw pairs; `log_probability`, `derivations`, `floor` and `entropy` say what is
true of them. `Grammar` is one of another lexicon than the course's, `standard()`.
"""

from .rules import Entry, Rule, Word, particle
from .synchronous import (
    LANGUAGES,
    Grammar,
    Pair,
    derivations,
    entropy,
    expected_length,
    floor,
    floor_perplexity,
    lexicon,
    log_probability,
    noun_classes,
    number,
    sample,
    split,
    standard,
    word_classes,
)

__all__ = [
    "LANGUAGES",
    "Entry",
    "Grammar",
    "Pair",
    "Rule",
    "Word",
    "derivations",
    "entropy",
    "expected_length",
    "floor",
    "floor_perplexity",
    "lexicon",
    "log_probability",
    "noun_classes",
    "number",
    "particle",
    "sample",
    "split",
    "standard",
    "word_classes",
]
