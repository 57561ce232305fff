"""A task's own answers are right under its scorer, or the task is refused before anything is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from task_specs.document import shown
from task_specs.sample import Enumerated, Sample
from task_specs.scoring.scored import Scored

CONTENT: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "grammar": {"matches": 0, "rules": [], "version": "assumed"},
        "bertscore": {"precision": 1.0, "recall": 1.0, "f1": 1.0},
        "passed": {"passed": True},
    }
)
"""What tools say that have nothing to object: what is left is what the scorer itself finds."""

OF_RIGHT_ANSWERS = ("accuracy", "inclusion")
"""Scores that are 1 for every right answer, whichever score the averages use."""


def check_own_answers(
    samples: Iterable[Sample],
    score: Callable[[str, Sample, Mapping[str, Any]], Scored],
    *,
    scorer: str,
    main: str,
) -> None:
    """Check that every sample's example, and each answer of a set that is listed, scores 1.

    Args:
        samples: Of one task.
        score: Scores a whole output.
        scorer: What the scorer is called, for errors.
        main: The score that the averages use.

    Raises:
        ValueError: An answer does not, or the scorer raises or does not give *main*; names sample, scorer and
            answer.
    """
    for sample in samples:
        listed = sample.answers.texts if isinstance(sample.answers, Enumerated) else ()
        for text in dict.fromkeys((*([] if sample.example is None else [sample.example]), *listed)):
            try:
                values = score(text, sample, CONTENT).values
            except Exception as error:  # the boundary to a scorer that may be anybody's
                raise ValueError(
                    f"answers of sample {shown(sample.id)} must be scored by scorer {scorer}, "
                    f"got {type(error).__name__}: {shown(str(error))} for {shown(text)}; "
                    "correct the facts or the scorer"
                ) from error
            if main not in values:
                raise ValueError(
                    f"scorer {scorer} must give {main}, the score of the task, "
                    f"for sample {shown(sample.id)}, "
                    f"got {', '.join(values) or 'none'}; correct 'score' in the task file, or the scorer"
                )
            for name in dict.fromkeys((main, *OF_RIGHT_ANSWERS)):
                if values.get(name, 1.0) not in (1.0, None):
                    raise ValueError(
                        f"answers of sample {shown(sample.id)} must score 1 under scorer {scorer}, "
                        f"got {name} {values[name]:g} for {shown(text)}; "
                        "correct the answer, the facts or the scorer"
                    )
