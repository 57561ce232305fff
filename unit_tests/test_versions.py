"""Allowed, oldest and locked versions of other packages agree with pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def requirements(*lists):
    found = {canonicalize_name(one.name): one for lines in lists for one in map(Requirement, lines)}
    return {name: one for name, one in found.items() if name != canonicalize_name(PROJECT["name"])}


def pins(name):
    """Return the version of every package in the constraints file *name*."""
    lines = [line for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if line[:1] not in "#"]
    found = [re.fullmatch(r"([\w.-]+)==([\w.]+)", line).groups() for line in lines]
    assert len({canonicalize_name(package) for package, _ in found}) == len(found)
    return {canonicalize_name(package): version for package, version in found}


def floor(requirement):
    (found,) = [one.version for one in requirement.specifier if one.operator == ">="]
    return found


def test_the_oldest_versions_are_the_floors_of_all_that_a_run_uses():
    """Torch is left out: a second one is too large for every run of the checks."""
    asked = requirements(PROJECT["dependencies"], *EXTRAS.values())
    oldest = pins(".ci/oldest.txt")
    assert oldest == {name: floor(asked[name]) for name in oldest}
    run = requirements(
        PROJECT["dependencies"], *(EXTRAS[extra] for extra in ("models", "parallel", "timing", "report"))
    )
    assert set(run) - {"torch"} <= set(oldest)


LOCKED = requirements(PROJECT["dependencies"], *(EXTRAS[extra] for extra in EXTRAS if extra != "cluster"))
"""Everything but Ray, which is large and not among what the tests install."""


@pytest.mark.parametrize("name", LOCKED)
def test_the_locked_version_is_one_that_pyproject_allows(name):
    asked = LOCKED[name]
    assert asked.specifier.contains(pins("constraints.txt")[name])


def test_only_the_python_that_was_run_is_named():
    named = [line for line in PROJECT["classifiers"] if re.search(r"Python :: \d", line)]
    assert named == ["Programming Language :: Python :: 3.11"]
