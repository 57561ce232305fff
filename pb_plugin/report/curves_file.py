"""The file of a drawing: its format by its ending, its width, and what the drawing needs installed."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from pb_plugin.report.curves import Curves

SUFFIXES = (".svg", ".png", ".pdf")
WIDTH = "174mm"
"""Width of a page with two columns; one column is 84 mm."""

NARROWEST, WIDEST = 60.0, 500.0
MILLIMETRES = {"mm": 1.0, "cm": 10.0, "in": 25.4, "pt": 25.4 / 72}


def width_of(text: str, name: str = "--width") -> float:
    """Return a width in millimetres.

    Raises:
        ValueError: *text* is not a number with a unit, or is outside of the allowed widths.
    """
    found = re.fullmatch(rf"(\d+(?:\.\d+)?) ?({'|'.join(MILLIMETRES)})", text, re.ASCII)
    width = float(found[1]) * MILLIMETRES[found[2]] if found else 0.0
    if not NARROWEST <= width <= WIDEST:
        raise ValueError(
            f"{name} must be a width from {NARROWEST:g}mm to {WIDEST:g}mm, with its unit "
            f"({', '.join(MILLIMETRES)}), got {text!r}; 84mm is a column of a paper, 174mm a page"
        )
    return width


def check_out(out: Path) -> None:
    """Refuse a path that cannot become a drawing, before anything is read.

    Raises:
        ValueError: matplotlib is missing, or *out* has another ending, is a folder, or lies in none.
    """
    if out.suffix not in SUFFIXES:
        raise ValueError(
            f"OUT must end in {' or '.join(SUFFIXES)}, got {str(out)!r}; "
            "name the store first, then the drawing"
        )
    if find_spec("matplotlib") is None:
        raise ValueError(
            'pb plot must have matplotlib, got none installed; pip install -e ".[report]" (it is in all too)'
        )
    if out.is_dir():
        raise ValueError(f"OUT must be a file, got the folder {str(out)!r}; choose another name")
    if not out.parent.is_dir():
        raise ValueError(
            f"OUT must lie in a folder that exists, got {str(out)!r}; "
            f"make the folder {str(out.parent)!r} first"
        )


def write(curves: Curves, out: Path, width: float) -> None:
    """Draw *curves* to *out*, *width* millimetres wide, and replace what is there, whole or not at all.

    Raises:
        ValueError: There are more models or methods than can be told apart.
    """
    from pb_plugin.report.curves_drawing import drawing

    unfinished = out.with_name(f"{out.name}.part")
    try:
        unfinished.write_bytes(drawing(curves, out.suffix.removeprefix("."), width))
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
