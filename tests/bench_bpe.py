"""Seconds to train lesson 02's byte-pair encoding, beside the library's: `python3 course.py bench`.

Corpus: the whole of Tiny Shakespeare, from a copy beside the repository or fetched before; else
the CLDR names.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from course_utils.datasets import name_pairs
from from_notebook import definitions

SHAKESPEARE = Path(__file__).resolve().parents[2] / "shared" / "datasets" / "tinyshakespeare.txt"


def seconds(work: Callable[[], Any], runs: int = 3) -> tuple[float, Any]:
    """(seconds of the fastest of some runs, what the work returned)."""
    best, result = float("inf"), None
    for _ in range(runs):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


def main() -> None:
    bpe = definitions(2)
    if SHAKESPEARE.is_file():
        name, text = "Tiny Shakespeare", SHAKESPEARE.read_bytes().decode("utf-8")
    else:
        name = "CLDR names (Tiny Shakespeare is not here)"
        text = "\n".join(side for pair in name_pairs() for side in pair)
    print(f"bpe: {name}, {len(text):,} characters; the fastest of 3 runs")
    print("bpe: ours in one thread, the library in as many as it likes")
    print("bpe: corpus  merges  cut + count     train   library  ours / library   pairs looked at")
    for part, sizes in ((8, [1000]), (4, [1000]), (2, [1000]), (1, [250, 500, 1000, 2000, 4000])):
        start = text[: len(text) // part]
        counting, words = seconds(lambda: bpe["word_counts"]([start]))
        for size in sizes:
            training, (merges, looked) = seconds(lambda: bpe["train_fast"](words, size))
            theirs, _ = seconds(lambda: bpe["library_bpe"]([start], size))
            ratio = (counting + training) / theirs
            row = f"1/{part}  {len(merges):>6,}  {counting:>9.2f} s  {training:>6.2f} s"
            row += f"  {theirs:>6.2f} s  {ratio:>14.1f}   {sum(looked):>15,}"
            print(f"bpe:    {row}", flush=True)
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    encoding, ids = seconds(lambda: bpe["encode"](text, ranks))
    library = bpe["library_bpe"]([text], len(merges))
    theirs, _ = seconds(lambda: library.encode(text))
    print(f"bpe: encode all {len(ids):,} tokens with {len(merges):,} merges: {encoding:.2f} s")
    print(f"bpe: the library encodes them in {theirs:.2f} s")


if __name__ == "__main__":
    main()
