"""Makes the folder .venv with all that the course needs.

The standard library alone: it runs before anything is installed.

A stamp, written as the last act, says what the environment was made from. A start that finds the
right stamp has nothing to do; one that finds the stamp "building" knows a half-made environment and
makes it again.
"""

import contextlib
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
GIGABYTES = 3  # free space that a new environment needs
CAUSES = [  # what pip or Python says -> what is wrong and what to do; the first that fits counts
    (
        "disk",
        r"No space left|Errno 28\b|not enough space on the disk|WinError 112|[Qq]uota exceeded",
        f"the disk is full: free {GIGABYTES} GB, then start again",
    ),
    (
        "damaged",
        r"DO NOT MATCH THE HASHES|IncompleteRead|incomplete-download|Connection broken|BadZipFile|"
        r"not a zip file|[Ww]heel .*is invalid|invalid wheel|Bad CRC|while decompressing",
        "a download arrived damaged twice: start again, on another network if it stays so",
    ),
    (
        "network",
        r"NewConnectionError|NameResolutionError|ConnectTimeout|Failed to establish|name"
        r" resolution|"
        r"getaddrinfo|Network is unreachable|[Tt]imed out|ProxyError|Max retries|SSLError|"
        r"Connection refused|Connection aborted",
        (
            "the packages cannot be reached: connect to the internet (or tell pip its proxy), then"
            " start again"
        ),
    ),
    (
        "rights",
        r"Permission denied|Errno 13\b|WinError (5|32)\b|Access is denied|Read-only file system",
        (
            "no right to write here: close what uses .venv, or move the course to a folder of your"
            " own, then start again"
        ),
    ),
    (
        "path",
        r"[Ll]ong [Pp]ath",
        (
            "Windows allows no longer names of files: move the course to a short folder such as "
            "C:\\course"
        ),
    ),
    (
        "missing",
        r"No matching distribution|Could not find a version|requires a different Python",
        (
            f"a package does not exist for Python {platform.python_version()} on"
            f" {platform.system()} {platform.machine()}: start with Python 3.11, 3.12 or 3.13, on"
            " Linux, Windows, or a Mac with an Apple chip"
        ),
    ),
]


class Trouble(Exception):
    """Something that the reader can put right; its text is one line that says how."""


def say(text: str) -> None:
    """A line for the reader, over the line of progress where there is one."""
    print(f"\r{'course: ' + text:78}" if sys.stdout.isatty() else "course: " + text, flush=True)


def cause(words: str) -> tuple[str, str]:
    """(kind of trouble, advice) for what a program said before it failed."""
    for kind, pattern, advice in CAUSES:
        if re.search(pattern, words):
            return kind, advice
    return (
        "other",
        (
            "pip failed, and its words are in .venv-setup.log: start again, and report them if it"
            " stays so"
        ),
    )


def cache_folder() -> Path:
    """Where the system wants a program's own files of this user."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def private_folder() -> Path:
    """The user's own folder for Jupyter's and IPython's files, for `--here`.

    What stands in it is run by every kernel, so it is this user's alone (mode 0700). Raises Trouble
    for one that belongs to somebody else, or is a link.
    """
    folder = cache_folder() / "from-tokens-to-transformers" / "jupyter"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = os.lstat(folder)
        is_own = stat.S_ISDIR(status.st_mode) and (os.name == "nt" or status.st_uid == os.geteuid())
        if is_own:
            folder.chmod(0o700)
    except OSError as error:
        raise Trouble(f"no folder of your own for Jupyter's files: {error}") from None
    if not is_own:
        raise Trouble(
            f"{folder} is not yours (another user's, or a link): remove it, then start again"
        )
    return folder


def python() -> Path:
    """The environment's own Python."""
    return VENV / "Scripts" / "python.exe" if os.name == "nt" else VENV / "bin" / "python"


def fingerprint() -> str:
    """What an environment is made from: "hash Python platform machine folder".

    When it changes, the set-up runs again.
    """
    made_from = [
        (ROOT / name).read_text(encoding="utf-8") for name in ("constraints.txt", "pyproject.toml")
    ]
    version = ".".join(map(str, sys.version_info[:2]))
    return (
        f"{hashlib.sha256(''.join(made_from).encode()).hexdigest()} {version} {sys.platform}"
        f" {platform.machine()} {ROOT}"
    )


def read_stamp() -> str | None:
    """The stamp in .venv, or None when there is none (no environment, or one that is not ours)."""
    try:
        return (VENV / "course-stamp").read_text(encoding="utf-8")
    except OSError:
        return None


def write_stamp(stamp: str) -> None:
    (VENV / "course-stamp.new").write_text(stamp, encoding="utf-8")
    os.replace(VENV / "course-stamp.new", VENV / "course-stamp")


@contextlib.contextmanager
def lock() -> Iterator[int]:
    """One set-up at a time; gives the lock's file number.

    The system frees the lock when its holder ends, however it ends.
    """
    with open(ROOT / ".venv.lock", "a+") as handle:
        waited = False
        while True:
            try:
                if sys.platform == "win32":
                    import msvcrt

                    handle.seek(0)
                    msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
                else:
                    import fcntl

                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if not waited:
                    say("another start is setting up; waiting for it")
                waited = True
                time.sleep(0.5)
        yield handle.fileno()


def torch_index(
    system: str, has_gpu: bool, is_told: bool, reachable: Callable[[], bool]
) -> tuple[list[str], str]:
    """(pip arguments, remark): where PyTorch comes from.

    `is_told`: pip's settings already say where packages are.
    """
    if system != "linux" or has_gpu or is_told:
        return [], ""
    if reachable():
        return [
            "--extra-index-url",
            CPU_INDEX,
        ], "no NVIDIA GPU here: taking PyTorch's smaller build for CPUs"
    return (
        [],
        (
            f"{CPU_INDEX} cannot be reached: carrying on with what pip finds, perhaps a build for"
            " GPUs of several GB"
        ),
    )


def has_nvidia() -> bool:
    return shutil.which("nvidia-smi") is not None or os.path.exists("/proc/driver/nvidia")


def cpu_index_answers() -> bool:
    try:
        with urllib.request.urlopen(f"{CPU_INDEX}/torch/", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def pip_is_told(pip: list[str]) -> bool:
    settings = subprocess.run(
        [*pip, "config", "list"], stdout=subprocess.PIPE, encoding="utf-8", errors="replace"
    ).stdout
    return re.search(r"(find-links|index-url|no-index)\W*=", settings) is not None


def show(line: str) -> None:
    """Progress: one line that changes on a terminal, a line each elsewhere."""
    print(
        f"\r  {line[:76]:76}" if sys.stdout.isatty() else f"  {line}",
        end="" if sys.stdout.isatty() else "\n",
        flush=True,
    )


def has_own_pip() -> bool:
    """Whether Python can put pip into an environment.

    Debian leaves that part out; then the machine's own pip serves.
    """
    return importlib.util.find_spec("ensurepip") is not None


def base_python() -> str:
    """The Python that this one comes from, where this one is itself an environment's."""
    return getattr(sys, "_base_executable", None) or sys.executable


def pip_command() -> list[str]:
    return (
        [str(python()), "-m", "pip"]
        if has_own_pip()
        else [base_python(), "-m", "pip", f"--python={python()}"]
    )


def run_pip(
    pip: list[str], arguments: list[str], held: int, expected: int, installing: Callable[[], None]
) -> str | None:
    """Run `pip install` and show how far it is; None when it worked, else what it said.

    `expected`: about how many packages there are; `installing` is called before pip changes
    anything.
    """
    command = [
        *pip,
        "install",
        "--progress-bar=off",
        "--no-input",
        "--retries=2",
        "--disable-pip-version-check",
        *arguments,
    ]
    inherit = (
        () if os.name == "nt" else (held,)
    )  # a pip that outlives us keeps the lock, so that it is waited for
    words, seen, shown, pause = [], 0, 0.0, 0.1 if sys.stdout.isatty() else 15
    with (
        open(ROOT / ".venv-setup.log", "a", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            pass_fds=inherit,
        ) as child,
    ):
        assert child.stdout is not None
        for line in child.stdout:
            log.write(line)
            words.append(line)
            at = re.match(
                r"\s*(Collecting|Processing|Downloading|Using cached) ([^\s;<>=!\[~]+)( \(.*B\))?",
                line,
            )
            seen += line.startswith(("Collecting", "Processing"))
            if line.startswith("Installing collected packages"):
                installing()
                if expected:
                    show(f"installing {line.count(',') + 1} packages")
            elif (
                at
                and expected
                and (re.search(r"\(\d\d[\d.]* MB|GB\)", line) or time.monotonic() - shown > pause)
            ):
                shown = time.monotonic()
                show(
                    f"package {min(seen, expected)} of about {expected}:"
                    f" {at[2].rsplit('/', 1)[-1]}{at[3] or ''}"
                )
    return "".join(words) if child.returncode else None


def install(pip: list[str], held: int) -> None:
    """The pinned packages, and course_utils so that an edit of it counts at once.

    A damaged download is fetched once more.
    """
    expected = (ROOT / "constraints.txt").read_text(encoding="utf-8").count("==")
    index, remark = torch_index(sys.platform, has_nvidia(), pip_is_told(pip), cpu_index_answers)
    if remark:
        say(remark)
    (ROOT / ".venv-setup.log").write_text("", encoding="utf-8")
    pins = ["--constraint=constraints.txt", *index]
    while True:
        words = run_pip(pip, [*pins, "setuptools"], held, 0, lambda: None) or run_pip(
            pip,
            [*pins, "--no-build-isolation", "--editable=.[test]"],
            held,
            expected,
            lambda: write_stamp("building"),
        )
        if words is None:
            return
        kind, advice = cause(words)
        if kind != "damaged" or "--no-cache-dir" in pins:
            raise Trouble(advice)
        say("a download arrived damaged: fetching once more, past pip's store")
        pins.append("--no-cache-dir")


def make_venv() -> None:
    """An environment with nothing in it but pip."""
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < GIGABYTES:
        raise Trouble(
            f"the disk has {free:.1f} GB left and the set-up needs {GIGABYTES}: free some, then"
            " start again"
        )
    VENV.mkdir()
    write_stamp("building")
    creation = subprocess.run(
        [base_python(), "-m", "venv", *([] if has_own_pip() else ["--without-pip"]), str(VENV)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    if creation.returncode:
        kind, advice = cause(creation.stdout)
        raise Trouble(
            advice
            if kind != "other"
            else (
                "Python's own venv failed: install it (Debian, Ubuntu: sudo apt install"
                " python3-venv), then start again"
            )
        )


def prepare(environment: dict[str, str]) -> None:
    """Make .venv ready where it is not, and say what was done.

    Trouble: one line that says what the reader can do.
    """
    if read_stamp() == fingerprint() and python().exists():
        return
    start = time.monotonic()
    with lock() as held:
        stamp, expected = read_stamp(), fingerprint()
        if stamp == expected and python().exists():
            return  # the start that we waited for has done it
        if stamp and stamp.split()[1:] == expected.split()[1:] and python().exists():
            say("the list of packages has changed: bringing .venv up to date")
        else:
            if stamp:
                say("this .venv is half-made, or of another Python or folder: making it again")
                shutil.rmtree(VENV)
            elif os.path.lexists(VENV):
                backup = VENV.with_name(f".venv-before-{time.strftime('%Y%m%d-%H%M%S')}")
                say(f"this .venv was not made by course.py: it is kept as {backup.name}")
                VENV.rename(backup)
            say("first start: setting up .venv (some minutes, some 0.5 GB to fetch)")
            make_venv()
        install(pip_command(), held)
        show("trying what was installed")
        tried = subprocess.run(
            [
                python(),
                "-c",
                "import course_utils, jupyterlab, matplotlib.pyplot, nbclient, sklearn, torch",
            ],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        if tried.returncode:
            write_stamp("building")
            raise Trouble(
                f"what was installed does not work ({tried.stdout.strip().splitlines()[-1]}): start"
                " again"
            )
        write_stamp(expected)
        (ROOT / ".venv-setup.log").unlink(missing_ok=True)
    count = sum(1 for _ in VENV.glob("[Ll]ib/**/*.dist-info"))
    say(
        f"set up {count} packages in .venv for Python {expected.split()[1]} in"
        f" {time.monotonic() - start:.0f} s"
    )
