"""Which tasks exist, in which order, and which parameters their variants take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

CATEGORIES = ("waiting_line", "text_writing", "puzzles", "list_ops")
"""Every category of built-in tasks; list_ops is collected only when named and enters no suite."""

BENCHMARK_IDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "waiting_line": (
            "copy",
            "sort",
            "reverse",
            "shuffle",
            "replace_index",
            "replace_random",
            "insert_index",
            "insert_random",
            "remove_index",
            "remove_random",
        ),
        "text_writing": ("paraphrasing", "summarization", "w2s_easy", "w2s_medium", "w2s_hard"),
        "puzzles": ("latin_square", "sudoku"),
    }
)
"""The 17 tasks of the suite ``all`` by category, in benchmark order."""

LONG_LINE = 15
"""People in the waiting lines of the paper's comparison with autoregressive and closed models."""

TASK_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {f"waiting_line_n{LONG_LINE}": tuple(f"{task}:n={LONG_LINE}" for task in BENCHMARK_IDS["waiting_line"])}
)
"""Names that stand for several variants where tasks are chosen; each is a suite too."""

WORDS = 4
"""Words that a sample of words-to-sentence gives; a variant asks for the first of them."""

RELEASED_WORDS = (1, 3, 4, 5, 6, 7)
"""Words in the files of words-to-sentence that were published; those with `WORDS` are the task itself."""

LIST_OP_IDS = ("list_copy", "list_replace_index", "list_replace_random", "list_shuffle")

GENERATORS = ("waiting_line", "list_ops", "latin_square", "sudoku")

TRACES = ("draws", "places")
"""How the steps of a list operation on letters are written: see `task_specs.generate.traces`."""

TRACED_OPERATIONS = ("shuffle", "replace_random")
"""List operations with something to choose, whose choices a trace can write down."""

MOST_TRACED = 7
"""Longest list with a trace: all its answers are listed, 5,040 orders of 7."""

CANVAS_SIZES = (32, 64, 128, 256)
TOKENS_PER_ITEM: Mapping[str, float] = MappingProxyType({"waiting_line": 4.5, "list_ops": 5.0})
"""Estimated tokens of one item of an answer with its share of quotes and commas, by generator.

It sizes the canvas of a variant (`canvas_for`) for tokenizers that spell most names as one or two tokens.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """What a caller may vary: ``low`` to ``high`` for a whole number; both None for a switch."""

    name: str
    low: int | None
    high: int | None
    meaning: str

    @property
    def rule(self) -> str:
        """The values it takes, for an error message."""
        return "true or false" if self.low is None else f"a whole number from {self.low} to {self.high}"


def parameters_of(
    generator: str | None,
    operation: str | None = None,
    *,
    cot: bool = False,
    words: int | None = None,
    most_words: int | None = None,
) -> Mapping[str, Parameter]:
    """Return the parameters of a task by name, in the order they appear in a variant's id.

    Args:
        generator: Name of its generator, or None for a task whose samples are a user's file.
        operation: The generator's operation, where it has one.
        cot: Whether the spec has a chain-of-thought prompt.
        words: How many words its samples give, or None where they give none.
        most_words: How many can be asked for where samples from elsewhere give more; None for *words*.
    """
    found = []
    if generator == "waiting_line":
        found.append(Parameter(name="n", low=2, high=20, meaning="people in the line"))
    if generator == "list_ops":
        high = 25 if operation is not None and operation.startswith("replace") else 26
        found.append(Parameter(name="n", low=2, high=high, meaning="items in the list"))
    if generator == "sudoku":
        found.append(Parameter(name="blanks", low=1, high=12, meaning="blank cells of the 16"))
    if words is not None:
        found.append(
            Parameter(name="words", low=1, high=most_words or words, meaning="given words, the first ones")
        )
    if cot:
        found.append(Parameter(name="cot", low=None, high=None, meaning="think aloud before the answer"))
    if generator is not None:
        found.append(Parameter(name="samples", low=1, high=10_000, meaning="number of samples"))
    found.append(Parameter(name="canvas", low=1, high=4096, meaning="generated positions"))
    return {parameter.name: parameter for parameter in found}


VARIANT_PARAMS: Mapping[str, Mapping[str, Parameter]] = MappingProxyType(
    {
        **{task: parameters_of("waiting_line", task, cot=True) for task in BENCHMARK_IDS["waiting_line"]},
        **{
            task: parameters_of(
                None, words=WORDS if task.startswith("w2s_") else None, most_words=max(RELEASED_WORDS)
            )
            for task in BENCHMARK_IDS["text_writing"]
        },
        **{task: parameters_of(task) for task in BENCHMARK_IDS["puzzles"]},
        **{task: parameters_of("list_ops", task.removeprefix("list_")) for task in LIST_OP_IDS},
    }
)
"""Task id to its parameters by name."""


def canvas_for(generator: str, n: int, n_answer: int) -> int:
    """Return the smallest canvas that holds an answer of *n_answer* items for a list of *n*.

    The estimate is `TOKENS_PER_ITEM` times the larger of both, so that waiting lines up to 7 people take 32.
    """
    needed = TOKENS_PER_ITEM[generator] * max(n, n_answer)
    return next(size for size in CANVAS_SIZES if size >= needed)


def trace_length(trace: str, operation: str, n: int) -> int:
    """Return how many numbers a trace has for *n* letters: replacing one of them is a single draw."""
    return 1 if (trace, operation) == ("draws", "replace_random") else n


def variant_id(text: str) -> str:
    """Return the id of the variant that is written ``copy:n=15``: ``copy_n15``."""
    task, _, parameter = text.partition(":")
    return f"{task}_{parameter.replace('=', '')}"


def specs_folder() -> Traversable:
    """Return the folder of the built-in specs."""
    return files("task_specs") / "specs"


def task_ids() -> tuple[str, ...]:
    """Return the ids of the suite ``all`` that have a spec in this version, in benchmark order."""
    present = {entry.name for entry in specs_folder().iterdir()}
    return tuple(task for ids in BENCHMARK_IDS.values() for task in ids if f"{task}.yaml" in present)


def list_op_ids() -> tuple[str, ...]:
    """Return the ids of the list operations, which run only when named."""
    return LIST_OP_IDS
