"""environment.yml, pyproject.toml and constraints.txt say the same about what the course needs."""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"pytorch-cpu": "torch", "matplotlib-base": "matplotlib"}


def project() -> dict[str, Any]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    result: dict[str, Any] = tomllib.loads(text)["project"]
    return result


def needed() -> dict[str, Requirement]:
    """What pyproject.toml asks for, by name."""
    lines = list(project()["dependencies"])
    for extra in project()["optional-dependencies"].values():
        lines += extra
    requirements = map(Requirement, lines)
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def pins() -> dict[str, tuple[str, Requirement]]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(r.name): (str(r.specifier), r) for r in requirements}


def conda() -> dict[str, Any]:
    result: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    return result


def conda_specs() -> list[str]:
    return [spec for spec in conda()["dependencies"] if isinstance(spec, str)]


def pip_specs() -> list[str]:
    return next(spec["pip"] for spec in conda()["dependencies"] if isinstance(spec, dict))


@pytest.mark.parametrize("spec", conda_specs())
def test_every_spec_is_one_that_conda_reads(spec: str) -> None:
    rattler = pytest.importorskip("rattler")
    parsed = rattler.MatchSpec(spec, strict=True)
    assert str(getattr(parsed.name, "normalized", parsed.name)) == re.match(r"[a-z0-9-]+", spec)[0]


def test_conda_and_pip_ask_for_the_same_packages_and_bounds() -> None:
    from_conda = {}
    for spec in conda_specs():
        name, bounds = re.match(r"([a-z0-9-]+)(.*)", spec).groups()
        from_conda[CONDA_NAMES.get(name, name)] = set(filter(None, bounds.split(",")))
    for spec in pip_specs():
        if spec != "-e .":
            from_conda[Requirement(spec).name] = {
                str(bound) for bound in Requirement(spec).specifier
            }
    from_conda.pop("pip")
    bounds_by_name = {
        name: {str(bound) for bound in requirement.specifier}
        for name, requirement in needed().items()
    }
    assert from_conda == {**bounds_by_name, "python": {project()["requires-python"]}}


def test_conda_uses_conda_forge_alone() -> None:
    assert conda()["channels"] == ["conda-forge", "nodefaults"]
    assert "-e ." in pip_specs()


def test_every_dependency_has_bounds_and_a_reason() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    for name, requirement in needed().items():
        assert {bound.operator for bound in requirement.specifier} == {">=", "<"}, name
        line = next(line for line in lines if f'"{requirement.name}>' in line)
        assert re.search(r"# \w+.{8,}", line), f"{name}: no reason given"


def test_pins_lie_within_the_bounds() -> None:
    pinned = pins()
    for name, requirement in needed().items():
        assert name in pinned, f"{name} has no pin in constraints.txt"
        assert requirement.specifier.contains(pinned[name][0].removeprefix("==")), name


def test_pins_are_exact_and_hold_for_every_build() -> None:
    for name, (specifier, _) in pins().items():
        assert re.fullmatch(r"==[\w.]+", specifier), (
            f"{name}{specifier}: one version, and no local tag such as +cpu"
        )


def test_pins_are_complete() -> None:
    """Whatever a pinned package asks for, on any supported system and Python, has a pin too.

    Asked of those pinned versions that are installed here.
    """
    pinned = pins()
    lacking: set[str] = set()
    systems = [
        ("linux", "Linux", "posix"),
        ("darwin", "Darwin", "posix"),
        ("win32", "Windows", "nt"),
    ]
    for installed in metadata.distributions():
        name = canonicalize_name(installed.metadata["Name"])
        version = installed.version.split("+")[0]
        if name not in pinned or pinned[name][0] != f"=={version}":
            continue
        for requirement in map(Requirement, installed.requires or []):
            for system, platform, os_name in systems:
                for python in ("3.11", "3.12", "3.13"):
                    here = {
                        "python_version": python,
                        "python_full_version": python + ".0",
                        "sys_platform": system,
                        "platform_system": platform,
                        "os_name": os_name,
                        "extra": "",
                    }
                    if canonicalize_name(requirement.name) not in pinned and (
                        not requirement.marker or requirement.marker.evaluate(here)
                    ):
                        lacking.add(requirement.name)
    gpus = "nvidia|cuda|triton"  # what PyTorch's builds for GPUs ask for
    assert {name for name in lacking if not re.match(gpus, name)} == set()


def test_this_python_is_one_that_is_promised() -> None:
    assert project()["requires-python"] == ">=3.11"
    assert Version(".".join(map(str, sys.version_info[:3]))) >= Version("3.11")
