#!/usr/bin/env python3
"""Set up, open, test and care for the course.

  python3 course.py lab [NN]        open JupyterLab at lesson 00 (or NN); --no-browser, --port=N
  python3 course.py setup           make the environment alone, for VS Code and other editors
  python3 course.py test [NN ...]   run all tests and every notebook as it is now; with NN a
                                    lesson's page, its tests and its exercises; other arguments go
                                    to pytest, for example -k grammar
  python3 course.py progress        the exercises that you have solved
  python3 course.py reset NN ...    bring lessons back to their published state; yours is kept

  python3 course.py store [NN ...]  for authors: run lessons in fresh kernels and store their
                                    outputs; with --times measure only, and write nothing; with
                                    --corpora store exactly the cells that need a fetched corpus
  python3 course.py results         train every model on every shared task, as far as
                                    data/results.json lacks it; --task T, --model M: a part;
                                    --again: from nothing; --check: one seed of each, compared
  python3 course.py bench           run the benchmarks, tests/bench_*.py

The first start makes the folder .venv with all that the course needs; later starts find it there.
With --here first (course.py --here test) nothing is set up: the Python that runs this file is used
as it is, for example in a conda environment.
"""

from __future__ import print_function

import sys

if sys.version_info < (3, 11):  # Older ones can read this file: this line is all that they say.
    sys.exit(
        "course: this is Python %d.%d, and the course needs 3.11 or newer: install it and start "
        "with that one, for example: python3.13 course.py lab" % sys.version_info[:2]
    )

import json
import os
import re
import subprocess
import tempfile
import xml.etree.ElementTree

from course_utils.command import publish
from course_utils.command.venv import (
    ROOT,
    VENV,
    Trouble,
    cause,
    prepare,
    private_folder,
    python,
    say,
)

HERE = sys.argv[1:2] == ["--here"]
ONE_THREAD = {"COURSE_THREADS": "1", "OMP_NUM_THREADS": "1"}
# Each kernel describes itself as the stored lessons do, whatever its version of Python: JupyterLab
# writes this into a notebook that it opens, which would mark it as changed.
STARTUP = """from course_utils.command.store import LANGUAGE
from IPython.core.getipython import get_ipython

if (kernel := getattr(get_ipython(), "kernel", None)) is not None:
    kernel.language_info = LANGUAGE
"""


def environment(**defaults):
    """A child's variables.

    The reader's own start-up files of Python, Jupyter and matplotlib stay out, so that the course
    behaves the same everywhere; nothing that could take JupyterLab's token away is read.
    """
    private = private_folder() if HERE else VENV / "share" / "course"
    result = dict(defaults, **os.environ)
    for name in ("PYTHONPATH", "PYTHONHOME", "MPLBACKEND", "JUPYTER_TOKEN"):
        result.pop(name, None)
    for name in ("IPYTHONDIR", "MPLCONFIGDIR", "JUPYTER_DATA_DIR", "JUPYTERLAB_SETTINGS_DIR"):
        result[name] = str(private / name.lower())
    result["JUPYTERLAB_WORKSPACES_DIR"] = str(private / "jupyterlab_workspaces_dir")
    return dict(result, JUPYTER_NO_CONFIG="1", JUPYTER_PREFER_ENV_PATH="1", PYTHONUTF8="1")


def run(*arguments, **defaults):
    """Run this course's Python to its end, and return the exit status. Ctrl+C is for the child."""
    variables = environment(**defaults)
    startup = os.path.join(variables["IPYTHONDIR"], "profile_default", "startup")
    os.makedirs(startup, exist_ok=True)
    with open(os.path.join(startup, "00-course.py"), "w", encoding="utf-8") as file:
        file.write(STARTUP)
    command = [sys.executable if HERE else str(python())] + list(arguments)
    child = subprocess.Popen(command, cwd=str(ROOT), env=variables)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            pass


def lessons(words):
    """(paths of the lessons that `words` name, or of all; their numbers; the other words)."""
    paths = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if re.match(r"\d\d_\w+\.ipynb$", path.name):  # a reader's copy, 05_bptt.mine-..., is none
            paths[path.name[:2]] = "notebooks/" + path.name
    numbers = [word.zfill(2) for word in words if re.match(r"\d{1,2}$", word)]
    for number in numbers:
        if number not in paths:
            raise Trouble("there is no lesson %s; there are %s" % (number, ", ".join(paths)))
    others = [word for word in words if not re.match(r"\d{1,2}$", word)]
    return [paths[number] for number in numbers] or list(paths.values()), numbers, others


def lab(words):
    paths, numbers, others = lessons(words)
    options = [word.replace("--port=", "--ServerApp.port=") for word in others]
    allowed = r"--(no-browser|ServerApp\.port=\d+)$"
    if len(numbers) > 1 or any(not re.match(allowed, option) for option in options):
        known = "lab knows one lesson's number, --no-browser and --port=N, not: "
        raise Trouble(known + " ".join(words))
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")  # as in a container
    settings = os.path.join(environment()["MPLCONFIGDIR"], "..", "defaults")
    os.makedirs(settings, exist_ok=True)
    with open(os.path.join(settings, "overrides.json"), "w") as file:
        saving = {"autosave": False}  # JupyterLab would save by itself, even unchanged lessons
        news = {"fetchNews": "false", "checkForUpdates": False}
        # All cells are on the page, not only those in sight: for screen readers and searching.
        extensions = (
            ("docmanager-extension:plugin", saving),
            ("apputils-extension:notification", news),
            ("notebook-extension:tracker", {"windowingMode": "defer"}),
        )
        json.dump({"@jupyterlab/" + name: values for name, values in extensions}, file)
    # Explorers turn before a run only in notebooks that are signed (beside .venv): sign our own.
    # The folder of the signatures is made here, for nbformat 5.10.0 does not make it.
    os.makedirs(environment()["JUPYTER_DATA_DIR"], exist_ok=True)
    ours = [path for path in lessons([])[0] if publish.is_published(ROOT, path)]
    sign = "import sys, nbformat.sign as s; "
    sign += "[s.NotebookNotary().sign(s.read(path, 4)) for path in sys.argv[1:]]"
    run("-c", sign, *ours)
    say(
        "opening %s; where no browser opens, go to the address with 'token' that follows" % paths[0]
    )
    say("nothing is written until you save (Ctrl+S); to end, press Ctrl+C here")
    command = ["-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", "--ServerApp.root_dir=" + str(ROOT)]
    command += [
        "--LabApp.app_settings_dir=" + settings,
        "--LabApp.default_url=/lab/tree/" + paths[0],
    ]
    return run(*(command + ["--KernelManager.transport_encryption=auto"] + options))


def setup(words):
    if words or HERE:
        raise Trouble("setup makes .venv, and takes nothing else: python3 course.py setup")
    say("the environment is ready: %s" % python())
    return 0


def test(words):
    paths, numbers, others = lessons(words)
    targets = [word for word in others if word.startswith(("tests/", "notebooks/"))]
    options, variables = [word for word in others if word not in targets], dict(ONE_THREAD)
    if numbers:
        own = [sorted((ROOT / "tests" / "lessons").glob("test_%s_*.py" % n)) for n in numbers]
        paths += [str(path.relative_to(ROOT)) for found in own for path in found]
        paths.append("tests/test_exercises.py")
        variables["COURSE_LESSONS"] = " ".join(numbers)
    else:
        paths.append("tests")
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.xml")
        command = [
            "-m",
            "pytest",
            "-q",
            "-n2",
            "--dist=loadscope",
            "--nbval",
            "--nbval-current-env",
        ]
        command += ["--nbval-sanitize-with=tests/nbval_sanitize.cfg", "--junitxml", report]
        status = run(*(command + options + (targets or paths)), **variables)
        line, status = count(report, status)
    print(line, flush=True)
    return status


def count(report, status):
    """("N passed, N failed[, N skipped]", exit status) from pytest's report.

    A run that broke off has failed.
    """
    total = failed = skipped = 0
    try:
        for suite in xml.etree.ElementTree.parse(report).iter("testsuite"):
            total += int(suite.get("tests"))
            failed += int(suite.get("failures")) + int(suite.get("errors"))
            skipped += int(suite.get("skipped"))
    except (OSError, xml.etree.ElementTree.ParseError):
        status = status or 1
    line = "%d passed, %d failed" % (total - failed - skipped, max(failed, status != 0))
    return line + (", %d skipped" % skipped if skipped else ""), status


def progress(words):
    if words:
        raise Trouble("progress shows all lessons, and takes nothing else")
    return run("-c", "from course_utils.grading import record; print(record.report())")


def reset(words):
    paths, numbers, others = lessons(words)
    if others or not numbers:
        raise Trouble("say which lessons, for example: python3 course.py reset 05")
    for path in paths:
        say(publish.restore(ROOT, path))
    return 0


def store(words):
    paths, _, others = lessons(words)
    if not set(others) <= {"--times", "--corpora"}:
        known = "store knows lessons' numbers, --times and --corpora, not: "
        raise Trouble(known + " ".join(others))
    status = run("-m", "course_utils.command.store", *(others + paths), **ONE_THREAD)
    if "--times" not in others:
        publish.publish(ROOT, paths)
    return status


def results(words):
    return run("-m", "course_utils.command.measure", *words, **ONE_THREAD)


def bench(words):
    paths = sorted((ROOT / "tests").glob("bench_*.py"))
    return max([run(str(path), *words) for path in paths] or [0])


def of_this_copy():
    """Stop where --here meets a Python whose kernels would take course_utils from another copy."""
    look = "import course_utils; print(course_utils.__file__)"
    child = subprocess.run(
        [sys.executable, "-c", look],
        cwd=str(ROOT / "notebooks"),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )
    found = child.stdout.strip()
    cure = "in the folder %s run: %s -m pip install --editable ." % (ROOT, sys.executable)
    if child.returncode or not found:
        raise Trouble("this Python has no course_utils: " + cure)
    if os.path.realpath(os.path.dirname(found)) != os.path.realpath(str(ROOT / "course_utils")):
        raise Trouble("this Python takes course_utils from another copy, %s: %s" % (found, cure))


COMMANDS = {
    "lab": lab,
    "setup": setup,
    "test": test,
    "progress": progress,
    "reset": reset,
    "store": store,
    "results": results,
    "bench": bench,
}


def main(words):
    if not words or words[0] not in COMMANDS:
        print(__doc__)
        return 0 if words and words[0] in ("help", "-h", "--help") else 2
    try:
        publish.keep_copies(ROOT, lessons([])[0])
        if words[0] != "reset":
            if HERE:
                of_this_copy()
            else:
                prepare(environment())
        return COMMANDS[words[0]](words[1:])
    except Trouble as trouble:
        print("course:", trouble, file=sys.stderr)
    except OSError as error:
        kind, advice = cause(str(error))
        print("course:", advice if kind != "other" else error, file=sys.stderr)
    except KeyboardInterrupt:
        print("course: stopped; the next start goes on from here", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1 + HERE :]))
