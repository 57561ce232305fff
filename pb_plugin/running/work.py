"""How many forwards a run computed, and how many its rows count; how full they were, and with what."""

from __future__ import annotations

from dataclasses import dataclass

FILL_FROM = 10_000
"""From so many canvases on it is told how full forwards were: fewer need not fill one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """Forwards of single canvases: ``computed`` by the model, ``counted`` as the NFE of what was decoded.

    ``positions`` are those of all canvases computed in the loop, ``padded`` of them left of a prompt;
    ``room`` is what the forwards had room for.
    """

    computed: int = 0
    counted: int = 0
    positions: int = 0
    padded: int = 0
    room: int = 0

    def __add__(self, other: Work) -> Work:
        """Return the sum, as of two processes."""
        return Work(
            computed=self.computed + other.computed,
            counted=self.counted + other.counted,
            positions=self.positions + other.positions,
            padded=self.padded + other.padded,
            room=self.room + other.room,
        )

    @property
    def line(self) -> str:
        """The work for people."""
        share = self.computed / self.counted
        line = (
            f"forwards: {self.computed:,} computed for {self.counted:,} counted ({share:.0%}): settings of a "
            "sample share those of equal canvases"
        )
        if not self.room or self.computed < FILL_FROM:
            return line
        full, padded = self.positions / self.room, self.padded / self.positions
        return f"{line}; forwards {full:.0%} full, {padded:.1%} of their positions padding"
