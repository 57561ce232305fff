"""Rules that the samples of the text-writing tasks have to keep, for the audit of the published files."""

from __future__ import annotations

import re
from collections.abc import Callable

from task_specs.sample import Enumerated, Sample
from task_specs.scoring.text import includes

Rule = Callable[[Sample], bool]

HAS_REFERENCE = "there is a reference"
"""The rule that every sample is asked; the ones about references are asked of samples that have some."""


def references(sample: Sample) -> tuple[str, ...]:
    """Return the reference texts of *sample*; none where the data hold none."""
    return sample.answers.texts if isinstance(sample.answers, Enumerated) else ()


def shown_words(text: str) -> list[str]:
    """Return the words of a list such as "tea, cup, and sugar"."""
    return [word.strip() for word in re.split(r",\s*(?:and\s+)?|\s+and\s+", text) if word.strip()]


def sample_rules(task_id: str) -> dict[str, Rule]:
    """Return the rules about a sample as a whole, by their words."""
    rules: dict[str, Rule] = {HAS_REFERENCE: lambda sample: bool(references(sample))}
    if task_id.startswith("w2s_"):
        return rules | {
            "the scored words are those shown": lambda sample: (
                shown_words(sample.fields["words"]) == sample.facts["words"]
            ),
            "no word is given twice": lambda sample: (
                len(set(sample.facts["words"])) == len(sample.facts["words"])
            ),
        }
    return rules | {
        "the scored text is the one shown": lambda sample: sample.fields["text"] == sample.facts["text"]
    }


def reference_rules(task_id: str) -> dict[str, Rule]:
    """Return the rules about the references of a sample that has some, by their words."""
    if task_id.startswith("w2s_"):
        return {
            "every reference holds every word": lambda sample: all(
                includes(text, word) for text in references(sample) for word in sample.facts["words"]
            )
        }
    rules: dict[str, Rule] = {
        "no reference is the text itself": lambda sample: all(
            _plain(text) != _plain(sample.facts["text"]) for text in references(sample)
        ),
        "no two references are equal": lambda sample: (
            len({_plain(text) for text in sample.facts["references"]}) == len(sample.facts["references"])
        ),
    }
    if task_id == "summarization":
        rules["the summary is shorter than the text"] = lambda sample: all(
            len(text) < len(sample.facts["text"]) for text in references(sample)
        )
    return rules


def _plain(text: str) -> str:
    """Return the letters and digits of *text*, so that case and punctuation make no difference."""
    return "".join(re.findall(r"\w+", text.lower()))
