"""How exercises are built, for those who write one: `exercise`, and `Exercise` with `Wrong`."""

from . import record
from .alike import is_numeric
from .blocks import Exercise, Raised, Wrong, ask, autograd, changed, exercise

__all__ = [
    "Exercise",
    "Raised",
    "Wrong",
    "ask",
    "autograd",
    "changed",
    "exercise",
    "is_numeric",
    "record",
]
