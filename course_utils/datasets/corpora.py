"""Real corpora, fetched when asked for.

Each is pinned by commit and SHA-256, and verified before it is used.

Nothing here is needed by a lesson's default path. A file is looked for in this order:
1. the folder that the environment variable COURSE_CORPORA names (then the network is never used);
2. the cache: COURSE_DATA_CACHE, or the operating system's cache folder for
"from-tokens-to-transformers";
3. its publisher's address; COURSE_CORPORA_URL may name a mirror that answers to the same paths.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "CORPORA",
    "Corpus",
    "CorpusError",
    "available",
    "chat_pairs",
    "conllu",
    "fetch",
    "multi30k",
    "shakespeare",
]

ADDRESS = "https://raw.githubusercontent.com"


class CorpusError(RuntimeError):
    """A corpus could not be had; the message says why, and what would help."""


@dataclass(frozen=True)
class Corpus:
    """One file of a published corpus: what it is, where it is, and how it is known to be whole."""

    title: str
    repository: str
    commit: str
    path: str
    licence: str
    size: int  # bytes
    sha256: str

    def url(self) -> str:
        """The file's address; the variable COURSE_CORPORA_URL replaces its first part."""
        base = os.environ.get("COURSE_CORPORA_URL") or ADDRESS
        return f"{base.rstrip('/')}/{self.repository}/{self.commit}/{self.path}"


def _ewt(part: str, size: int, sha256: str) -> Corpus:
    commit = "15d613d8447b3478787d4c278730a1e48a945efb"
    title = f"Universal Dependencies English EWT, {part}"
    path = f"en_ewt-ud-{part}.conllu"
    return Corpus(
        title, "UniversalDependencies/UD_English-EWT", commit, path, "CC BY-SA 4.0", size, sha256
    )


def _multi30k(part: str, size: int, sha256: str) -> Corpus:
    commit = "a3d2e0d26b56f3846f66a952536ffed4e401d05a"
    licence = "none stated, see https://github.com/multi30k/dataset"
    return Corpus(
        f"Multi30k, {part}",
        "multi30k/dataset",
        commit,
        f"data/task1/raw/{part}.gz",
        licence,
        size,
        sha256,
    )


CORPORA: dict[str, Corpus] = {
    "tinyshakespeare.txt": Corpus(
        "Tiny Shakespeare",
        "karpathy/char-rnn",
        "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e",
        "data/tinyshakespeare/input.txt",
        "public domain",
        1_115_394,
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
    "chatbot_ko.csv": Corpus(
        "Korean question-answer chat pairs",
        "songys/Chatbot_data",
        "4cf20d13fc46f5037fd1c531cd566e2dd9f72974",
        "ChatbotData.csv",
        "MIT",
        889_842,
        "287eb129695b577321c80ad397bb3c2279164d4ca577874d129fd3db5b30afe2",
    ),
    "en_ewt-ud-dev.conllu": _ewt(
        "dev", 1_805_545, "531a54ff90d6ab12201c5a50c3e78e6ddac4de69abc4bce5d275d3cd29efe2b6"
    ),
    "en_ewt-ud-test.conllu": _ewt(
        "test", 1_804_515, "e266e515a0a7547657ed3d90d9ba46487d6bd251f27ad4269d4e8a427c8555cd"
    ),
    "multi30k.train.en.gz": _multi30k(
        "train.en", 568_929, "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f"
    ),
    "multi30k.train.de.gz": _multi30k(
        "train.de", 637_044, "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6"
    ),
    "multi30k.val.en.gz": _multi30k(
        "val.en", 21_650, "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28"
    ),
    "multi30k.val.de.gz": _multi30k(
        "val.de", 24_681, "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a"
    ),
    "multi30k.test_2016_flickr.en.gz": _multi30k(
        "test_2016_flickr.en",
        21_077,
        "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    ),
    "multi30k.test_2016_flickr.de.gz": _multi30k(
        "test_2016_flickr.de",
        22_890,
        "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    ),
}
"""Every file that `fetch` knows, by the name under which it is kept."""


def _corpus(name: str) -> Corpus:
    if name not in CORPORA:
        raise ValueError(f"no corpus file {name!r}; there are: {', '.join(CORPORA)}")
    return CORPORA[name]


def _place(name: str) -> tuple[Path, bool]:
    """(where the file is or would be, whether it may be fetched to there)."""
    if folder := os.environ.get("COURSE_CORPORA"):
        return Path(folder).expanduser() / name, False
    if cache := os.environ.get("COURSE_DATA_CACHE"):
        return Path(cache).expanduser() / name, True
    import pooch  # type: ignore[import-untyped, unused-ignore]

    return Path(pooch.os_cache("from-tokens-to-transformers")) / name, True


def _is_whole(path: Path, corpus: Corpus) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == corpus.sha256


def available(name: str) -> bool:
    """Whether the file `name` is on this machine, whole and verified. Never uses the network.

    Raises ValueError for a name outside CORPORA, and CorpusError in place of False when the
    environment variable COURSE_CORPORA_NEEDED is set (as course.py store --corpora does).
    """
    corpus, path = _corpus(name), _place(name)[0]
    whole = _is_whole(path, corpus)
    if not whole and os.environ.get("COURSE_CORPORA_NEEDED"):
        raise CorpusError(
            f"{path} is needed here and is not there whole; from course_utils import datasets; "
            f"datasets.fetch({name!r})"
        )
    return whole


def fetch(name: str) -> Path:
    """The path of the verified file `name` of CORPORA; it is fetched on the first call and kept.

    Before a download, one line tells what it is, its licence and its size. A download goes to a
    temporary file and takes its name only when its SHA-256 is right, so whatever happens on the
    way, calling again is all it takes.

    Raises ValueError for a name outside CORPORA, and CorpusError when the file cannot be had: no
    network, an address that does not answer, a download that stops half-way or arrives damaged, a
    full disk.
    """
    corpus = _corpus(name)
    path, may_fetch = _place(name)
    if _is_whole(path, corpus):
        return path
    if not may_fetch:
        state = (
            "is damaged (its SHA-256 is not the published one)" if path.exists() else "is not there"
        )
        raise CorpusError(
            f"{path} {state}. COURSE_CORPORA is set, so it is not fetched: put the file from"
            f" {corpus.url()} there, or unset COURSE_CORPORA."
        )
    import pooch  # type: ignore[import-untyped, unused-ignore]

    print(
        f"Fetching {corpus.title} ({corpus.size / 1e6:.1f} MB, licence: {corpus.licence}) to"
        f" {path.parent}"
    )
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("ERROR")  # its note on standard error would repeat the line above
    try:
        pooch.retrieve(corpus.url(), f"sha256:{corpus.sha256}", fname=name, path=path.parent)
    except (OSError, ValueError) as error:  # the errors of the requests library are OSErrors
        raise CorpusError(
            f"{corpus.title} could not be fetched: {_reason(error)}. Tried {corpus.url()}. Nothing"
            f" damaged was kept; calling again tries again. By hand: save that address as {path}."
            " No lesson needs this file on its default path."
        ) from error
    finally:
        logger.setLevel(level)
    return path


def _reason(error: Exception) -> str:
    """Why a download failed, in words."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} ({error.response.reason})"
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return f"the server's certificate was refused ({error})"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection ended half-way"
    if isinstance(error, requests.RequestException):
        return "the server cannot be reached (no network?)"
    if isinstance(error, OSError):
        return f"it cannot be written ({error.strerror or error})"
    return "what arrived is damaged (its SHA-256 is not the published one)"


def shakespeare() -> str:
    """Tiny Shakespeare: 1,115,394 characters of Shakespeare's plays.

    Fetched; raises what `fetch` raises.
    """
    return fetch("tinyshakespeare.txt").read_bytes().decode("utf-8")


def conllu(split: str = "dev") -> list[list[tuple[str, str]]]:
    """English Web Treebank sentences: [[(form, universal part-of-speech tag), ...], ...].

    split: "dev" or "test".

    One pair for each syntactic word. The lines for multiword tokens (ids such as 1-2: "don't" above
    "do" and "n't") and for words that are not written (8.1) are skipped, as they repeat or add to
    the words and carry no tag of their own. Format: https://universaldependencies.org/format.html.

    Fetched; raises what `fetch` raises, ValueError for another split.
    """
    if split not in ("dev", "test"):
        raise ValueError(f"no split {split!r} of the treebank here; there are: dev, test")
    sentences: list[list[tuple[str, str]]] = [[]]
    for line in fetch(f"en_ewt-ud-{split}.conllu").read_bytes().decode("utf-8").split("\n"):
        columns = line.split("\t")
        if not line.strip():
            sentences.append([])
        elif columns[0].isdecimal():
            sentences[-1].append((columns[1], columns[3]))
    return [sentence for sentence in sentences if sentence]


def multi30k(split: str = "train", language: str = "en") -> list[str]:
    """Picture captions, line i in English and line i in German meaning the same.

    split: "train" (29,000 lines), "val" (1,014) or "test_2016_flickr" (1,000); language: "en" or
    "de". Fetched; raises what `fetch` raises, ValueError for another split or language.
    """
    name = f"multi30k.{split}.{language}.gz"
    if name not in CORPORA:
        raise ValueError(
            f"no split {split!r} in {language!r}; there are: train, val, test_2016_flickr in en, de"
        )
    text = gzip.decompress(fetch(name).read_bytes()).decode("utf-8")
    return text.removesuffix("\n").split("\n")


def chat_pairs() -> list[tuple[str, str]]:
    """Korean small talk: [(question, answer), ...], 11,823 pairs.

    Fetched; raises what `fetch` raises.
    """
    text = fetch("chatbot_ko.csv").read_bytes().decode("utf-8-sig")
    return [(row["Q"], row["A"]) for row in csv.DictReader(io.StringIO(text, newline=""))]
