"""Every test run of the lessons is without a network and this machine's corpora."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

GUARD = Path(__file__).resolve().parents[1] / "tests" / "no_network"


def cut_off(environment: dict[str, str]) -> dict[str, str]:
    """What a kernel's environment needs so that it reaches no network and no corpus."""
    path = [str(GUARD), *filter(None, [environment.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(path), "COURSE_CORPORA": str(GUARD)}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """A kernel starts in the set-up of its first cell and inherits this environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cut_off(dict(os.environ)).items():
            patch.setenv(name, value)
        return (yield)
