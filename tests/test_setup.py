"""course.py and the set-up behind it, with fakes in the place of pip, disk and network."""

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import course
from course_utils.command import publish, store, venv

v4: Any = nbformat.v4


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small course in an empty folder, with a pip that installs nothing and succeeds."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "constraints.txt").write_text("a==1\nb==2\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    for module in (course, venv):
        monkeypatch.setattr(module, "ROOT", tmp_path)
        monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(venv, "has_nvidia", lambda: True)
    monkeypatch.setattr(venv, "pip_is_told", lambda pip: True)
    monkeypatch.setattr(venv, "make_venv", fake_venv)
    pretend(monkeypatch, None)
    return tmp_path


def fake_venv() -> None:
    venv.VENV.mkdir()
    venv.write_stamp("building")
    venv.python().parent.mkdir(parents=True)
    venv.python().write_text("#!/bin/sh\nexit 0\n")
    venv.python().chmod(0o755)


def pretend(monkeypatch: pytest.MonkeyPatch, *answers: str | None) -> list[list[str]]:
    """pip gives these answers in turn (None: it worked), the last for ever; its arguments."""
    calls: list[list[str]] = []

    def run_pip(
        pip: list[str], arguments: list[str], held: int, expected: int, installing: Any
    ) -> str | None:
        calls.append(arguments)
        answer = answers[min(len(calls), len(answers)) - 1]
        if answer is None:
            installing()
        return answer

    monkeypatch.setattr(venv, "run_pip", run_pip)
    return calls


def prepare() -> None:
    venv.prepare(dict(os.environ))


needs_sh = pytest.mark.skipif(os.name == "nt", reason="the pretended Python is a shell script")


# ---- the Python that runs it


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.10"])
def test_an_old_python_says_one_clear_line(version: str) -> None:
    places = [
        shutil.which(f"python{version}"),
        *Path.home().glob(f".pyenv/versions/{version}.*/bin/python"),
    ]
    found = [
        place
        for place in places
        if place and not subprocess.run([place, "-c", ""], capture_output=True).returncode
    ]
    if not found:
        pytest.skip(f"no Python {version} here")
    run = subprocess.run([found[0], course.__file__, "lab"], capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1
    assert version in run.stderr
    assert "3.11 or newer" in run.stderr


def test_the_line_for_old_pythons_without_one_at_hand() -> None:
    code = (
        "import sys; sys.version_info = (3, 9, 1); exec(compile(open(sys.argv[1]).read(),"
        " 'course.py', 'exec'))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, course.__file__], capture_output=True, text=True
    )
    assert run.returncode == 1
    assert run.stderr.startswith("course: this is Python 3.9")
    assert run.stderr.count("\n") == 1


def test_the_set_up_needs_no_package() -> None:
    """-S: without site-packages, as on a machine that has only Python."""
    run = subprocess.run(
        [sys.executable, "-S", course.__file__, "help"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "course.py lab" in run.stdout


# ---- what is already there


@needs_sh
def test_first_start_then_nothing_to_do(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    calls = pretend(monkeypatch, None)
    prepare()
    assert venv.read_stamp() == venv.fingerprint()
    assert "set up" in capsys.readouterr().out
    assert len(calls) == 2
    prepare()
    assert len(calls) == 2
    assert capsys.readouterr().out == ""


@needs_sh
def test_a_half_made_environment_is_made_again(root: Path, capsys: Any) -> None:
    fake_venv()
    (root / ".venv" / "rubble").write_text("")
    prepare()
    assert not (root / ".venv" / "rubble").exists()
    assert venv.read_stamp() == venv.fingerprint()
    assert "half-made" in capsys.readouterr().out


@needs_sh
def test_an_environment_that_is_not_ours_is_kept(root: Path, capsys: Any) -> None:
    (root / ".venv").mkdir()
    (root / ".venv" / "precious").write_text("mine")
    prepare()
    kept = list(root.glob(".venv-before-*"))
    assert len(kept) == 1
    assert (kept[0] / "precious").read_text() == "mine"
    assert kept[0].name in capsys.readouterr().out


@needs_sh
def test_new_pins_update_in_place_and_failure_keeps_the_old(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare()
    (root / ".venv" / "still here").write_text("")
    old = venv.read_stamp()
    (root / "constraints.txt").write_text("a==3\n")
    pretend(
        monkeypatch, None, "NewConnectionError"
    )  # setuptools is there; the network goes before pip changes anything
    with pytest.raises(venv.Trouble, match="connect to the internet"):
        prepare()
    assert venv.read_stamp() == old
    pretend(monkeypatch, None)
    prepare()
    assert venv.read_stamp() == venv.fingerprint() != old
    assert (root / ".venv" / "still here").exists()


@needs_sh
def test_another_python_or_folder_means_a_new_environment(root: Path) -> None:
    prepare()
    (root / ".venv" / "rubble").write_text("")
    venv.write_stamp((venv.read_stamp() or "").replace(f" {sys.version_info[0]}.", " 2."))
    prepare()
    assert not (root / ".venv" / "rubble").exists()


def test_line_ends_do_not_count(root: Path) -> None:
    before = venv.fingerprint()
    (root / "constraints.txt").write_bytes(b"a==1\r\nb==2\r\n")
    assert venv.fingerprint() == before
    (root / "constraints.txt").write_bytes(b"a==1\nb==3\n")
    assert venv.fingerprint() != before


# ---- what can go wrong


@pytest.mark.parametrize(
    "words, advice",
    [
        (
            (
                "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on"
                " device"
            ),
            "the disk is full",
        ),
        ("OSError: [WinError 112] There is not enough space on the disk", "the disk is full"),
        (
            (
                "WARNING: Retrying (Retry(total=1)) after connection broken by"
                " 'NewConnectionError('<...>: Failed to establish a new connection: [Errno -3]"
                " Temporary failure in name resolution')'\nERROR: Could not find a version"
            ),
            "connect to the internet",
        ),
        ("socket.gaierror: [Errno 11001] getaddrinfo failed", "connect to the internet"),
        (
            "pip._vendor.urllib3.exceptions.ReadTimeoutError: Read timed out.",
            "connect to the internet",
        ),
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
            "arrived damaged",
        ),
        (
            "ProtocolError('Connection broken: IncompleteRead(12 bytes read, 34 more expected)')",
            "arrived damaged",
        ),
        ("ERROR: Wheel 'torch' located at /tmp/torch.whl is invalid.", "arrived damaged"),
        ("ERROR: No matching distribution found for torch==2.13.0", "3.11, 3.12 or 3.13"),
        ("PermissionError: [Errno 13] Permission denied: '.venv'", "no right to write"),
        ("something never seen", ".venv-setup.log"),
    ],
)
def test_each_trouble_has_its_own_advice(words: str, advice: str) -> None:
    assert advice in venv.cause(words)[1]
    assert "\n" not in venv.cause(words)[1]


def test_a_full_disk_is_noticed_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(venv, "ROOT", tmp_path)
    monkeypatch.setattr(venv, "VENV", tmp_path / ".venv")
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1_200_000_000))
    with pytest.raises(venv.Trouble, match=r"1\.2 GB left"):
        venv.make_venv()
    assert not (tmp_path / ".venv").exists()


def test_no_network_is_one_line_and_an_exit_status(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    pretend(monkeypatch, "NewConnectionError")
    assert course.main(["store"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "course: the packages cannot be reached: connect to the internet (or tell pip its proxy),"
        " then start again"
    ]
    assert venv.read_stamp() == "building"


@needs_sh
def test_a_damaged_download_is_fetched_once_more(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = pretend(monkeypatch, "is not a zip file", None)
    prepare()
    assert "--no-cache-dir" not in calls[0]
    assert "--no-cache-dir" in calls[-1]
    shutil.rmtree(root / ".venv")
    pretend(monkeypatch, "is not a zip file")
    with pytest.raises(venv.Trouble, match="damaged twice"):
        prepare()


def test_what_pip_says_reaches_the_reader_and_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(venv, "ROOT", tmp_path)
    fake = tmp_path / "pip.py"
    fake.write_text(
        "print('Collecting torch==2.13.0')\nprint('  Downloading torch-2.13.0.whl (180.1"
        " MB)')\nprint('Installing collected packages: torch, numpy')\nprint('[Errno 28]')\nraise"
        " SystemExit(2)\n"
    )
    begun: list[bool] = []
    words = venv.run_pip(
        [sys.executable, str(fake)],
        [],
        os.dup(0) if os.name != "nt" else 0,
        2,
        lambda: begun.append(True),
    )
    assert begun == [True]
    assert venv.cause(words or "")[0] == "disk"
    shown = capsys.readouterr().out
    assert "package 1 of about 2: torch-2.13.0.whl (180.1 MB)" in shown
    assert "installing 2 packages" in shown
    assert "[Errno 28]" in (tmp_path / ".venv-setup.log").read_text()


def test_two_starts_do_not_set_up_together(root: Path, capsys: Any) -> None:
    order: list[str] = []

    def second() -> None:
        with venv.lock():
            order.append("second")

    with venv.lock():
        other = threading.Thread(target=second)
        other.start()
        time.sleep(0.3)
        order.append("first")
    other.join(5)
    assert order == ["first", "second"]
    assert "waiting" in capsys.readouterr().out


def test_a_lock_whose_holder_died_is_free(root: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from course_utils.command import venv as s;"
        " s.ROOT = Path(sys.argv[1])\nwith s.lock(): os._exit(9)"
    )
    course_folder = Path(course.__file__).parent
    assert (
        subprocess.run([sys.executable, "-c", code, str(root)], cwd=course_folder).returncode == 9
    )
    with venv.lock():
        pass


# ---- where PyTorch comes from


@pytest.mark.parametrize(
    "system, gpu, told, reachable, index, says",
    [
        ("linux", False, False, True, True, "CPU"),
        ("linux", False, False, False, False, "cannot be reached"),
        ("linux", False, True, True, False, ""),
        ("linux", True, False, True, False, ""),
        ("darwin", False, False, True, False, ""),
        ("win32", False, False, True, False, ""),
    ],
)
def test_where_pytorch_comes_from(
    system: str, gpu: bool, told: bool, reachable: bool, index: bool, says: str
) -> None:
    asked: list[bool] = []
    arguments, remark = venv.torch_index(system, gpu, told, lambda: asked.append(True) or reachable)
    assert arguments == (["--extra-index-url", venv.CPU_INDEX] if index else [])
    assert says in remark
    assert bool(remark) == bool(says)
    assert bool(asked) == (system == "linux" and not gpu and not told)


@pytest.mark.parametrize(
    "variable, told",
    [("PIP_FIND_LINKS", True), ("PIP_EXTRA_INDEX_URL", True), ("PIP_TIMEOUT", False)],
)
def test_pips_own_settings_are_seen(
    variable: str, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv(variable, "7")
    assert venv.pip_is_told([sys.executable, "-m", "pip"]) is told


# ---- reset


def notebook(path: Path, *sources: str) -> Path:
    cells = [v4.new_code_cell(source, id=f"cell-{number}") for number, source in enumerate(sources)]
    nbformat.write(v4.new_notebook(cells=cells), path)
    return path


def git(root: Path, *words: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@y", *words],
        cwd=root,
        check=True,
        capture_output=True,
    )


@pytest.fixture(params=["with git", "without git"])
def lesson(request: Any, root: Path) -> Path:
    """A published lesson 05, in a clone or in a download without git, before the first start."""
    path = notebook(root / "notebooks" / "05_bptt.ipynb", "1 + 1")
    publish.publish(root, ["notebooks/05_bptt.ipynb"])
    if request.param == "with git":
        if shutil.which("git") is None:
            pytest.skip("no git here")
        git(root, "init")
        git(root, "add", "notebooks")
        git(root, "commit", "-m", "x")
    return path


def test_reset_brings_back_the_published_lesson_and_keeps_the_readers(
    root: Path, lesson: Path, capsys: Any
) -> None:
    published = lesson.read_bytes()
    assert course.main(["reset", "5"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert (root / ".published").exists() != (root / ".git").exists()
    lesson.write_bytes(b"my evening's work")
    assert course.main(["reset", "5"]) == 0
    kept = list((root / "notebooks").glob("05_bptt.mine-*.ipynb"))
    assert lesson.read_bytes() == published
    assert [file.read_bytes() for file in kept] == [b"my evening's work"]
    assert course.lessons([])[0] == ["notebooks/05_bptt.ipynb"], "the reader's copy is no lesson"
    assert course.main(["reset", "05"]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_reset_brings_back_a_lesson_whose_edits_were_committed(root: Path, lesson: Path) -> None:
    if not (root / ".git").exists():
        return
    published = lesson.read_bytes()
    for homework in (b"first evening", b"second evening"):
        lesson.write_bytes(homework)
        git(root, "commit", "-am", "mine")
    assert course.main(["reset", "05"]) == 0
    assert lesson.read_bytes() == published
    (kept,) = (root / "notebooks").glob("05_bptt.mine-*.ipynb")
    assert kept.read_bytes() == b"second evening"


def test_a_download_that_was_edited_before_its_first_start_says_so(
    root: Path, lesson: Path, capsys: Any
) -> None:
    if (root / ".git").exists():
        return
    lesson.write_bytes(b"edited in another program")
    assert course.main(["reset", "05"]) == 1
    assert "download the course again" in capsys.readouterr().err
    assert lesson.read_bytes() == b"edited in another program"
    assert sorted(file.name for file in lesson.parent.iterdir()) == [
        "05_bptt.ipynb",
        "published.json",
    ]


def test_a_lesson_that_was_deleted_comes_back(root: Path, lesson: Path) -> None:
    published = lesson.read_bytes()
    publish.keep_copies(root, ["notebooks/05_bptt.ipynb"])
    lesson.unlink()
    assert "as published" in publish.restore(root, "notebooks/05_bptt.ipynb")
    assert lesson.read_bytes() == published


def test_the_list_of_published_lessons_is_that_of_the_lessons() -> None:
    """Where a change is proposed; a reader's own edits are no fault."""
    if not os.environ.get("CI"):
        return
    folder = Path(course.__file__).parent
    known = publish.sums(folder)
    paths = [
        path for path in (folder / "notebooks").glob("[0-9][0-9]_*.ipynb") if "." not in path.stem
    ]
    assert sorted(known) == sorted(path.name for path in paths)
    wrong = [path.name for path in paths if publish.checksum(path.read_bytes()) != known[path.name]]
    assert not wrong, "course.py store notes them"


# ---- --here


def fake_home(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    monkeypatch.setattr(venv, "cache_folder", lambda: folder)
    return folder / "from-tokens-to-transformers" / "jupyter"


def test_the_private_folder_is_the_users_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wanted = fake_home(monkeypatch, tmp_path)
    assert venv.private_folder() == wanted
    if os.name != "nt":
        wanted.chmod(0o777)
        assert stat.S_IMODE(venv.private_folder().stat().st_mode) == 0o700


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such owner")
def test_a_private_folder_of_somebody_else_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wanted = fake_home(monkeypatch, tmp_path)
    venv.private_folder()
    monkeypatch.setattr(os, "geteuid", lambda: wanted.stat().st_uid + 1)
    with pytest.raises(venv.Trouble, match="is not yours"):
        venv.private_folder()
    monkeypatch.undo()
    fake_home(monkeypatch, tmp_path / "other")
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "other" / "from-tokens-to-transformers" / "jupyter"
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(venv.Trouble, match="is not yours"):
        venv.private_folder()


def test_here_in_a_second_copy_is_told(tmp_path: Path) -> None:
    """A copy whose Python has the course_utils of another folder, installed from there."""
    folder = Path(course.__file__).parent
    copy = tmp_path / "second copy"
    (copy / "notebooks").mkdir(parents=True)
    shutil.copy(folder / "course.py", copy)
    shutil.copytree(folder / "course_utils", copy / "course_utils")
    command = [sys.executable, "course.py", "--here", "progress"]
    ran = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert "takes course_utils from another copy" in ran.stderr
    assert "pip install --editable ." in ran.stderr


@pytest.mark.parametrize(
    "words, says",
    [
        (["reset", "44"], "there is no lesson 44; there are 05"),
        (["reset"], "say which lessons"),
        (["lab", "--ServerApp.token="], "lab knows one lesson's number"),
        (["lab", "--ServerApp.ip=0.0.0.0"], "lab knows one lesson's number"),
        (["setup", "05"], "setup makes .venv, and takes nothing else"),
        (["progress", "05"], "progress shows all lessons"),
        (["store", "--force"], "store knows lessons' numbers, --times and --corpora, not: --force"),
    ],
)
def test_wrong_words_get_one_clear_line(
    root: Path, words: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    notebook(root / "notebooks" / "05_bptt.ipynb", "1 + 1")
    monkeypatch.setattr(course, "prepare", lambda environment: None)
    assert course.main(words) == 1
    assert says in capsys.readouterr().err


# ---- lab, test


def test_lab_listens_on_loopback_with_a_token_and_does_not_save_by_itself(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook(root / "notebooks" / "00_start_here.ipynb", "1 + 1")
    seen: list[tuple[str, ...]] = []
    monkeypatch.setattr(course, "run", lambda *words: seen.append(words) or 0)
    monkeypatch.setenv("JUPYTER_TOKEN", "")
    assert course.lab(["--no-browser"]) == 0
    options = dict(word.split("=", 1) for word in seen[-1] if "=" in word)
    assert options["--ServerApp.ip"] == "127.0.0.1"
    assert not any("token" in word or "password" in word for word in options)
    assert options["--LabApp.default_url"] == "/lab/tree/notebooks/00_start_here.ipynb"
    overrides = json.loads(
        (Path(options["--LabApp.app_settings_dir"]) / "overrides.json").read_text()
    )
    assert overrides["@jupyterlab/docmanager-extension:plugin"] == {"autosave": False}
    child = course.environment()
    assert "JUPYTER_TOKEN" not in child
    assert child["JUPYTER_NO_CONFIG"] == "1"


@pytest.mark.parametrize(
    "attributes, status, line",
    [
        ('tests="9" failures="0" errors="0" skipped="0"', 0, ("9 passed, 0 failed", 0)),
        ('tests="9" failures="2" errors="1" skipped="1"', 1, ("5 passed, 3 failed, 1 skipped", 1)),
        ('tests="9" failures="0" errors="0" skipped="0"', 3, ("9 passed, 1 failed", 3)),
        (None, 4, ("0 passed, 1 failed", 4)),
        (None, 0, ("0 passed, 1 failed", 1)),
    ],
)
def test_the_last_line_counts(
    tmp_path: Path, attributes: str | None, status: int, line: tuple[str, int]
) -> None:
    if attributes:
        (tmp_path / "report.xml").write_text(f"<testsuites><testsuite {attributes}/></testsuites>")
    assert course.count(str(tmp_path / "report.xml"), status) == line


# ---- store


def test_store_writes_what_is_stable_and_the_same_each_time(tmp_path: Path) -> None:
    path = notebook(tmp_path / "01_x.ipynb", "print('seen')", "1 + 1")
    assert store.main([str(path)]) == 0
    once = path.read_bytes()
    assert store.main([str(path)]) == 0
    assert path.read_bytes() == once
    assert list(tmp_path.iterdir()) == [path]
    stored = json.loads(once)
    assert stored["metadata"] == {"kernelspec": store.KERNEL, "language_info": store.LANGUAGE}
    assert [cell["id"] for cell in stored["cells"]] == ["cell-0", "cell-1"]
    assert stored["cells"][1]["outputs"][0]["data"]["text/plain"] == ["2"]
    assert "execution" not in stored["cells"][0]["metadata"]


def test_store_writes_nothing_when_a_cell_fails_or_only_times_are_asked(
    tmp_path: Path, capsys: Any
) -> None:
    bad, good = (
        notebook(tmp_path / "01_bad.ipynb", "1 + 1", "1 / 0"),
        notebook(tmp_path / "02_good.ipynb", "1 + 1"),
    )
    before = bad.read_bytes(), good.read_bytes()
    assert store.main(["--times", str(bad), str(good)]) == 1
    printed = capsys.readouterr()
    assert "01_bad.ipynb: a cell failed, nothing was written" in printed.err
    assert "ZeroDivisionError" in printed.err
    assert " s " in printed.out
    assert " MB" in printed.out
    assert store.main([str(bad)]) == 1
    assert (bad.read_bytes(), good.read_bytes()) == before


CORPUS = """import os
from pathlib import Path
from course_utils.datasets.corpora import CORPORA
place = os.environ.get("COURSE_CORPORA", "")
print("a corpus is here" if any((Path(place) / name).exists() for name in CORPORA) else "none")
"""


def with_corpora(path: Path) -> Path:
    """A lesson with two plain cells and, between them, two that need a corpus."""
    notebook(path, "2 + 3", CORPUS, "3 + 4", "1 + 1")
    lesson: Any = nbformat.read(path, as_version=4)
    for cell in lesson.cells[1:3]:
        cell.metadata["tags"] = ["nbval-skip"]
    nbformat.write(lesson, path)
    return path


def shown(path: Path) -> list[str]:
    """What the cells of a stored lesson say."""
    outputs = [
        output for cell in json.loads(path.read_text())["cells"] for output in cell["outputs"]
    ]
    return [
        "".join(output.get("text") or output["data"]["text/plain"]).strip() for output in outputs
    ]


def test_store_keeps_what_needs_a_corpus_and_with_corpora_stores_exactly_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    folder = tmp_path / "corpora"
    folder.mkdir()
    (folder / "tinyshakespeare.txt").write_text("")
    monkeypatch.setenv("COURSE_CORPORA", str(folder))
    path = with_corpora(tmp_path / "01_x.ipynb")
    assert store.main([str(path)]) == 0
    assert shown(path) == [
        "5",
        "2",
    ], "a plain run finds no corpus, and stores nothing where one is needed"
    assert "no stored output (course.py store --corpora): cell-1" in capsys.readouterr().out
    assert store.main(["--corpora", str(path)]) == 0
    assert shown(path) == ["5", "a corpus is here", "7", "2"]
    assert "2 cells need a corpus, changed: cell-1" in capsys.readouterr().out
    once = path.read_bytes()
    for options in ([], ["--corpora"], ["--corpora", "--times"], []):
        assert store.main([*options, str(path)]) == 0
        assert path.read_bytes() == once
    assert "all say what was stored" in capsys.readouterr().out

    lesson: Any = nbformat.read(path, as_version=4)
    lesson.cells[0].source, lesson.cells[1].source, lesson.cells[3].source = (
        "2 + 4",
        "print('new')",
        "1 + 2",
    )
    nbformat.write(lesson, path)
    assert store.main(["--corpora", "--times", str(path)]) == 0
    assert "changed: cell-1" in capsys.readouterr().out
    assert store.main(["--corpora", str(path)]) == 0
    assert shown(path) == ["5", "new", "7", "2"]
    assert store.main([str(path)]) == 0
    assert shown(path) == ["6", "new", "7", "3"]


def test_a_corpus_that_is_needed_and_absent_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("COURSE_CORPORA", str(tmp_path))
    path = notebook(
        tmp_path / "01_x.ipynb",
        "from course_utils import datasets\ndatasets.available('chatbot_ko.csv')",
    )
    assert store.main(["--times", str(path)]) == 0
    assert store.main(["--corpora", str(path)]) == 1
    assert "chatbot_ko.csv is needed here and is not there whole" in capsys.readouterr().err


def test_every_cell_that_needs_a_corpus_has_its_result_stored() -> None:
    for path in sorted((Path(course.__file__).parent / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        lesson: Any = nbformat.read(path, as_version=4)
        for cell in filter(store.needs_corpus, lesson.cells):
            shows = "print(" in cell.source or "show(" in cell.source
            assert "not here" not in store.says(cell), (
                f"{path.name}, {cell.id}: course.py store --corpora"
            )
            assert cell.outputs or not shows, f"{path.name}, {cell.id}: course.py store --corpora"
