"""What the keys of a task's YAML file may hold, as data: checks and error texts come from one place."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from task_specs.answers import OPERATIONS
from task_specs.catalogue import GENERATORS, LIST_OP_IDS, TRACES
from task_specs.document import Rule

TEXT_RULES = ("first_eos", "whole_canvas")
TOOLS = ("grammar", "bertscore", "passed")
ANSWER_SOURCES = ("derived", "stored")

SCORER_NAME = re.compile(r"[a-z][a-z0-9_]*|[\w.]+:[\w.]+")
NAME = re.compile(r"[a-z][a-z0-9_]*")
PLAIN_FILE = re.compile(r"[\w-][\w.-]*\.jsonl")
SHA256 = re.compile(r"[0-9a-f]{64}")


def whole(low: int, high: int) -> Callable[[Any], bool]:
    """Return the test for a whole number in a range; ``true`` is none."""
    return lambda value: type(value) is int and low <= value <= high


def number(low: int, high: int, cure: str, *, required: bool = False, default: Any = None) -> Rule:
    """Return the rule of a key that holds a whole number in a range."""
    return Rule(
        text=f"a whole number from {low} to {high}",
        accepts=whole(low, high),
        cure=cure,
        required=required,
        default=default,
    )


def matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    """Return the test for a text that fits *pattern* as a whole."""
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def choice(options: Collection[str], cure: str, *, required: bool = False, default: Any = None) -> Rule:
    """Return the rule of a key that holds one of *options*."""
    return Rule(
        text=f"one of {', '.join(options)}",
        accepts=lambda value: isinstance(value, str) and value in options,
        cure=cure,
        required=required,
        default=default,
    )


def is_text(value: Any) -> bool:
    """Whether *value* is a text with something in it."""
    return isinstance(value, str) and bool(value.strip())


def _name(cure: str) -> Rule:
    rule = "a name of a-z, 0-9 and _ that starts with a letter"
    return Rule(text=rule, accepts=matches(NAME), cure=cure, required=True)


def _lengths(high: int, cure: str, *, required: bool = False, default: Any = None) -> Rule:
    return Rule(
        text=f"a list of whole numbers from 2 to {high}",
        accepts=lambda value: isinstance(value, list) and bool(value) and all(map(whole(2, high), value)),
        cure=cure,
        required=required,
        default=default,
    )


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _are_tools(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(tool, str) and tool in TOOLS for tool in value)


def _is_floor(value: Any) -> bool:
    return type(value) in (int, float) and 0.0 <= value <= 1.0


SPEC: Mapping[str, Rule] = MappingProxyType(
    {
        "id": _name("name the task"),
        "category": _name("name the group of tasks it belongs to"),
        "version": number(1, 10**6, "start at 1, raise it whenever a score may move", required=True),
        "prompt": Rule(
            text="a text", accepts=is_text, cure="write the question with {fields}", required=True
        ),
        "prompt_compact": Rule(
            text="a text", accepts=is_text, cure="write task word and {fields}, or leave it out"
        ),
        "shots": number(0, 8, "say how many worked examples come first", default=0),
        "canvas": number(1, 4096, "say how many positions are generated", required=True),
        "infilling": Rule(
            text="true or false",
            accepts=lambda v: isinstance(v, bool),
            cure="leave it out for false",
            default=False,
        ),
        "positions": number(1, 4096, "count the [MASK]s of a template"),
        "text_rule": choice(TEXT_RULES, "leave it out for first_eos", default="first_eos"),
        "scorer": Rule(
            text="the name of a scorer or module:attribute",
            accepts=matches(SCORER_NAME),
            cure="name a built-in scorer, or a function of yours as package.module:function",
            required=True,
        ),
        "score": _name("name the score the averages use, such as accuracy"),
        "needs": Rule(
            text=f"a list of {', '.join(TOOLS)}", accepts=_are_tools, cure="leave it out for none", default=[]
        ),
        "samples": number(1, 10**6, "say how many samples there are"),
        "words": number(1, 20, "say how many words each sample gives; leave it out where it gives none"),
        "generator": choice(GENERATORS, "or leave it out and name a data file"),
        "seed": Rule(text="a text", accepts=is_text, cure="write one in quotes, such as 'my-task'"),
        "parameters": Rule(
            text="a mapping", accepts=_is_mapping, cure="write 'name: value' lines below it", default={}
        ),
        "data": Rule(
            text="the name of a .jsonl file in the data folder",
            accepts=matches(PLAIN_FILE),
            cure="put the file beside the task file and give its bare name",
        ),
        "checksum": Rule(
            text="64 hexadecimal digits in quotes",
            accepts=matches(SHA256),
            cure="take the output of sha256sum",
        ),
        "answers": choice(ANSWER_SOURCES, "derived from the facts, or stored in the data"),
        "cot": Rule(text="a mapping", accepts=_is_mapping, cure="give it prompt, canvas and marker"),
        "floor": Rule(text="a number from 0 to 1", accepts=_is_floor, cure="leave it out for no floor"),
        "notes": Rule(text="a text", accepts=is_text, cure="leave it out for none", default=""),
    }
)

COT: Mapping[str, Rule] = MappingProxyType(
    {
        "prompt": Rule(
            text="a text", accepts=is_text, cure="ask for the steps and the marker", required=True
        ),
        "prompt_compact": Rule(
            text="a text", accepts=is_text, cure="write task word and {fields}, or leave it out"
        ),
        "canvas": number(1, 4096, "leave room for the steps", required=True),
        "version": number(1, 10**6, "leave it out for that of the task; raise it with the prompt", default=1),
        "marker": Rule(
            text="a text", accepts=is_text, cure="name the words before the answer", required=True
        ),
        "trace": choice(TRACES, "say which numbers the steps are; leave it out where they are prose"),
    }
)

GENERATOR_PARAMETERS: Mapping[str, Mapping[str, Rule]] = MappingProxyType(
    {
        "waiting_line": {
            "operation": choice(OPERATIONS, "name what is done to the line", required=True),
            "lengths": _lengths(20, "give the lengths of the lines, such as [3, 4, 5, 6]", required=True),
            "shot_lengths": _lengths(8, "leave it out for [3, 4, 5, 6]", default=[3, 4, 5, 6]),
        },
        "list_ops": {
            "operation": choice(
                [task.removeprefix("list_") for task in LIST_OP_IDS],
                "name what is done to the list",
                required=True,
            ),
            "n": number(2, 26, "give the number of letters", required=True),
        },
        "latin_square": {},
        "sudoku": {"blanks": number(1, 12, "give the number of blank cells", required=True)},
    }
)
