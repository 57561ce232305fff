"""Damaged JSON for tests of readers: a value, key or stretch of text changed at random; what a refusal is."""

import json
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any

JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 2**31, 2**63, -(2**70), 10**400, 0.5, -0.0, 1e308, float("nan")),
    *(
        "",
        "a",
        "\0",
        "\ud800",
        "é😀",
        "[UNK]",
        "(((",
        "(a+)+$",
        "x" * 5000,
        "default",
        "yarn",
        "BPE",
        "WordLevel",
    ),
    *(
        [],
        [[]],
        [None],
        [0, 1],
        ["a", "a"],
        {},
        {"a": 1},
        {"type": "BPE"},
        {"": None},
        [[["a"]]],
        {"type": "Sequence"},
    ),
)
"""What a value is replaced by."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside *value*, at most the first 20 of a long one."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in list(entries)[:20]:
        yield (*path, key)
        yield from places(inner, (*path, key))


def damaged(text: str, seed: int) -> str:
    """Return *text*, a JSON object, with one to three random faults."""
    draw = Random(seed)
    value = json.loads(text)
    for _ in range(draw.randint(1, 3)):
        *path, key = draw.choice(list(places(value)) or [("a",)])
        inside = value
        for step in path:
            inside = inside[step]
        fault = draw.randrange(4)
        if fault == 0 and key in (inside if isinstance(inside, dict) else range(len(inside))):
            del inside[key]
        elif fault == 1 and isinstance(inside, dict):
            inside[draw.choice(("", "extra", "type", str(key)))] = deepcopy(draw.choice(JUNK))
        else:
            inside[key] = deepcopy(draw.choice(JUNK))
        if not isinstance(value, dict) or not value:
            break
    written = json.dumps(value)
    if draw.randrange(10) == 0:
        cut = draw.randrange(len(written))
        written = draw.choice(
            (written[:cut], written[:cut] + "[" * 100_000, written[:cut] + '"' + written[cut:])
        )
    return written


def check_refusal(error: BaseException, *parts: str) -> None:
    """Assert that *error* says in one short line, for any terminal, what is wrong and what to do."""
    said = str(error)
    assert all(part in said for part in parts), said
    assert "; " in said, said
    assert said.isprintable(), said
    assert len(said) < 1200, said
