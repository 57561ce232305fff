"""What the text-writing data hold and how varied they are: the bounds that tests keep, and their measurement.

Run ``python -m task_specs.audit.data_card`` to print the measured numbers as a Markdown table.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from task_specs.catalogue import BENCHMARK_IDS
from task_specs.load import load_samples
from task_specs.sample import Enumerated
from task_specs.spec import builtin_spec

SAMPLES = 100
REFERENCES = 5
CANVAS = 64
"""Tokens that every reference fits in."""

STRATUM_WORDS = 5
"""``Sample.length`` is the number of words of the longest reference, rounded up to a multiple of this."""

MIN_TYPE_TOKEN_RATIO = 0.17
"""Distinct words over words, over the 500 references of a task (of about 17 words each)."""

MAX_SHARED_FOUR_GRAMS = 0.001
"""Share of a task's distinct runs of four words that stand in references of more than two samples."""

MIN_DISTINCT_OPENINGS = 0.95
"""Distinct first three words over references."""

_WORD = re.compile(r"[a-z0-9]+(?:['-][a-z0-9]+)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Variety:
    """How varied the references of a task are.

    Args:
        words: Words in all references.
        distinct_words: Different ones, upper and lower case alike.
        shortest: Words of the shortest reference.
        longest: Words of the longest reference.
        shared_four_grams: Share of the distinct runs of four words found in more than two samples.
        distinct_openings: Distinct first three words over references.
    """

    words: int
    distinct_words: int
    shortest: int
    longest: int
    shared_four_grams: float
    distinct_openings: float

    @property
    def type_token_ratio(self) -> float:
        """Distinct words over words."""
        return self.distinct_words / self.words

    @property
    def is_varied(self) -> bool:
        """Whether all three bounds of this file are kept."""
        return (
            self.type_token_ratio >= MIN_TYPE_TOKEN_RATIO
            and self.shared_four_grams <= MAX_SHARED_FOUR_GRAMS
            and self.distinct_openings >= MIN_DISTINCT_OPENINGS
        )


def words_of(text: str) -> list[str]:
    """Return the words of *text* in lower case; "mother's" and "two-room" are one word each."""
    return _WORD.findall(text.lower())


def stratum(references: Sequence[str]) -> int:
    """Return the ``Sample.length`` of a sample with these references."""
    longest = max(len(text.split()) for text in references)
    return -(-longest // STRATUM_WORDS) * STRATUM_WORDS


def variety(samples: Sequence[Sequence[str]]) -> Variety:
    """Return how varied the references of *samples* are.

    Args:
        samples: The references of each sample, of four words or more each.

    Raises:
        ValueError: There is no run of four words to count.
    """
    found: dict[tuple[str, ...], set[int]] = defaultdict(set)
    texts = []
    for place, references in enumerate(samples):
        for words in map(words_of, references):
            texts.append(words)
            for start in range(len(words) - 3):
                found[tuple(words[start : start + 4])].add(place)
    if not found:
        raise ValueError("samples must hold a reference of four words or more, got none; add references")
    return Variety(
        words=sum(map(len, texts)),
        distinct_words=len(set(chain.from_iterable(texts))),
        shortest=min(map(len, texts)),
        longest=max(map(len, texts)),
        shared_four_grams=sum(len(places) > 2 for places in found.values()) / len(found),
        distinct_openings=len({tuple(words[:3]) for words in texts}) / len(texts),
    )


def reference_texts(task_id: str) -> list[tuple[str, ...]]:
    """Return the references of every sample of a text-writing task of ours."""
    answers = (sample.answers for sample in load_samples(builtin_spec(task_id)))
    return [answer.texts for answer in answers if isinstance(answer, Enumerated)]


def as_markdown() -> str:
    """Return the measured numbers of every text-writing task as a Markdown table."""
    head = "task | samples | references | words each | distinct words | type-token ratio"
    lines = [f"| {head} | shared 4-grams | distinct openings |", "|---|" + "---:|" * 7]
    for task_id in BENCHMARK_IDS["text_writing"]:
        samples = reference_texts(task_id)
        row = variety(samples)
        lines.append(
            f"| {task_id} | {len(samples)} | {sum(map(len, samples))} | {row.shortest}-{row.longest} "
            f"| {row.distinct_words} | {row.type_token_ratio:.3f} | {100 * row.shared_four_grams:.3f} % "
            f"| {100 * row.distinct_openings:.1f} % |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(as_markdown(), end="")
