"""What `tiny` is asked in training: a batch of one kind of questions, the kinds mixed by fixed shares."""

from __future__ import annotations

import numpy as np

from task_specs.questions.puzzles import latin, sudokus
from task_specs.questions.vocabulary import WAITING_LINE
from task_specs.questions.waiting_lines import Questions, joined, waiting_lines

ROWS = 64
PUZZLE_SHARE = 0.2
"""Share of the batches that hold sudokus and Latin squares, half each, instead of waiting lines."""

TASK_WEIGHTS = {
    "copy": 0.5,
    "reverse": 0.5,
    "sort": 3.0,
    "shuffle": 1.5,
    "replace_index": 0.6,
    "replace_random": 1.5,
    "insert_index": 0.6,
    "insert_random": 1.5,
    "remove_index": 0.5,
    "remove_random": 1.2,
}
"""How often a task is drawn, relative to the others: what is hard to learn comes more often."""


def draw(rng: np.random.Generator) -> Questions:
    """Return the questions of one batch; *rng* decides all of them."""
    if rng.random() < PUZZLE_SHARE:
        return joined(latin(rng, ROWS // 2), sudokus(rng, ROWS // 2))
    weights = np.array([TASK_WEIGHTS[task] for task in WAITING_LINE])
    return waiting_lines(rng, rng.choice(len(WAITING_LINE), size=ROWS, p=weights / weights.sum()))
