"""JSON files that others wrote: an object or a refusal in one line; what a refusal shows of a value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SHOWN = 200
"""How many characters of a value an error shows."""


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in the file *path*.

    Raises:
        ValueError: The file holds something else, or is nested so deep that it cannot be read.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} must be JSON, got {one_line(error)}; fetch it again") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must be a JSON object, got {shortened(values)}; fetch it again")
    return values


def shortened(value: Any) -> str:
    """Return *value* as Python writes it, cut where it is long."""
    try:
        written = repr(value)
    except (ValueError, RecursionError) as error:  # nested too deep, or a whole number of too many digits
        written = f"a {type(value).__name__} that cannot be shown ({one_line(error)})"
    return written if len(written) <= SHOWN else f"{written[:SHOWN]}... ({len(written)} characters)"


def one_line(error: BaseException, most: int = SHOWN) -> str:
    """Return what *error* says, on one line, without control characters, and cut after *most* characters."""
    said = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(str(error).split()))
    return said if len(said) <= most else f"{said[:most]}..."
