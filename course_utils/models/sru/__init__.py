"""Lesson 10's simple recurrent unit, fast: `SRU`, with the interface of `torch.nn.GRU`."""

from .layer import SRU

__all__ = ["SRU"]
