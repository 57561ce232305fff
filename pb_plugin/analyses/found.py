"""What an analysis found: rows of plain data, and what is missing with the command that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The rows of one analysis.

    Args:
        rows: Plain data, one mapping of equal keys for each.
        missing: A line for everything that the store lacks for it, with the command.
    """

    rows: tuple[Mapping[str, Any], ...]
    missing: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"rows": [dict(row) for row in self.rows], "missing": list(self.missing)}
