"""Random questions of the ten waiting-line tasks with an answer each, as token ids; whole batches at once.

The rules are those of `task_specs.generate.waiting_line`, without the worked examples: no first or last name
occurs twice, every valid answer is equally likely. Legend: B = rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from task_specs.generate.names import FIRST_NAMES, LAST_NAMES
from task_specs.questions import layout
from task_specs.questions.held_out import Ints, crowd_codes, held_out_crowds
from task_specs.questions.layout import LENGTHS, MOST_PEOPLE
from task_specs.questions.vocabulary import (
    BETWEEN,
    BLANK,
    CLOSE,
    COMMA_BLANK,
    DIGIT_ZERO,
    EOS,
    FIRST_NAME,
    LAST_NAME,
    NEWLINE,
    OPEN,
    TASK_WORD,
    WAITING_LINE,
)

_TASK = {name: place for place, name in enumerate(WAITING_LINE)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Questions:
    """Questions whose answers are of one kind, so that a batch can be cut to the same length.

    Args:
        prompts: int64 [B, PROMPT].
        answers: Answers followed by EOS, int64 [B, CANVAS].
        shown: Positions from the first on that an answer may fill; behind them there is nothing but EOS.
        tasks: Places in `TASKS`, int64 [B].
    """

    prompts: Ints
    answers: Ints
    shown: int
    tasks: Ints


def joined(*parts: Questions) -> Questions:
    """Return the questions of *parts*, which show equally much, one part after the other."""
    (shown,) = {part.shown for part in parts}
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("prompts", "answers", "tasks")
    }
    return Questions(**arrays, shown=shown)


def waiting_lines(rng: np.random.Generator, tasks: Ints) -> Questions:
    """Return one question per entry of *tasks*, indices into `WAITING_LINE`.

    No line holds the people of a line in the frozen samples.
    """
    rows = len(tasks)
    lengths = rng.choice(LENGTHS, rows)
    firsts, lasts = _people(rng, lengths, tasks)
    index = (rng.random(rows) * (lengths + _is(tasks, "insert"))).astype(np.int64)
    order = _orders(rng, tasks, lengths, lasts, index)
    prompts = np.full((rows, layout.PROMPT), BLANK, dtype=np.int64)
    prompts[:, 0] = TASK_WORD + tasks
    told = np.flatnonzero(np.isin(tasks, [_TASK[name] for name in WAITING_LINE if name.endswith("_index")]))
    prompts[told, 1], prompts[told, 2] = COMMA_BLANK, DIGIT_ZERO + index[told]
    used = np.ones(rows, dtype=np.int64)
    used[told] = 3
    joined = np.flatnonzero(_is(tasks, "insert") | _is(tasks, "replace"))
    newcomer = (COMMA_BLANK, FIRST_NAME + firsts[joined, -1], LAST_NAME + lasts[joined, -1])
    for offset, tokens in enumerate(newcomer):
        prompts[joined, used[joined] + offset] = tokens
    used[joined] += 3
    prompts[np.arange(rows), used] = NEWLINE
    everyone = np.broadcast_to(np.arange(MOST_PEOPLE), (rows, MOST_PEOPLE))
    listed = _list_tokens(firsts, lasts, everyone, lengths, BLANK)
    prompts[:, layout.HEAD :] = listed[:, : layout.BODY]
    answers = np.full((rows, layout.CANVAS), EOS, dtype=np.int64)
    sizes = lengths + _is(tasks, "insert") - _is(tasks, "remove")
    answers[:, : layout.LIST_ANSWER] = _list_tokens(firsts, lasts, order, sizes, EOS)
    return Questions(prompts=prompts, answers=answers, shown=layout.LIST_ANSWER, tasks=tasks)


def _is(tasks: Ints, kind: str) -> Ints:
    named = [place for name, place in _TASK.items() if name.startswith(kind)]
    return np.isin(tasks, named).astype(np.int64)


def _people(rng: np.random.Generator, lengths: Ints, tasks: Ints) -> tuple[Ints, Ints]:
    """Return first and last names int64 [B, MOST_PEOPLE]; a line to be sorted is not in order."""
    firsts, lasts = (_distinct(rng, len(lengths), len(names)) for names in (FIRST_NAMES, LAST_NAMES))
    while True:
        stands = np.arange(1, MOST_PEOPLE) < lengths[:, None]
        is_sorted = ((np.diff(lasts, axis=1) > 0) | ~stands).all(axis=1) & (tasks == _TASK["sort"])
        held_out = np.isin(crowd_codes(firsts, lasts, lengths), held_out_crowds())
        again = np.flatnonzero(is_sorted | held_out)
        if not len(again):
            return firsts, lasts
        firsts[again] = _distinct(rng, len(again), len(FIRST_NAMES))
        lasts[again] = _distinct(rng, len(again), len(LAST_NAMES))


def _distinct(rng: np.random.Generator, rows: int, n: int) -> Ints:
    chosen: Ints = np.argpartition(rng.random((rows, n)), MOST_PEOPLE, axis=1)[:, :MOST_PEOPLE]
    return rng.permuted(chosen, axis=1)


def _orders(rng: np.random.Generator, tasks: Ints, lengths: Ints, lasts: Ints, index: Ints) -> Ints:
    """Return who stands where in the answers, int64 [B, MOST_PEOPLE]; what is beyond an answer is unused."""
    place = np.arange(MOST_PEOPLE)
    n, at, newcomer = lengths[:, None], index[:, None], MOST_PEOPLE - 1
    stands = place < n
    shuffled = np.argsort(np.where(stands, rng.random(stands.shape), 2.0), axis=1)
    while True:
        same = (~stands | (shuffled == place)).all(axis=1)
        if not same.any():
            break
        drawn = np.where(stands[same], rng.random((int(same.sum()), MOST_PEOPLE)), 2.0)
        shuffled[same] = np.argsort(drawn, axis=1)
    orders = {
        "copy": place,
        "reverse": n - 1 - place,
        "sort": np.argsort(np.where(stands, lasts, len(LAST_NAMES)), axis=1),
        "shuffle": shuffled,
        "replace": np.where(place == at, newcomer, place),
        "insert": np.where(place < at, place, np.where(place == at, newcomer, place - 1)),
        "remove": np.where(place < at, place, np.minimum(place + 1, newcomer)),
    }
    kinds = np.array([list(orders).index(name.partition("_")[0]) for name in WAITING_LINE])[tasks]
    found: Ints = np.zeros(stands.shape, dtype=np.int64)
    for kind, order in enumerate(orders.values()):
        found = np.where((kinds == kind)[:, None], order, found)
    return found


def _list_tokens(firsts: Ints, lasts: Ints, order: Ints, sizes: Ints, fill: int) -> Ints:
    """Return JSON lists of the people in *order*, int64 [B, LIST_ANSWER], *fill* after their ends."""
    rows = len(order)
    tokens = np.full((rows, layout.LIST_ANSWER), BETWEEN, dtype=np.int64)
    tokens[:, 0] = OPEN
    tokens[:, 1::3] = FIRST_NAME + np.take_along_axis(firsts, order, axis=1)
    tokens[:, 2::3] = LAST_NAME + np.take_along_axis(lasts, order, axis=1)
    tokens[np.arange(rows), 3 * sizes] = CLOSE
    return np.where(np.arange(layout.LIST_ANSWER) <= 3 * sizes[:, None], tokens, fill)
