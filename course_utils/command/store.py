"""Runs lessons in fresh kernels and stores their outputs: `course.py store`.

    python -m course_utils.command.store [--times] [--corpora] NOTEBOOK ...

A notebook is written only when every cell of it ran without an error, and in one step, so that a
stop half-way leaves the old one. What differs from run to run without meaning (times, versions)
stays out.

Cells that need a fetched corpus are tagged nbval-skip. A plain run finds no corpus, as in the
tests, and keeps their stored outputs; with --corpora the corpora must be there, and the outputs of
exactly these cells are stored.
"""

from __future__ import annotations

import copy
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import nbformat as untyped_nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

nbformat: Any = untyped_nbformat
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# What JupyterLab writes into a notebook when it opens one with a kernel of `course.py lab`
# (course.py has the same): so a lesson that is only read is not marked as changed.
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
    "version": "3",
}
PEAK_MEMORY = """
def peak():
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    except OSError:
        pass
    try:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    except ImportError:
        import psutil
        return psutil.Process().memory_info().peak_wset
print(peak())
"""


def run(notebook: Any, folder: Path, corpora: bool = False) -> tuple[float, float]:
    """Run all cells of `notebook` in a fresh kernel, in place.

    corpora: whether the kernel must find each corpus that it looks for; else it finds none.
    Returns (seconds, peak megabytes) of that kernel. Raises CellExecutionError for the first cell
    that fails.
    """
    variables = {"COURSE_CORPORA": str(Path(__file__).parent)}
    if corpora:
        variables = {"COURSE_CORPORA_NEEDED": "1"}
    client = NotebookClient(
        notebook,
        timeout=1200,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    start = time.perf_counter()
    with client.setup_kernel(env={**os.environ, **variables}):
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        seconds = time.perf_counter() - start
        probe = nbformat.v4.new_code_cell(PEAK_MEMORY)
        notebook.cells.append(probe)
        client.execute_cell(probe, len(notebook.cells) - 1)
        notebook.cells.pop()
    return seconds, int(probe.outputs[0]["text"]) / 1e6


def needs_corpus(cell: Any) -> bool:
    """Whether a cell is run only where the corpora are."""
    return cell.cell_type == "code" and "nbval-skip" in cell.metadata.get("tags", [])


def keep(notebook: Any, before: Any, corpora: bool) -> None:
    """Put back the stored outputs of the cells that this run was not about.

    notebook: after a run; before: the same cells as they were stored.
    """
    for cell, old in zip(notebook.cells, before.cells, strict=True):
        if cell.cell_type == "code" and needs_corpus(cell) != corpora:
            cell.outputs = copy.deepcopy(old.outputs)
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = cell.execution_count


def says(cell: Any) -> str:
    """What a cell's outputs say, without pictures."""
    data = [(output, output.get("data", {})) for output in cell.outputs]
    parts = [output.get("text") or bundle.get("text/plain", "") for output, bundle in data]
    return "\n".join(parts)


def about_corpora(notebook: Any, before: Any, corpora: bool) -> str:
    """A remark on the cells that need a corpus: which say something else, or were never stored."""
    pairs = [(new, old) for new, old in zip(notebook.cells, before.cells) if needs_corpus(new)]
    changed = [new.id for new, old in pairs if says(new) != says(old)]
    shows = [new for new, _ in pairs if "print(" in new.source or "show(" in new.source]
    missing = [new.id for new in shows if not new.outputs]
    if corpora:
        verdict = f"changed: {', '.join(changed)}" if changed else "all say what was stored"
        return f"  {len(pairs)} cells need a corpus, {verdict}"
    return (
        f"  no stored output (course.py store --corpora): {', '.join(missing)}" if missing else ""
    )


def tidy(notebook: Any) -> None:
    """Take out what is not stable: versions, timings, run-time metadata."""
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": LANGUAGE})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)


def as_file(notebook: Any) -> str:
    """The notebook as a file."""
    content = json.loads(nbformat.writes(notebook))
    return json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main(arguments: list[str]) -> int:
    """Store (or with --times only measure and compare) the notebooks named.

    The exit status is 1 when one of them failed.
    """
    failed, corpora = 0, "--corpora" in arguments
    for path in (Path(word) for word in arguments if word not in ("--times", "--corpora")):
        notebook = nbformat.read(path, as_version=4)
        before = copy.deepcopy(notebook)
        try:
            seconds, megabytes = run(notebook, path.parent, corpora)
        except CellExecutionError as error:
            failed += 1
            problem = f"{path.name}: a cell failed, nothing was written\n{error}"
            print(problem, file=sys.stderr, flush=True)
            continue
        keep(notebook, before, corpora)
        remark = about_corpora(notebook, before, corpora)
        if "--times" not in arguments:
            tidy(notebook)
            nbformat.validate(notebook)
            temporary = path.with_suffix(".new")
            temporary.write_text(as_file(notebook), encoding="utf-8", newline="\n")
            os.replace(temporary, path)
            remark = f"  stored, {path.stat().st_size / 1000:.0f} KB{remark}"
        print(f"{path.name:32}{seconds:7.1f} s{megabytes:8.0f} MB{remark}", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
