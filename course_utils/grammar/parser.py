"""A chart parser: what sums the probabilities of all derivations of a sentence."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from .rules import Rule, Symbol


class Parser:
    """Chart parser of one language.

    It sums the probabilities and counts the derivations of a sequence of words.

    It goes from word to word and from short spans to long ones. Rules are kept as a trie of their
    children, so that rules that begin alike are followed together; a rule with one child is applied
    when that child is found.
    """

    SCALE = 4.0  # nats by which every word is raised: a product over hundreds stays within a float

    def __init__(self, rules: Sequence[Rule], language: str) -> None:
        silent = {r.left for r in rules} - {
            r.left for r in rules if r.children or getattr(r.word, language)
        }
        self.trie: list[dict[Symbol, int]] = [
            {}
        ]  # state -> next child -> state; state 0 is the beginning of every rule
        self.ends: list[list[tuple[Symbol, float]]] = [[]]  # state -> rules that are complete there
        self.words: defaultdict[str, list[tuple[Symbol, float]]] = defaultdict(list)
        above: defaultdict[Symbol, list[tuple[Symbol, float]]] = defaultdict(
            list
        )  # rules with one child

        def chains(symbol: Symbol, p: float) -> list[tuple[Symbol, float]]:
            """What a found symbol is, by rules with one child: itself and all above it."""
            return [
                (symbol, p),
                *(found for left, q in above[symbol] for found in chains(left, p * q)),
            ]

        bodies = [
            [child for child in rule.ordered(language) if child not in silent] for rule in rules
        ]
        for rule, body in zip(rules, bodies, strict=True):
            if len(body) == 1:
                above[body[0]].append((rule.left, rule.probability))
        for rule, body in zip(rules, bodies, strict=True):
            if text := getattr(rule.word, language):
                self.words[text].extend(chains(rule.left, rule.probability * math.exp(self.SCALE)))
            elif len(body) > 1:
                state = 0
                for child in body:
                    state = self.trie[state].setdefault(child, len(self.trie))
                    if state == len(self.trie):
                        self.trie.append({})
                        self.ends.append([])
                self.ends[state].extend(chains(rule.left, rule.probability))

    def parse(self, words: Sequence[str]) -> tuple[float, int]:
        """Scaled probability and number of derivations."""
        # waiting[i][symbol]: begun rules (state, start, probability, number) that want this symbol
        # next, from word i on.
        waiting: list[defaultdict[Symbol, list[tuple[int, int, float, int]]]] = [
            defaultdict(list) for _ in words
        ]
        found: list[dict[Symbol, tuple[float, int]]] = [{}]
        for end, word in enumerate(words, 1):
            found = [
                {} for _ in range(end)
            ]  # found[start][symbol]: probability and number of the span start:end
            for symbol, p in self.words.get(word, ()):
                q, n = found[-1].get(symbol, (0.0, 0))
                found[-1][symbol] = p + q, n + 1
            for start in range(end - 1, -1, -1):
                for symbol, (p, n) in found[start].items():
                    steps = waiting[start].get(symbol, [])
                    if symbol in self.trie[0]:
                        steps = [*steps, (self.trie[0][symbol], start, 1.0, 1)]
                    for state, begin, q, m in steps:
                        for left, r in self.ends[state]:
                            before, number = found[begin].get(left, (0.0, 0))
                            found[begin][left] = before + p * q * r, number + n * m
                        if end < len(words):
                            for expected, following in self.trie[state].items():
                                waiting[end][expected].append((following, begin, p * q, n * m))
        return found[0].get(("sentence",), (0.0, 0))
