"""Writing with a key-value cache beside reading all words again; words a second of each translator.

Part of `python3 course.py bench`. Lesson 15's two translators run in one process with the same
weights, in turn; what is printed is the ratio of the quickest runs. The speed of a translator does
not depend on what its weights have learnt, so none is trained here.
"""

import time
from functools import partial

import torch

from course_utils import text
from course_utils.models import seq2seq
from course_utils.tasks import translation
from course_utils.timing import in_turn
from course_utils.training import setup, threads
from from_notebook import definitions

N, H = 8, translation.HIDDEN
LENGTHS = (8, 16, 32, 64, 128)
AIM = 5  # times faster with the cache, at the last of LENGTHS


@torch.no_grad()
def write(model: torch.nn.Module, source: torch.Tensor, length: int) -> torch.Tensor:
    """The most probable words (N, length) for each row of source (N, S); <eos> ends nothing."""
    memory, state = model.encode(source)
    words, columns = torch.full((len(source), 1), text.SOS), []
    for _ in range(length):
        logits, state = model.decode(memory, state, words)
        words = logits[:, -1:].argmax(dim=2)
        columns.append(words)
    return torch.cat(columns, dim=1)


def cached_and_not(source: torch.Tensor) -> None:
    lesson, data = definitions(15), translation.data()
    sizes = len(data.english), len(data.korean), H
    slow, fast = (lesson[name](*sizes).eval() for name in ("Translator", "CachedTranslator"))
    fast.load_state_dict(slow.state_dict())
    for model in (slow, fast):
        model.table = lesson["positions"](max(LENGTHS) + 1, H)
    print(f"decoding {N} sentences, H={H}, {threads()} threads")
    print("  words   again ms   cached ms   again / cached")
    for length in LENGTHS:
        pair = [partial(write, model, source[:N], length) for model in (slow, fast)]
        assert torch.equal(pair[0](), pair[1]()), "the two write different words"
        again, once = in_turn(*pair, pairs=3, warm=1).min(axis=0)
        row = f"{length:7} {1e3 * again:10.1f} {1e3 * once:11.1f} {again / once:16.1f}"
        if length == max(LENGTHS):
            row += f"   aim: at least {AIM}, {'met' if again / once >= AIM else 'missed'}"
        print(row, flush=True)


def words_per_second(source: torch.Tensor) -> None:
    length = seq2seq.MOST
    print(f"words per second, {length} words for each sentence, {threads()} threads")
    print("  translator                 1 sentence   64 sentences")
    for name, make in translation.MODELS.items():
        model, rates = make().eval(), []
        for rows in (source[:1], source[:64]):
            seconds = []
            for _ in range(4):
                start = time.perf_counter()
                write(model, rows, length)
                seconds.append(time.perf_counter() - start)
            rates.append(len(rows) * length / min(seconds))
        print(f"  {name:26} {rates[0]:10,.0f} {rates[1]:14,.0f}", flush=True)


def main() -> None:
    setup()
    sources, _ = translation.ids(translation.data().test[::9])
    source = torch.from_numpy(text.pad(sources)[0])
    cached_and_not(source)
    words_per_second(source)


if __name__ == "__main__":
    main()
