"""How the lines of a drawing are told apart, in colour and in grey.

The colours are those that Okabe and Ito, Color Universal Design (2008), chose for readers of every colour
vision, without yellow, which is too light for a line on white.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
SHAPES = (
    "M-3.5,0a3.5,3.5 0 1,0 7,0a3.5,3.5 0 1,0 -7,0z",
    "M-3.1,-3.1h6.2v6.2h-6.2z",
    "M0,-4.2l4,7h-8z",
    "M0,-4.6l4.6,4.6l-4.6,4.6l-4.6,-4.6z",
    "M0,4.2l4,-7h-8z",
    "M-1.3,-4h2.6v2.7h2.7v2.6h-2.7v2.7h-2.6v-2.7h-2.7v-2.6h2.7z",
    "M-3.4,-3.6h6.8l-6.8,7.2h6.8z",
    "M0,-4.1l3.9,2.8l-1.5,4.6h-4.8l-1.5,-4.6z",
)
"""Circle, square, triangle, diamond, triangle on its tip, cross, hourglass, pentagon, around the origin."""

DASHES = ("", "6 3", "1.5 2.5", "9 3 1.5 3", "3 2")
MOST_METHODS = len(COLOURS) * len(SHAPES)
MOST_MODELS = 2 * len(DASHES)
"""Beyond these two lines would look alike; every second model has hollow marks."""

LARGEST = 1.6
"""Size of the marks of the line drawn first, where that of the last is 1: equal points show as rings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """How one line is drawn: its colour, the shape and size of its marks, its dashes (none: solid)."""

    colour: str
    shape: str
    dash: str
    hollow: bool
    scale: float


def styles_of(lines: Sequence[tuple[str, str]]) -> list[Style]:
    """Return a style for every line: colour and shape say the method, dashes and filling the model.

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
            shape=SHAPES[methods.index(method) % len(SHAPES)],
            dash=DASHES[models.index(model) % len(DASHES)],
            hollow=models.index(model) % 2 == 1,
            scale=LARGEST - step * place,
        )
        for place, (model, method) in enumerate(lines)
    ]
