"""Words of the written answers, for a tokenizer that has one token per word."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

_WORD = re.compile(r" ?[A-Za-z]+(?:'[A-Za-z]+)*")


def words_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Return every word in *texts* with the blank before it, sorted; each is longer than one character."""
    return tuple(sorted({word for text in texts for word in _WORD.findall(text) if len(word) > 1}))


@cache
def reference_words() -> tuple[str, ...]:
    """Return the words of the stored reference answers of all our own tasks."""
    from task_specs.catalogue import task_ids
    from task_specs.load import load_samples
    from task_specs.sample import Enumerated
    from task_specs.spec import builtin_spec

    specs = [spec for task in task_ids() if (spec := builtin_spec(task)).answers == "stored"]
    answers = [sample.answers for spec in specs for sample in load_samples(spec)]
    return words_of(text for found in answers if isinstance(found, Enumerated) for text in found.texts)
