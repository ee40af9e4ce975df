"""No lesson's default path touches the network.

Two proofs. By reading: no cell asks for the network outside cells that are skipped in tests or
stand under `if available(...)`. By running: notebooks/conftest.py starts every lesson's kernel with
the network cut off, in every test run; here the cut is shown to work.
"""

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from IPython.core.inputtransformer2 import TransformerManager
from jupyter_client.manager import KernelManager

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
SCRIPTS = sorted((ROOT / "notebooks" / "exercises").glob("*.py"))

FETCHING = {"fetch", "shakespeare", "conllu", "multi30k", "chat_pairs"}
FETCHING |= {
    "from_pretrained",
    "hf_hub_download",
    "load_state_dict_from_url",
    "snapshot_download",
    "urlopen",
}
MODULES = {
    "aiohttp",
    "http",
    "httpx",
    "huggingface_hub",
    "nltk",
    "pooch",
    "requests",
    "socket",
    "urllib",
}
SHELL = {"system", "getoutput", "pip", "conda", "mamba", "bash", "sh", "sx", "script"}


def network_calls(source: str) -> list[str]:
    """What in a cell may need the network: functions that fetch, modules that do, shell commands.

    Calls in the body of `if available(...):` are allowed.
    """
    found: list[str] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Call):
            name = (
                node.func.attr
                if isinstance(node.func, ast.Attribute)
                else getattr(node.func, "id", "")
            )
            if name == "run_line_magic" or name == "run_cell_magic":
                name = getattr(node.args[0], "value", "")
            ours = name == "from_pretrained" and ast.unparse(node.func).endswith(
                ("Embedding.from_pretrained", "EmbeddingBag.from_pretrained")
            )  # takes a tensor
            if name in FETCHING | SHELL and not ours:
                found.append(name)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
            )
            found.extend(module for module in modules if module.split(".")[0] in MODULES)
        if isinstance(node, ast.If) and any(
            isinstance(call, ast.Call)
            and getattr(call.func, "attr", getattr(call.func, "id", "")) == "available"
            for call in ast.walk(node.test)
        ):
            for part in node.orelse:
                visit(part)
            return
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(TransformerManager().transform_cell(source)))
    return found


@pytest.mark.parametrize(
    ("source", "calls"),
    [
        ("x = shakespeare()", ["shakespeare"]),
        (
            "from course_utils import datasets\nfor _ in range(2):\n    datasets.fetch('a')",
            ["fetch"],
        ),
        ("import urllib.request", ["urllib.request"]),
        ("from requests import get", ["requests"]),
        ("!curl example.org", ["system"]),
        ("%pip install x", ["pip"]),
        ("Tokenizer.from_pretrained('bert')", ["from_pretrained"]),
        ("nn.Embedding.from_pretrained(weights)", []),
        (
            "if available('a'):\n    text = shakespeare()\nelse:\n    text = chat_pairs()",
            ["chat_pairs"],
        ),
        ("if unavailable('a'):\n    text = shakespeare()", ["shakespeare"]),
        ("text = 'fetch()'  # fetch()\nname_pairs()", []),
        ("%matplotlib inline\nimport numpy as np", []),
    ],
)
def test_the_reader_of_cells_sees(source: str, calls: list[str]) -> None:
    assert network_calls(source) == calls


@pytest.mark.parametrize("path", NOTEBOOKS + SCRIPTS, ids=lambda path: path.name)
def test_no_cell_asks_for_the_network(path: Path) -> None:
    if path.suffix == ".py":
        assert network_calls(path.read_text("utf-8")) == []
        return
    for number, cell in enumerate(json.loads(path.read_text("utf-8"))["cells"]):
        if cell["cell_type"] == "code" and "nbval-skip" not in cell["metadata"].get("tags", []):
            assert network_calls("".join(cell["source"])) == [], f"cell {number}"


# The cut


def cut_environment() -> dict[str, str]:
    """This environment, changed as notebooks/conftest.py changes it for the lessons' kernels."""
    spec = importlib.util.spec_from_file_location(
        "lessons_conftest", ROOT / "notebooks" / "conftest.py"
    )
    assert spec
    assert spec.loader
    conftest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conftest)
    return dict(os.environ) | conftest.cut_off(dict(os.environ))


# 192.0.2.1 is an address kept free for examples (RFC 5737), 'example.org' a name (RFC 2606)
ATTEMPTS = """
import socket, urllib.request
without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
attempts = {
    "address": lambda: socket.create_connection(("192.0.2.1", 80), timeout=5),
    "address, version 6": lambda: socket.socket(socket.AF_INET6).connect(("2001:db8::1", 80)),
    "without an exception": lambda: socket.socket().connect_ex(("192.0.2.1", 80)),
    "datagram": lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53)),
    "name": lambda: socket.getaddrinfo("example.org", 80),
    "old name look-up": lambda: socket.gethostbyname("example.org"),
    "page": lambda: without_proxy.open("http://example.org", timeout=5),
}
for what, attempt in attempts.items():
    try:
        print(what, "WENT OUT", attempt())
    except OSError as error:
        is_cut = "the network is cut off for this run" in str(error)
        print(what, "cut off" if is_cut else f"FAILED OTHERWISE {error}")

listener = socket.create_server(("127.0.0.1", 0))
near = socket.create_connection(("localhost", listener.getsockname()[1]), timeout=5)
near.sendall(b"loopback works")
print(listener.accept()[0].recv(99).decode())
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=cut_environment(), capture_output=True, text=True, timeout=60, check=False
    )


def test_a_process_is_cut_off() -> None:
    run = python(ATTEMPTS)
    assert run.stderr == ""
    *attempts, last = run.stdout.splitlines()
    assert len(attempts) == 7
    assert all(line.endswith(" cut off") for line in attempts), run.stdout
    assert last == "loopback works"


def test_a_child_of_it_is_cut_off() -> None:
    child = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert (
        "the network is cut off for this run, and '192.0.2.1' was asked for"
        in python(parent).stderr
    )


def test_a_kernel_is_cut_off_and_finds_no_corpus() -> None:
    """A kernel with the lessons' environment runs, although it talks through sockets."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=cut_environment())
    client = manager.blocking_client()
    client.start_channels()
    printed: list[str] = []
    try:
        client.wait_for_ready(timeout=60)
        client.execute_interactive(
            "from course_utils.datasets import corpora\n"
            "print([name for name in corpora.CORPORA if corpora.available(name)])\n" + ATTEMPTS,
            output_hook=lambda message: printed.append(message["content"].get("text", "")),
            timeout=60,
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    lines = "".join(printed).splitlines()
    assert lines[0] == "[]"
    assert lines[-1] == "loopback works"
    assert len(lines) == 9
    assert all(line.endswith(" cut off") for line in lines[1:-1]), lines


def test_lessons_run_under_the_cut(tmp_path: Path) -> None:
    """With the lessons' own conftest.py, a notebook that goes out fails; one that stays in passes.

    Tests outside the folder of the lessons keep their environment.
    """
    for part in ("tests/no_network/sitecustomize.py", "notebooks/conftest.py"):
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / part, tmp_path / part)
    for name, source in {
        "in": "import socket; addresses = socket.getaddrinfo('localhost', 80)",
        "out": "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)",
    }.items():
        cell = {
            "cell_type": "code",
            "execution_count": 1,
            "id": name,
            "metadata": {},
            "outputs": [],
            "source": source,
        }
        notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text(json.dumps(notebook), "utf-8")
    corpora = os.environ.get("COURSE_CORPORA")
    other = f"import os\ndef test_other(): assert os.environ.get('COURSE_CORPORA') == {corpora!r}"
    (tmp_path / "tests" / "test_other.py").write_text(other, "utf-8")
    options = ["-q", "--nbval", "-pno:cacheprovider", "--rootdir=.", "notebooks", "tests"]
    command = [sys.executable, "-m", "pytest", *options]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "1 failed, 2 passed" in run.stdout, run.stdout
    assert "the network is cut off for this run" in run.stdout
