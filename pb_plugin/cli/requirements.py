"""Which versions this project was tested with: what it requires, read from where that is written."""

from __future__ import annotations

import tomllib
from importlib import metadata
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement  # comes with pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

PROJECT = "parallelbench-pytest"
PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def tested_versions() -> dict[str, SpecifierSet]:
    """Return the versions of every required package, extras included, by its normal name.

    They are read from the checkout in use, whose installed metadata may be older, or from the metadata of the
    installed project.
    """
    if PYPROJECT.is_file():
        project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
        lines = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    else:
        lines = metadata.requires(PROJECT) or []
    asked = [Requirement(line) for line in lines]
    return {canonicalize_name(found.name): found.specifier for found in asked}
