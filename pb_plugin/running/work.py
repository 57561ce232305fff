"""How many forwards a run computed, and how many its rows count; settings of a sample share the rest."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """Forwards of single canvases: ``computed`` by the model, ``counted`` as the NFE of what was decoded."""

    computed: int = 0
    counted: int = 0

    def __add__(self, other: Work) -> Work:
        """Return the sum, as of two processes."""
        return Work(computed=self.computed + other.computed, counted=self.counted + other.counted)

    @property
    def line(self) -> str:
        """The work for people."""
        share = self.computed / self.counted
        return (
            f"forwards: {self.computed:,} computed for {self.counted:,} counted ({share:.0%}): settings of a "
            "sample share those of equal canvases"
        )
