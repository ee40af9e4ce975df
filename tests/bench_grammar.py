"""How many sentence pairs a second the grammar writes, and how long it takes to parse one.

Part of `python3 course.py bench`.
"""

import time

from course_utils import grammar


def main() -> None:
    start = time.perf_counter()
    grammar.standard()
    print(f"grammar: made from its lexicon in {time.perf_counter() - start:.2f} s")
    rates = []
    for seed in range(5):
        start = time.perf_counter()
        pairs = grammar.sample(20_000, seed)
        rates.append(len(pairs) / (time.perf_counter() - start))
    median, slowest = sorted(rates)[2], min(rates)
    print(f"grammar: {median:,.0f} pairs a second in one thread (slowest of five: {slowest:,.0f})")
    for language in grammar.LANGUAGES:
        sentences = [words for pair in pairs if len(words := getattr(pair, language)) == 12]
        grammar.derivations(sentences[0], language)  # makes the parser
        start = time.perf_counter()
        for words in sentences:
            grammar.log_probability(words, language)
        seconds = (time.perf_counter() - start) / len(sentences)
        print(f"grammar: {1000 * seconds:.2f} ms to parse a sentence of 12 words, {language}")


if __name__ == "__main__":
    main()
