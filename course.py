#!/usr/bin/env python3
"""Set up, open, test and care for the course.

    python3 course.py lab [NN] [--no-browser] [--port N]
                                      open JupyterLab at lesson 00 (or NN)
    python3 course.py test [NN ...]   run all tests and check every notebook (or only those of
                                      lessons NN); other arguments go to pytest, e.g. -k grammar
    python3 course.py reset NN ...    bring a lesson back to its published state;
                                      your own version is kept beside it
    python3 course.py store [NN ...]  for authors: run lessons in fresh kernels and store their
                                      outputs; with --times only measure, write nothing
    python3 course.py bench           run the benchmarks (tests/bench_*.py)
    python3 course.py setup           only make the environment

The first start makes the folder .venv with all that the course needs; later starts find it.
With --here after the file name (course.py --here test) nothing is set up and the Python that
runs this file is used as it is, for example in a conda environment.
"""
from __future__ import print_function

import sys

if sys.version_info < (3, 11):
    sys.exit("course.py: this is Python %d.%d, and the course needs Python 3.11 or newer: install it, then "
             "start again with that one, for example: python3.13 course.py lab" % sys.version_info[:2])

# The standard library only, and syntax that old Pythons can read, so that the line above is all they say.
import contextlib
import datetime
import glob
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.request
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
LOG = os.path.join(ROOT, ".venv-setup.log")
PUBLISHED = os.path.join(ROOT, ".published")
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
LESSON = re.compile(r"(\d\d)_[a-z0-9_]+\.ipynb$")     # a reader's copy, 05_bptt.mine-....ipynb, is none
GIGABYTES = 3                                         # free space that a new environment needs

# What pip says -> what went wrong, and what to do about it (the first that fits counts).
CAUSES = [
    ("disk", r"No space left on device|Errno 28\b|not enough space on the disk|WinError 112|quota exceeded",
     "the disk is full: free about %d GB, then start again" % GIGABYTES),
    ("damaged", r"DO NOT MATCH THE HASHES|IncompleteRead|incomplete-download|Connection broken|BadZipFile|"
     r"not a zip file|[Ww]heel .*is invalid|invalid wheel|Bad CRC|Error -\d while decompressing",
     "a download arrived damaged twice: start again, on another network if it stays so"),
    ("network", r"NewConnectionError|Failed to establish|name resolution|getaddrinfo|Name or service not known|"
     r"nodename nor servname|Network is unreachable|[Tt]imed out|ProxyError|Max retries|SSLError|Connection refused|"
     r"NameResolutionError|ConnectTimeout",
     "the packages cannot be reached: connect to the internet (or set pip's proxy), then start again"),
    ("rights", r"Permission denied|Errno 13\b|WinError 5\b|Access is denied",
     "no right to write here: move the course to a folder of your own (and close programs that use .venv)"),
    ("missing", r"No matching distribution|Could not find a version",
     "a package does not exist for this Python (%s) and machine (%s): try Python 3.11, 3.12 or 3.13"
     % (platform.python_version(), platform.machine())),
]


class Trouble(Exception):
    """Something that the reader can put right; the text is one line that says how."""


def say(text):
    print("course: " + text, flush=True)


# ---------------------------------------------------------------- set-up

def venv_python():
    return os.path.join(VENV, "Scripts", "python.exe") if os.name == "nt" else os.path.join(VENV, "bin", "python")


def fingerprint():
    """What the environment was made from: when this changes, the set-up runs again."""
    digest = hashlib.sha256()
    for name in ("constraints.txt", "pyproject.toml"):
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read().replace(b"\r\n", b"\n"))
    return "%s python%d.%d %s %s %s" % (
        (digest.hexdigest(),) + sys.version_info[:2] + (sys.platform, platform.machine(), ROOT))


def read_stamp():
    """The fingerprint written as the last act of a set-up; 'building' in a half-made .venv; None in none of ours."""
    try:
        with open(os.path.join(VENV, "course-stamp"), encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None


def write_stamp(text):
    temporary = os.path.join(VENV, "course-stamp.new")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, os.path.join(VENV, "course-stamp"))


@contextlib.contextmanager
def lock():
    """One set-up at a time. The system lets go of the lock when its holder ends, however it ends."""
    handle = open(os.path.join(ROOT, ".venv.lock"), "a+")
    waited = False
    while True:
        try:
            if os.name == "nt":
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
    with handle:
        yield handle


def torch_index(system, has_gpu, pip_is_told, reachable):
    """Extra pip arguments for PyTorch, and a line to say (or None). `reachable` is asked only when it matters."""
    if system != "linux" or has_gpu or pip_is_told:
        return [], None
    if reachable():
        return ["--extra-index-url", CPU_INDEX], "no NVIDIA GPU here: taking PyTorch's smaller CPU build"
    return [], ("PyTorch's own CPU index cannot be reached: carrying on with what pip finds, "
                "which may be a build for GPUs of several GB")


def has_nvidia():
    return shutil.which("nvidia-smi") is not None or os.path.exists("/proc/driver/nvidia")


def cpu_index_answers():
    try:
        with urllib.request.urlopen(CPU_INDEX + "/torch/", timeout=5) as answer:
            return answer.status == 200
    except (OSError, ValueError):
        return False


def pip_is_told(pip):
    """Whether pip's configuration or environment already says where packages come from."""
    told = subprocess.run(pip + ["config", "list"], stdout=subprocess.PIPE, universal_newlines=True).stdout
    return re.search(r"(find-links|index-url|no-index)\W*=", told) is not None


def cause(output):
    for kind, pattern, advice in CAUSES:
        if re.search(pattern, output):
            return kind, advice
    return "other", "pip failed, and .venv-setup.log has its words: start again, and if it stays so, report them"


def run_pip(pip, arguments, held, expected=0, before_install=None):
    """Run pip, show what it is at, keep its words in LOG; returns (it worked, what it said)."""
    command = pip + ["install", "--progress-bar", "off", "--no-input", "--retries", "2",
                     "--disable-pip-version-check"] + arguments
    # The child holds the lock too: a pip that outlives us is waited for, not disturbed.
    extra = {} if os.name == "nt" else {"pass_fds": (held.fileno(),)}
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
                             errors="replace", **extra)
    state = {"packages": 0, "at": "asking for packages"}
    start, done = time.time(), threading.Event()

    def tick():
        terminal = sys.stdout.isatty()
        while not done.wait(0.5 if terminal else 20):
            line = "%s (%d s)" % (state["at"], time.time() - start)
            print("\r\033[K  " + line[:100] if terminal else "  " + line, end="" if terminal else "\n", flush=True)
        print("\r\033[K" if terminal else "", end="", flush=True)

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    words = []
    try:
        with open(LOG, "a", encoding="utf-8") as log:
            for line in child.stdout:
                log.write(line)
                words.append(line)
                if line.startswith("Collecting ") and expected:
                    state["packages"] += 1
                    state["at"] = "package %d of about %d" % (min(state["packages"], expected), expected)
                elif re.match(r"\s+(Downloading|Using cached) ", line) and expected:
                    state["at"] = "package %d of about %d: %s" % (
                        min(state["packages"], expected), expected, " ".join(line.split()[1:]))
                elif line.startswith("Installing collected packages"):
                    state["at"] = "installing"
                    if before_install:
                        before_install()
        return child.wait() == 0, "".join(words)
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()
        done.set()
        ticker.join()


def install(pip, held):
    """Packages with their pins, and the course's own package so that edits count at once."""
    with open(os.path.join(ROOT, "constraints.txt"), encoding="utf-8") as file:
        expected = sum(1 for line in file if "==" in line)
    index, remark = torch_index(sys.platform, has_nvidia(), pip_is_told(pip), cpu_index_answers)
    if remark:
        say(remark)
    pins = ["--constraint", "constraints.txt"] + index
    fresh = []
    while True:
        worked, words = run_pip(pip, fresh + pins + ["setuptools"], held)
        if worked:
            worked, words = run_pip(
                pip, fresh + pins + ["--no-build-isolation", "--editable", ".[test]"], held, expected,
                before_install=lambda: write_stamp("building"))
        if worked:
            return
        kind, advice = cause(words)
        if kind != "damaged" or fresh:
            raise Trouble(advice)
        say("a download arrived damaged; fetching once more")
        fresh = ["--no-cache-dir"]


def make_venv():
    """An empty environment; returns the command that is its pip."""
    free = shutil.disk_usage(ROOT).free
    if free < GIGABYTES * 1e9:
        raise Trouble("the disk has %.1f GB left and the environment needs about %d GB: free some, then start again"
                      % (free / 1e9, GIGABYTES))
    os.mkdir(VENV)
    write_stamp("building")
    base = getattr(sys, "_base_executable", None) or sys.executable
    own_pip = importlib.util.find_spec("ensurepip") is not None
    made = subprocess.run([base, "-m", "venv", VENV] + ([] if own_pip else ["--without-pip"]),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    if made.returncode:
        kind, advice = cause(made.stdout)
        raise Trouble(advice if kind != "other" else "Python's own 'venv' failed: install it "
                      "(Debian, Ubuntu: sudo apt install python3-venv), then start again")
    return [venv_python(), "-m", "pip"] if own_pip else [base, "-m", "pip", "--python", venv_python()]


def prepare():
    """Make .venv ready if it is not; says what it did."""
    if read_stamp() == fingerprint() and os.path.exists(venv_python()):
        return
    start = time.time()
    with lock() as held:
        stamp, wanted = read_stamp(), fingerprint()
        sound = os.path.exists(venv_python())
        if stamp == wanted and sound:
            return                                                     # the other start has done it
        open(LOG, "w").close()
        if stamp is not None and stamp.split(" ")[1:] == wanted.split(" ")[1:] and sound:
            say("the list of packages has changed since the last start: bringing .venv up to date")
            did, pip = "brought .venv up to date", [venv_python(), "-m", "pip"]
        else:
            if os.path.lexists(VENV) and stamp is None:
                kept = VENV + "-before-" + now()
                os.rename(VENV, kept)
                say("the folder .venv was not made by course.py: kept as " + os.path.basename(kept))
            elif os.path.lexists(VENV):
                say("the .venv here is half-made or of another Python or place: making it again")
                shutil.rmtree(VENV)
            say("first start: setting up the course in .venv (some minutes, about 0.5 GB to download)")
            did, pip = "made .venv with", make_venv()
        install(pip, held)
        say("trying the new environment")
        tried = subprocess.run([venv_python(), "-c", "import torch, sklearn, ipywidgets, jupyterlab, nbclient, "
                                "matplotlib.font_manager, course_utils"], cwd=ROOT, env=environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        if tried.returncode:
            raise Trouble("the new environment does not work (%s): delete the folder .venv, then start again"
                          % tried.stdout.strip().split("\n")[-1])
        write_stamp(wanted)
        os.remove(LOG)
    count = len(glob.glob(os.path.join(VENV, "lib*", "**", "*.dist-info"), recursive=True)
                + glob.glob(os.path.join(VENV, "Lib", "site-packages", "*.dist-info")) * (os.name == "nt"))
    say("%s %d packages for Python %d.%d in %d s" % ((did, count) + sys.version_info[:2] + (time.time() - start,)))


def now():
    return datetime.datetime.now().strftime("%Y%m%d-%H%M%S")


def environment(**defaults):
    """The variables of a child: the reader's own start-up files for Python, Jupyter and matplotlib stay out."""
    private = os.path.join(VENV if os.path.isdir(VENV) else tempfile.gettempdir(), "share", "course")
    result = {**defaults, **os.environ}
    for name in ("PYTHONPATH", "PYTHONHOME", "JUPYTER_TOKEN", "MPLBACKEND"):
        result.pop(name, None)
    result.update(JUPYTER_NO_CONFIG="1", JUPYTER_PREFER_ENV_PATH="1", PYTHONUTF8="1",
                  IPYTHONDIR=os.path.join(private, "ipython"), MPLCONFIGDIR=os.path.join(private, "matplotlib"),
                  JUPYTERLAB_SETTINGS_DIR=os.path.join(private, "settings"),
                  JUPYTERLAB_WORKSPACES_DIR=os.path.join(private, "workspaces"))
    return result


# ---------------------------------------------------------------- commands

def wait(command, **variables):
    """Run a command to its end and return its status; Ctrl+C reaches the child, and we wait for its answer."""
    child = subprocess.Popen(command, cwd=ROOT, env=environment(**variables))
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue


def lessons(numbers):
    """Paths of the lessons asked for (all, if none), in order. Trouble names a lesson that does not exist."""
    found = {}
    for path in sorted(glob.glob(os.path.join(ROOT, "notebooks", "*.ipynb"))):
        match = LESSON.match(os.path.basename(path))
        if match:
            found[match.group(1)] = os.path.relpath(path, ROOT)
    for number in numbers:
        if number.zfill(2) not in found:
            raise Trouble("there is no lesson %s; there are %s" % (number, ", ".join(found) or "none"))
    return [found[number.zfill(2)] for number in numbers] or list(found.values())


def split(arguments):
    """Lesson numbers, and the rest."""
    return ([word for word in arguments if re.match(r"\d{1,2}$", word)],
            [word for word in arguments if not re.match(r"\d{1,2}$", word)])


def lab(python, arguments):
    numbers, rest = split([word for word in arguments])
    options = []
    while rest:
        word = rest.pop(0)
        if word == "--no-browser":
            options += ["--no-browser"]
        elif word == "--port" and rest:
            options += ["--ServerApp.port=" + rest.pop(0)]
        elif word == "--port" and numbers:
            options += ["--ServerApp.port=" + numbers.pop()]
        else:
            raise Trouble("lab does not know '%s'; it knows a lesson's number, --no-browser and --port N" % word)
    lesson = lessons(numbers or ["00"])[0].replace(os.sep, "/")
    settings = os.path.join(tempfile.gettempdir() if python != venv_python() else VENV, "share", "course", "app")
    os.makedirs(settings, exist_ok=True)
    with open(os.path.join(settings, "overrides.json"), "w", encoding="utf-8") as file:
        json.dump({"@jupyterlab/docmanager-extension:plugin": {"autosave": False},
                   "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}, file)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options += ["--allow-root"]                                     # as in a container
    say("opening %s; where no browser opens, go to the address with 'token' below" % lesson)
    say("nothing is written until you save (Ctrl+S); to end, press Ctrl+C here twice")
    return wait([python, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", "--ServerApp.root_dir=" + ROOT,
                 "--LabApp.app_settings_dir=" + settings, "--LabApp.default_url=/lab/tree/" + lesson] + options)


def test(python, arguments):
    numbers, rest = split(arguments)
    targets = [word for word in rest if os.path.exists(os.path.join(ROOT, word.split("::")[0]))]
    if not targets:
        targets = lessons(numbers) + (["tests"] if not numbers else
                                      [path for number in numbers for path in
                                       glob.glob(os.path.join(ROOT, "tests", "test_*%s*.py" % number.zfill(2)))])
    folder = tempfile.mkdtemp()
    try:
        report = os.path.join(folder, "report.xml")
        status = wait([python, "-m", "pytest", "-q", "-n", "2", "--dist", "loadscope", "--nbval", "--nbval-current-env",
                       "--nbval-sanitize-with", "tests/nbval_sanitize.cfg", "--junitxml", report]
                      + [word for word in rest if word not in targets] + targets,
                      COURSE_THREADS="1", OMP_NUM_THREADS="1")
        line, status = count(report, status)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(line, flush=True)
    return status


def count(report, status):
    """'N passed, N failed[, N skipped]' from pytest's report, and the exit status; a run that broke off has failed."""
    total = failed = skipped = 0
    try:
        for suite in xml.etree.ElementTree.parse(report).iter("testsuite"):
            total += int(suite.get("tests"))
            failed += int(suite.get("failures")) + int(suite.get("errors"))
            skipped += int(suite.get("skipped"))
    except (OSError, xml.etree.ElementTree.ParseError):
        status = status or 1
    if status and not failed:
        total, failed = total + 1, 1
    line = "%d passed, %d failed" % (total - failed - skipped, failed)
    return line + (", %d skipped" % skipped if skipped else ""), status


def reset(python, arguments):
    numbers, rest = split(arguments)
    if rest or not numbers:
        raise Trouble("say which lesson, for example: python3 course.py reset 05")
    for lesson in lessons(numbers):
        path = os.path.join(ROOT, lesson)
        published = published_bytes(lesson.replace(os.sep, "/"))
        with open(path, "rb") as file:
            mine = file.read()
        if mine == published:
            say(lesson + " is in its published state; nothing to do")
            continue
        kept, number = None, 1
        while kept is None:
            name = path[:-len(".ipynb")] + ".mine-" + now() + ("-%d" % number if number > 1 else "") + ".ipynb"
            try:
                with open(name, "xb") as file:
                    file.write(mine)
                kept = name
            except FileExistsError:
                number += 1
        with open(path + ".new", "wb") as file:
            file.write(published)
        os.replace(path + ".new", path)
        say("%s is as published again; yours is %s (if the lesson is open in JupyterLab: File, Reload from Disk)"
            % (lesson, os.path.relpath(kept, ROOT)))
    return 0


def published_bytes(lesson):
    """The published notebook: from git in a clone, else from the copy made at the first start."""
    try:
        shown = subprocess.run(["git", "show", "HEAD:./" + lesson], cwd=ROOT, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
        if shown.returncode == 0:
            return shown.stdout
    except OSError:
        pass                                                            # no git on this machine
    try:
        with open(os.path.join(PUBLISHED, os.path.basename(lesson)), "rb") as file:
            return file.read()
    except OSError:
        raise Trouble("no published copy of %s here: download the course again and take that file from there" % lesson)


def keep_published():
    """In a copy without git: keep the lessons as they came, once, so that reset can bring them back."""
    if not os.path.exists(os.path.join(ROOT, ".git")) and not os.path.exists(PUBLISHED):
        temporary = tempfile.mkdtemp(prefix=".published-", dir=ROOT)
        for lesson in lessons([]):
            shutil.copy(os.path.join(ROOT, lesson), temporary)
        os.rename(temporary, PUBLISHED)


def store(python, arguments):
    numbers, rest = split(arguments)
    if set(rest) - {"--times"}:
        raise Trouble("store does not know '%s'; it knows lessons' numbers and --times" % rest[0])
    return wait([python, "-m", "course_utils.storing"] + rest + lessons(numbers),
                COURSE_THREADS="1", OMP_NUM_THREADS="1")


def bench(python, arguments):
    scripts = sorted(glob.glob(os.path.join(ROOT, "tests", "bench_*.py")))
    status = 0
    for script in scripts:
        say(os.path.relpath(script, ROOT))
        status = wait([python, script] + arguments) or status
    return status


def setup(python, arguments):
    say("ready: " + python)
    return 0


COMMANDS = {"lab": lab, "test": test, "reset": reset, "store": store, "bench": bench, "setup": setup}


def main(arguments):
    here = arguments[:1] == ["--here"]
    arguments = arguments[here:]
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__)
        return 0 if arguments and arguments[0] in ("help", "--help", "-h") else 2
    try:
        keep_published()
        if not here and arguments[0] != "reset":
            prepare()
        return COMMANDS[arguments[0]](sys.executable if here else venv_python(), arguments[1:])
    except Trouble as trouble:
        print("course: " + str(trouble), file=sys.stderr)
    except OSError as error:
        print("course: %s (%s)" % (cause(str(error))[1] if cause(str(error))[0] != "other" else
                                   "a file cannot be read or written", error), file=sys.stderr)
    except KeyboardInterrupt:
        print("course: stopped; the next start takes up from here", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
