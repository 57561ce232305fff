"""Whether a page can be written to a file: looked at before anything is decoded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

SUFFIX = ".html"


def check_jinja(name: str) -> None:
    """Refuse what makes a page where its library is missing.

    Raises:
        ValueError: jinja2 is not installed.
    """
    if find_spec("jinja2") is None:
        raise ValueError(
            f'{name} must have jinja2, got none installed; pip install -e ".[report]" (it is in all too)'
        )


def check_html(out: Path, name: str = "--html") -> None:
    """Refuse what cannot become a page, before anything is read or decoded.

    Raises:
        ValueError: jinja2 is missing, or *out* does not end in .html, is a folder, or lies in none.
    """
    check_jinja(name)
    if out.suffix != SUFFIX:
        raise ValueError(f"{name} must end in {SUFFIX}, got {str(out)!r}; name the page to write")
    if out.is_dir():
        raise ValueError(f"{name} must be a file, got the folder {str(out)!r}; choose another name")
    if not out.parent.is_dir():
        raise ValueError(
            f"{name} must lie in a folder that exists, got {str(out)!r}; make {str(out.parent)!r} first"
        )
