"""How large a forward may be, and how full forwards were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from decoders.rows import Row


@dataclass(slots=True)
class Filled:
    """What forwards were made of: canvas ``positions``, those ``padded``, and the ``room`` that there was."""

    positions: int = 0
    padded: int = 0
    room: int = 0

    def add(self, rows: Sequence[Row], width: int, fitting: int) -> None:
        """Count a forward of *rows* with prompts padded to *width*, where *fitting* rows had fitted."""
        size = width + rows[0].gen_length
        self.positions += len(rows) * size
        self.padded += sum(width - len(row.prompt_ids) for row in rows)
        self.room += max(fitting, len(rows)) * size


@dataclass(slots=True)
class Budget:
    """How many canvas tokens one forward may hold; halved when memory runs out, and remembered by its owner.

    Args:
        tokens: Rows times canvas length of one forward.
        max_rows: Rows in one forward at the most, or None.
    """

    tokens: int
    max_rows: int | None = None

    def __post_init__(self) -> None:
        for name in ("tokens", "max_rows"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value!r}; 1 decodes row by row")

    def rows(self, width: int) -> int:
        """Return how many rows of *width* tokens fit, at least one."""
        fitting = max(1, self.tokens // width)
        return fitting if self.max_rows is None else min(fitting, self.max_rows)
