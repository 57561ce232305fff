"""How the lines of a drawing are told apart, in colour and in grey.

The colours are those that Okabe and Ito, Color Universal Design (2008), chose for readers of every colour
vision, without yellow, which is too light for a line on white.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
"""Circle, square, triangle, diamond, triangle on its tip, plus, cross, pentagon."""

DASHES = ((), (6, 2), (1, 1.5), (7, 2, 1, 2), (3, 1))
"""Lengths of strokes and gaps in widths of the line; none: solid."""
MOST_METHODS = len(COLOURS) * len(MARKERS)
MOST_MODELS = 2 * len(DASHES)
"""Beyond these two lines would look alike; every second model has hollow marks."""

LARGEST = 1.6
"""Size of the marks of the line drawn first, where that of the last is 1: equal points show as rings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """How one line is drawn: its colour, the marker of its points and its scale, its dashes."""

    colour: str
    marker: str
    dash: tuple[float, ...]
    hollow: bool
    scale: float


def styles_of(lines: Sequence[tuple[str, str]]) -> list[Style]:
    """Return a style for every line: colour and marker say the method, dashes and filling the model.

    Args:
        lines: The model and the method of each line.

    Raises:
        ValueError: There are more models or methods than can be told apart.
    """
    models, methods = (list(dict.fromkeys(line[part] for line in lines)) for part in (0, 1))
    for what, found, most in (("models", models, MOST_MODELS), ("methods", methods, MOST_METHODS)):
        if len(found) > most:
            raise ValueError(
                f"{what} of a drawing must be at most {most}, got {len(found)}; more would look alike: "
                "plot a run of fewer"
            )
    step = (LARGEST - 1) / max(1, len(lines) - 1)
    return [
        Style(
            colour=COLOURS[methods.index(method) % len(COLOURS)],
            marker=MARKERS[methods.index(method) % len(MARKERS)],
            dash=DASHES[models.index(model) % len(DASHES)],
            hollow=models.index(model) % 2 == 1,
            scale=LARGEST - step * place,
        )
        for place, (model, method) in enumerate(lines)
    ]
