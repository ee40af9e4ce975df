#!/usr/bin/env python3
"""Set up, open, test and care for the course.

  python3 course.py lab [NN]          open JupyterLab at lesson 00 (or NN); also --no-browser, --port=N
  python3 course.py test [NN ...]     run all tests and every notebook as it is now, or only those of
                                      lessons NN; other arguments go to pytest, for example -k grammar
  python3 course.py reset NN ...      bring lessons back to their published state; yours is kept beside it
  python3 course.py store [NN ...]    for authors: run lessons in fresh kernels and store their outputs;
                                      with --times measure only, and write nothing; with --corpora store
                                      exactly the cells that need a fetched corpus (others keep theirs)
  python3 course.py results [TASK ..] train every model on every shared task, as far as data/results.json
                                      lacks it; with --again from nothing
  python3 course.py bench             run the benchmarks, tests/bench_*.py

The first start makes the folder .venv with all that the course needs; later starts find it there.
With --here first (course.py --here test) nothing is set up: the Python that runs this file is used
as it is, for example in a conda environment.
"""
from __future__ import print_function

import sys

if sys.version_info < (3, 11):  # Older ones can read this file, so that this line is all they say.
    sys.exit("course: this is Python %d.%d, and the course needs 3.11 or newer: install it and start with that one, "
             "for example: python3.13 course.py lab" % sys.version_info[:2])

import getpass
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import xml.etree.ElementTree

from course_utils.command.venv import ROOT, VENV, Trouble, cause, prepare, python, say

HERE = sys.argv[1:2] == ["--here"]


def environment(**defaults):
    """A child's variables. The reader's own start-up files of Python, Jupyter and matplotlib stay out, so that the course
    behaves the same everywhere; nothing that could take JupyterLab's token away is read."""
    private = os.path.join(tempfile.gettempdir(), "course-" + getpass.getuser()) if HERE else str(VENV / "share" / "course")
    result = dict(defaults, **os.environ)
    for name in ("PYTHONPATH", "PYTHONHOME", "MPLBACKEND", "JUPYTER_TOKEN"):
        result.pop(name, None)
    for name in ("IPYTHONDIR", "MPLCONFIGDIR", "JUPYTER_DATA_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR"):
        result[name] = os.path.join(private, name.lower())
    return dict(result, JUPYTER_NO_CONFIG="1", JUPYTER_PREFER_ENV_PATH="1", PYTHONUTF8="1")


def run(*arguments, **defaults):
    """Run this course's Python to its end, and return the exit status. Ctrl+C is for the child: we wait for its answer."""
    variables = environment(**defaults)
    os.makedirs(variables["IPYTHONDIR"], exist_ok=True)
    child = subprocess.Popen([sys.executable if HERE else str(python())] + list(arguments), cwd=str(ROOT), env=variables)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            pass


def lessons(words):
    """(paths of the lessons that `words` name, or of all; their numbers; the other words)."""
    every = {}
    for path in sorted(glob.glob(str(ROOT / "notebooks" / "*.ipynb"))):
        if re.match(r"\d\d_\w+\.ipynb$", os.path.basename(path)):  # a reader's copy, 05_bptt.mine-..., is none
            every[os.path.basename(path)[:2]] = "notebooks/" + os.path.basename(path)
    numbers = [word.zfill(2) for word in words if re.match(r"\d{1,2}$", word)]
    for number in numbers:
        if number not in every:
            raise Trouble("there is no lesson %s; there are %s" % (number, ", ".join(every)))
    return [every[n] for n in numbers] or list(every.values()), numbers, [w for w in words if not re.match(r"\d{1,2}$", w)]


def lab(words):
    paths, numbers, rest = lessons(words)
    options = [word.replace("--port=", "--ServerApp.port=") for word in rest]
    if len(numbers) > 1 or any(not re.match(r"--(no-browser|ServerApp\.port=\d+)$", option) for option in options):
        raise Trouble("lab knows one lesson's number, --no-browser and --port=N, not: " + " ".join(words))
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")  # as in a container
    settings = os.path.join(environment()["MPLCONFIGDIR"], "..", "defaults")
    os.makedirs(settings, exist_ok=True)
    with open(os.path.join(settings, "overrides.json"), "w") as file:  # JupyterLab would save by itself, even unchanged lessons
        json.dump({"@jupyterlab/docmanager-extension:plugin": {"autosave": False},
                   "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}, file)
    # Jupyter shows explorers before a run only in notebooks that are signed (in .venv, not in the notebook): sign our own.
    ours = [path for path in lessons([])[0] if (ROOT / path).read_bytes() == published(path)]
    run("-c", "import sys, nbformat.sign as s; [s.NotebookNotary().sign(s.read(p, 4)) for p in sys.argv[1:]]", *ours)
    say("opening %s; where no browser opens, go to the address with 'token' that follows" % paths[0])
    say("nothing is written until you save (Ctrl+S); to end, press Ctrl+C here")
    return run("-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", "--ServerApp.root_dir=" + str(ROOT),
               "--LabApp.app_settings_dir=" + settings, "--LabApp.default_url=/lab/tree/" + paths[0],
               "--KernelManager.transport_encryption=auto", *options)


def test(words):
    paths, numbers, rest = lessons(words)
    targets = [word for word in rest if word.startswith(("tests/", "notebooks/"))]
    own = [path for number in numbers for path in sorted(glob.glob(str(ROOT / "tests" / ("test_*%s*.py" % number))))]
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.xml")
        status = run("-m", "pytest", "-q", "-n2", "--dist=loadscope", "--nbval", "--nbval-current-env", "--junitxml", report,
                     "--nbval-sanitize-with=tests/nbval_sanitize.cfg", *([word for word in rest if word not in targets]
                     + (targets or paths + (own if numbers else ["tests"]))), COURSE_THREADS="1", OMP_NUM_THREADS="1")
        line, status = count(report, status)
    print(line, flush=True)
    return status


def count(report, status):
    """("N passed, N failed[, N skipped]", exit status) from pytest's report. A run that broke off has failed."""
    total = failed = skipped = 0
    try:
        for suite in xml.etree.ElementTree.parse(report).iter("testsuite"):
            total += int(suite.get("tests"))
            failed += int(suite.get("failures")) + int(suite.get("errors"))
            skipped += int(suite.get("skipped"))
    except (OSError, xml.etree.ElementTree.ParseError):
        status = status or 1
    passed = total - failed - skipped
    return "%d passed, %d failed" % (passed, max(failed, status != 0)) + (", %d skipped" % skipped if skipped else ""), status


def published(path):
    """The published notebook, in bytes: from git, or, in a download without git, from the copy kept at the first start.
    None if there is neither."""
    if shutil.which("git"):
        shown = subprocess.run(["git", "show", "HEAD:./" + path], cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if shown.returncode == 0:
            return shown.stdout
    copy = ROOT / ".published" / os.path.basename(path)
    return copy.read_bytes() if copy.exists() else None


def keep_published():
    """A download without git: keep the lessons as they came, once, for `reset`."""
    if not (ROOT / ".git").exists() and not (ROOT / ".published").exists():
        with tempfile.TemporaryDirectory(dir=str(ROOT), prefix=".published-") as folder:
            for path in lessons([])[0]:
                shutil.copy(str(ROOT / path), folder)
            shutil.copytree(folder, folder + "-whole")
        os.rename(folder + "-whole", str(ROOT / ".published"))


def reset(words):
    paths, numbers, rest = lessons(words)
    if rest or not numbers:
        raise Trouble("say which lessons, for example: python3 course.py reset 05")
    for path in paths:
        file, original = ROOT / path, published(path)
        if original is None:
            raise Trouble("no published copy of %s is here: download the course again, and take this file from there" % path)
        if file.read_bytes() == original:
            say(path + " is in its published state: nothing to do")
            continue
        kept = file.with_name(file.stem + time.strftime(".mine-%Y%m%d-%H%M%S.ipynb"))
        with open(str(kept), "xb") as copy:  # x: never over another file
            copy.write(file.read_bytes())
        file.with_suffix(".new").write_bytes(original)
        os.replace(str(file.with_suffix(".new")), str(file))
        say("%s is as published; yours is %s (in JupyterLab: File, Reload Notebook from Disk)" % (path, kept.name))
    return 0


def store(words):
    paths, _, rest = lessons(words)
    if not set(rest) <= {"--times", "--corpora"}:
        raise Trouble("store knows lessons' numbers, --times and --corpora, not: " + " ".join(rest))
    return run("-m", "course_utils.command.store", *(rest + paths), COURSE_THREADS="1", OMP_NUM_THREADS="1")


def results(words):
    return run("-m", "course_utils.command.measure", *words, COURSE_THREADS="1", OMP_NUM_THREADS="1")


def bench(words):
    return max([run(path, *words) for path in sorted(glob.glob(str(ROOT / "tests" / "bench_*.py")))] or [0])


def main(words):
    commands = {"lab": lab, "test": test, "reset": reset, "store": store, "results": results, "bench": bench}
    if not words or words[0] not in commands:
        print(__doc__)
        return 0 if words and words[0] in ("help", "-h", "--help") else 2
    try:
        keep_published()
        if not HERE and words[0] != "reset":
            prepare(environment())
        return commands[words[0]](words[1:])
    except Trouble as trouble:
        print("course:", trouble, file=sys.stderr)
    except OSError as error:
        print("course:", cause(str(error))[1] if cause(str(error))[0] != "other" else error, file=sys.stderr)
    except KeyboardInterrupt:
        print("course: stopped; the next start goes on from here", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1 + HERE:]))
