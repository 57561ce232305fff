"""Where things stand in a drawing of small multiples: panels in a grid, axes, ticks; lengths in pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

MOST_COLUMNS = 5
SMALLEST_PANEL = 172.0
LEAST_PLOT_WIDTH = 520.0
"""What one or two panels are widened to, so that legend and caption have room below them."""

ASPECT = 0.76
GAP_X, GAP_Y = 14.0, 30.0
LEFT, TOP, RIGHT = 58.0, 30.0, 18.0
INSET = 8.0
"""Distance of the outermost values from the frame, so that a mark at 0 or 100 % is whole."""

MOST_TICKS = 8
PERCENTS = (0, 25, 50, 75, 100)
LETTER, PROSE_LETTER = 0.58, 0.535
"""Widths of a letter of a sans-serif font as shares of its size: in a name, and the mean of running text."""


def text_width(text: str, size: float) -> float:
    """Return about how wide *text* is; which font a viewer takes is not known."""
    return LETTER * size * len(text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One panel: its rectangle, and the powers of two at the ends of its horizontal axis."""

    left: float
    top: float
    width: float
    height: float
    low: int
    high: int

    def x(self, tps: float) -> float:
        """Return where *tps* tokens per step stand; equal factors are equal distances."""
        share = (math.log2(tps) - self.low) / (self.high - self.low)
        return self.left + INSET + share * (self.width - 2 * INSET)

    def y(self, percent: float) -> float:
        """Return where a score of *percent* stands; 100 is up."""
        return self.top + INSET + (1 - percent / 100) * (self.height - 2 * INSET)


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """All panels; they share their axes.

    Args:
        n: Number of panels.
        columns: Panels side by side.
        low: The axis starts at 2 to this power, 1 or less.
        high: It ends at 2 to this power, 2 or more.
    """

    n: int
    columns: int
    low: int
    high: int

    @classmethod
    def of(cls, n: int, tps: Iterable[float]) -> Grid:
        """Return rows of nearly equal length, and the powers of two around all of *tps*."""
        exponents = [math.log2(value) for value in tps]
        rows = math.ceil(n / MOST_COLUMNS)
        low = min(0, math.floor(min(exponents)))
        return cls(n=n, columns=math.ceil(n / rows), low=low, high=max(1, math.ceil(max(exponents))))

    @property
    def panel_width(self) -> float:
        """Width of a frame."""
        room = LEAST_PLOT_WIDTH - GAP_X * (self.columns - 1)
        return max(SMALLEST_PANEL, room / self.columns)

    @property
    def panel_height(self) -> float:
        """Height of a frame."""
        return ASPECT * self.panel_width

    @property
    def right(self) -> float:
        """Right end of the last column."""
        return LEFT + self.columns * self.panel_width + GAP_X * (self.columns - 1)

    @property
    def bottom(self) -> float:
        """Lower end of the last row."""
        rows = math.ceil(self.n / self.columns)
        return TOP + rows * self.panel_height + GAP_Y * (rows - 1)

    @property
    def width(self) -> float:
        """Width of the whole drawing."""
        return self.right + RIGHT

    def frame(self, place: int) -> Frame:
        """Return the frame of panel number *place*, row by row."""
        row, column = divmod(place, self.columns)
        return Frame(
            left=LEFT + column * (self.panel_width + GAP_X),
            top=TOP + row * (self.panel_height + GAP_Y),
            width=self.panel_width,
            height=self.panel_height,
            low=self.low,
            high=self.high,
        )

    def has_x_labels(self, place: int) -> bool:
        """Return whether no panel stands below number *place*."""
        return place + self.columns >= self.n

    def has_y_labels(self, place: int) -> bool:
        """Return whether no panel stands left of number *place*."""
        return place % self.columns == 0

    def ticks(self) -> list[tuple[float, str]]:
        """Return the marked tokens per step with their labels; of a long axis every second or third power."""
        stride = math.ceil((self.high - self.low + 1) / MOST_TICKS)
        shown = [exponent for exponent in range(self.low, self.high + 1) if exponent % stride == 0]
        return [(2.0**e, str(2**e) if e >= 0 else f"1/{2**-e}") for e in shown]
