"""Corpora are fetched from a server on this machine, which behaves well, badly, or not at all."""

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from course_utils.datasets import corpora
from course_utils.datasets.corpora import CORPORA, Corpus, CorpusError, available, fetch

SHARED = Path(__file__).resolve().parents[2] / "shared" / "datasets"
CONTENT = b"A line that is long enough to be cut in the middle of it.\n" * 4000  # 232 kB
SMALL = Corpus(
    "A small corpus",
    "someone/corpus",
    "0" * 40,
    "a/small.txt",
    "public domain",
    len(CONTENT),
    hashlib.sha256(CONTENT).hexdigest(),
)
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class Server(ThreadingHTTPServer):
    """Answers with `files`; `behaviour` says how."""

    daemon_threads = True
    behaviour = "good"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/someone/corpus/" + "0" * 40 + "/a/small.txt": CONTENT}
        self.asked: list[str] = []
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.asked.append(self.path)
        body = server.files.get(self.path)
        if body is None or server.behaviour == "missing":
            self.send_error(404)
            return
        if server.behaviour == "damaged":
            body = body[:-1] + b"?"
        self.send_response(200)
        if server.behaviour != "half, size untold":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.behaviour.startswith("half"):
            self.wfile.write(body[: len(body) // 2])
        elif server.behaviour == "stalls":
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            time.sleep(30)
        else:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A local server in the publisher's place.

    With it an empty cache in `tmp_path`, and a small corpus in the registry.
    """
    for name in ("COURSE_CORPORA", *PROXIES, *map(str.upper, PROXIES)):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    monkeypatch.setenv("COURSE_CORPORA_URL", server.address)
    monkeypatch.setenv("COURSE_DATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(CORPORA, "small.txt", SMALL)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def kept(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").glob("*"))


def test_good_file_is_fetched_once(
    server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert not available("small.txt")
    assert server.asked == []
    path = fetch("small.txt")
    assert path == tmp_path / "cache" / "small.txt"
    assert path.read_bytes() == CONTENT
    printed, complaint = capfd.readouterr()
    opening = "Fetching A small corpus (0.2 MB, licence: public domain)"
    assert printed == f"{opening} to {path.parent}\n"
    assert complaint == ""
    assert available("small.txt")
    assert fetch("small.txt") == path
    assert len(server.asked) == 1
    assert kept(tmp_path) == ["small.txt"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "behaviour, reason",
    [
        ("damaged", "what arrived is damaged"),
        ("missing", "the server answered 404"),
        ("half", "the connection ended half-way"),
        ("half, size untold", "what arrived is damaged"),
    ],
)
def test_bad_server_then_good(server: Server, tmp_path: Path, behaviour: str, reason: str) -> None:
    server.behaviour = behaviour
    with pytest.raises(CorpusError) as error:
        fetch("small.txt")
    facts = [SMALL.title, SMALL.url(), str(tmp_path / "cache" / "small.txt")]
    for part in (reason, *facts, "calling again tries again", "No lesson needs this file"):
        assert part in str(error.value)
    assert kept(tmp_path) == []
    assert not available("small.txt")
    server.behaviour = "good"
    assert fetch("small.txt").read_bytes() == CONTENT
    assert kept(tmp_path) == ["small.txt"]


@pytest.mark.parametrize("behaviour", ["damaged", "missing", "half", "half, size untold"])
def test_an_older_file_is_not_lost(server: Server, tmp_path: Path, behaviour: str) -> None:
    """The cache holds an earlier edition; the new one replaces it when it has arrived whole."""
    old = tmp_path / "cache" / "small.txt"
    old.parent.mkdir()
    old.write_bytes(b"an earlier edition")
    server.behaviour = behaviour
    with pytest.raises(CorpusError):
        fetch("small.txt")
    assert old.read_bytes() == b"an earlier edition"
    assert kept(tmp_path) == ["small.txt"]
    server.behaviour = "good"
    assert fetch("small.txt").read_bytes() == CONTENT


def test_killed_half_way(server: Server, tmp_path: Path) -> None:
    """A process that is killed amid a download leaves no file under the corpus' name."""
    server.behaviour = "stalls"
    code = (
        "from course_utils.datasets import corpora\n"
        f"corpora.CORPORA['small.txt'] = corpora.{SMALL!r}\n"
        "print(flush=True); corpora.fetch('small.txt')"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL) as child:
        deadline = time.monotonic() + 60
        while not (half := any(path.stat().st_size for path in (tmp_path / "cache").glob("*"))):
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.02)
        child.kill()
    assert half
    assert not available("small.txt")
    assert "small.txt" not in kept(tmp_path)
    server.behaviour = "good"
    assert fetch("small.txt").read_bytes() == CONTENT


def test_offline(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = "http://127.0.0.1:9"  # the port of 'discard': nobody listens
    monkeypatch.setenv("COURSE_CORPORA_URL", nobody)
    with pytest.raises(CorpusError, match=r"cannot be reached \(no network\?\)") as error:
        fetch("small.txt")
    by_hand = "By hand: save that address as"
    for part in (f"Tried {nobody}/someone", by_hand, "No lesson needs this file"):
        assert part in str(error.value)
    assert kept(tmp_path) == []


def test_cache_that_cannot_be_written(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("COURSE_DATA_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(CorpusError, match="it cannot be written"):
        fetch("small.txt")


def test_folder_instead_of_network(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COURSE_CORPORA names a folder: files come from it, verified, and no server is asked."""
    monkeypatch.setenv("COURSE_CORPORA", str(tmp_path))
    missing = r"small.txt is not there.*COURSE_CORPORA is set.*unset COURSE_CORPORA"
    with pytest.raises(CorpusError, match=missing):
        fetch("small.txt")
    (tmp_path / "small.txt").write_bytes(CONTENT[:-1])
    assert not available("small.txt")
    with pytest.raises(CorpusError, match=r"small\.txt is damaged"):
        fetch("small.txt")
    assert (tmp_path / "small.txt").read_bytes() == CONTENT[:-1]
    (tmp_path / "small.txt").write_bytes(CONTENT)
    assert available("small.txt")
    assert fetch("small.txt") == tmp_path / "small.txt"
    assert server.asked == []


def test_needed_and_absent_is_an_error(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_CORPORA_NEEDED", "1")
    needed = r"small.txt is needed here and is not there whole; .*datasets.fetch\('small.txt'\)"
    with pytest.raises(CorpusError, match=needed):
        available("small.txt")
    assert server.asked == []
    assert fetch("small.txt")
    assert available("small.txt")


def test_unknown_names() -> None:
    file = r"no corpus file 'shakespeare'; there are: tinyshakespeare\.txt"
    for function in (fetch, available):
        with pytest.raises(ValueError, match=file):
            function("shakespeare")
    split = "no split 'train' of the treebank here; there are: dev, test"
    with pytest.raises(ValueError, match=split):
        corpora.conllu("train")
    language = "no split 'train' in 'fr'; there are: train, val, test_2016_flickr in en, de"
    with pytest.raises(ValueError, match=language):
        corpora.multi30k("train", "fr")


def test_addresses_are_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSE_CORPORA_URL", raising=False)
    for name, corpus in CORPORA.items():
        assert len(corpus.commit) == 40, name
        assert len(corpus.sha256) == 64, name
        assert corpus.licence, name
        path = f"{corpus.repository}/{corpus.commit}/{corpus.path}"
        assert corpus.url() == f"https://raw.githubusercontent.com/{path}"


def test_conllu_skips_ranges_and_unwritten_words(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [
        "# text = Don't.",
        "1-2 Don't _ _ _",
        "1 Do do AUX VB",
        "2 n't not PART RB",
        "2.1 go go VERB VB",
        "3 . . PUNCT .",
        "",
        "# text = Yes",
        "1 Yes yes INTJ UH",
        "",
        "",
    ]
    lines = [word if word.startswith("#") else word.replace(" ", "\t") for word in words]
    text = "\n".join(lines).encode()
    name = "en_ewt-ud-dev.conllu"
    changed = replace(CORPORA[name], sha256=hashlib.sha256(text).hexdigest())
    monkeypatch.setitem(CORPORA, name, changed)
    server.files[changed.url().removeprefix(server.address)] = text
    assert corpora.conllu("dev") == [
        [("Do", "AUX"), ("n't", "PART"), (".", "PUNCT")],
        [("Yes", "INTJ")],
    ]


# The real files, where this machine has them


@pytest.fixture
def real(server: Server) -> Server:
    if not SHARED.is_dir():
        pytest.skip("the real corpora are not on this machine (../shared/datasets)")
    for name, corpus in CORPORA.items():
        if name != "small.txt":
            server.files[corpus.url().removeprefix(server.address)] = (SHARED / name).read_bytes()
    return server


def test_real_files_through_the_server(real: Server, tmp_path: Path) -> None:
    for name, corpus in CORPORA.items():
        assert fetch(name).stat().st_size == corpus.size, name
        assert available(name)
    assert len(real.asked) == len(CORPORA) == len(kept(tmp_path))


def test_real_shakespeare(real: Server) -> None:
    text = corpora.shakespeare()
    assert len(text) == 1_115_394
    assert len(set(text)) == 65
    assert text.startswith("First Citizen:\nBefore we proceed")


@pytest.mark.parametrize("split, sentences, words", [("dev", 2001, 25_147), ("test", 2077, 25_094)])
def test_real_treebank(real: Server, split: str, sentences: int, words: int) -> None:
    bank = corpora.conllu(split)
    assert len(bank) == sentences
    assert sum(map(len, bank)) == words
    tags = {tag for sentence in bank for _, tag in sentence}
    universal = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"
    assert tags == set(universal.split())


@pytest.mark.parametrize(
    "split, lines", [("train", 29_000), ("val", 1014), ("test_2016_flickr", 1000)]
)
def test_real_captions(real: Server, split: str, lines: int) -> None:
    english, german = corpora.multi30k(split, "en"), corpora.multi30k(split, "de")
    assert len(english) == len(german) == lines
    assert all(english)
    assert all(german)


def test_real_chat(real: Server) -> None:
    pairs = corpora.chat_pairs()
    assert len(pairs) == 11_823
    assert pairs[0] == ("12시 땡!", "하루가 또 가네요.")
    assert all(question and answer for question, answer in pairs)
