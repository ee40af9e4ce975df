"""Runs lessons in fresh kernels and stores their outputs: python -m course_utils.command.store
[--times] [--corpora] NOTEBOOK ...

A notebook is written only when every cell of it ran without an error, and in one step, so that a
stop half-way leaves the old one. What differs from run to run without meaning (times, versions,
widgets that are not shown) stays out.

Cells that need a fetched corpus are tagged nbval-skip. A plain run finds no corpus, as in the
tests, and keeps their stored outputs; with --corpora the corpora must be there, and the outputs of
exactly these cells are stored."""

import copy
import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import nbformat as untyped_nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

nbformat: Any = untyped_nbformat
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
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
    """Run all cells of `notebook` in a fresh kernel, in place; (seconds, peak megabytes) of that
    kernel.

    corpora: whether the kernel must find each corpus that it looks for; else it finds none.
    Raises CellExecutionError for the first cell that fails.
    """
    variables = (
        {"COURSE_CORPORA_NEEDED": "1"}
        if corpora
        else {"COURSE_CORPORA": str(Path(__file__).parent)}
    )
    client = NotebookClient(
        notebook,
        timeout=1200,
        kernel_name="python3",
        store_widget_state=True,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    start = time.perf_counter()
    with client.setup_kernel(env={**os.environ, **variables}):
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        client.set_widgets_metadata()
        seconds = time.perf_counter() - start
        probe = nbformat.v4.new_code_cell(PEAK_MEMORY)
        notebook.cells.append(probe)
        client.execute_cell(probe, len(notebook.cells) - 1)
        notebook.cells.pop()
    return seconds, int(probe.outputs[0]["text"]) / 1e6


def references(value: Any) -> set[str]:
    """Ids of the widgets that a widget's state refers to ("IPY_MODEL_<id>", at any depth)."""
    if isinstance(value, str):
        return {value.removeprefix("IPY_MODEL_")} if value.startswith("IPY_MODEL_") else set()
    children = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    )
    return {name for child in children for name in references(child)}


def widget_states(notebook: Any) -> dict[str, Any]:
    """The states of the notebook's widgets, by id."""
    states: dict[str, Any] = (
        notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    )
    return states


def needs_corpus(cell: Any) -> bool:
    return cell.cell_type == "code" and "nbval-skip" in cell.metadata.get("tags", [])


def with_new_ids(notebook: Any) -> Any:
    """A copy whose widgets have ids that no other notebook has."""
    result = json.dumps(notebook)
    for name in widget_states(notebook):
        result = result.replace(name, uuid.uuid4().hex)
    return nbformat.from_dict(json.loads(result))


def keep(notebook: Any, before: Any, corpora: bool) -> None:
    """Put back the stored outputs that this run was not about, with their widgets.

    notebook: after a run; before: the same cells as they were stored, under other widget ids.
    """
    for cell, old in zip(notebook.cells, before.cells, strict=True):
        if cell.cell_type == "code" and needs_corpus(cell) != corpora:
            cell.outputs = copy.deepcopy(old.outputs)
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = cell.execution_count
    default, fetched = (
        (before, notebook) if corpora else (notebook, before)
    )  # the same order either way
    if states := {**widget_states(default), **widget_states(fetched)}:
        notebook.metadata["widgets"] = {
            WIDGET_STATE: {"state": states, "version_major": 2, "version_minor": 0}
        }


def says(cell: Any) -> str:
    """What a cell's outputs say, without pictures and widgets."""
    parts = [
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
    ]
    return "\n".join("" if "Figure size" in part or "model_id" in part else part for part in parts)


def about_corpora(notebook: Any, before: Any, corpora: bool) -> str:
    """A remark on the cells that need a corpus: which of them now say something else, or that some
    were never stored."""
    pairs = [(new, old) for new, old in zip(notebook.cells, before.cells) if needs_corpus(new)]
    changed = [new.id for new, old in pairs if says(new) != says(old)]
    missing = [
        new.id
        for new, _ in pairs
        if not new.outputs and ("print(" in new.source or "show(" in new.source)
    ]
    if corpora:
        return f"  {len(pairs)} cells need a corpus, " + (
            f"changed: {', '.join(changed)}" if changed else "all say what was stored"
        )
    return (
        f"  no stored output (course.py store --corpora): {', '.join(missing)}" if missing else ""
    )


def tidy(notebook: Any) -> None:
    """Take out what is not stable: versions, timings, run-time metadata, and widgets that no output
    shows."""
    states = widget_states(notebook)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        }
    )
    kept: set[str] = set()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            kept.add(output.get("data", {}).get(WIDGET_VIEW, {}).get("model_id", ""))
    kept &= set(states)
    while True:  # what a shown widget is made of, and the links between such, to which none refers
        parts = {part for name in kept for part in references(states[name]) & set(states)}
        links = {
            name
            for name, state in states.items()
            if "Link" in state["model_name"] and references(state) <= kept
        }
        if parts | links <= kept:
            break
        kept |= parts | links
    if kept:
        state = {name: states[name] for name in states if name in kept}
        notebook.metadata["widgets"] = {
            WIDGET_STATE: {"state": state, "version_major": 2, "version_minor": 0}
        }


def as_file(notebook: Any) -> str:
    """The notebook as a file. Ids of widgets, random in each run, become numbers in the order of
    their making."""
    result = nbformat.writes(notebook)
    for number, name in enumerate(widget_states(notebook), start=1):
        result = result.replace(name, f"{number:032x}")
    return json.dumps(json.loads(result), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main(arguments: list[str]) -> int:
    """Store (or with --times only measure and compare) the notebooks named; the exit status is 1
    when one of them failed."""
    failed, corpora = 0, "--corpora" in arguments
    for path in (Path(word) for word in arguments if word not in ("--times", "--corpora")):
        notebook = nbformat.read(path, as_version=4)
        before = with_new_ids(notebook)
        try:
            seconds, megabytes = run(notebook, path.parent, corpora)
        except CellExecutionError as error:
            failed += 1
            print(
                f"{path.name}: a cell failed, nothing was written\n{error}",
                file=sys.stderr,
                flush=True,
            )
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
