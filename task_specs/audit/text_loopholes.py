"""What degenerate outputs score on the text-writing tasks, whose grammar another program measures.

Run ``python -m task_specs.audit.text_loopholes`` to print it, with ``--write FILE`` to store it. Grammar is
measured by the LanguageTool that PB_LANGUAGETOOL names; without one it is shown as not measured.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from task_specs.audit.loopholes import REFUSAL
from task_specs.audit.tables import percent, print_or_store
from task_specs.catalogue import BENCHMARK_IDS, task_ids
from task_specs.load import load_samples
from task_specs.prompt import messages
from task_specs.sample import Sample
from task_specs.scoring import resolve_scorer
from task_specs.scoring.languagetool.checker import Backend, Grammar, launch, resolve
from task_specs.spec import TaskSpec, builtin_spec

CONSTANT = "It was a quiet morning, and nobody in the house was awake."

OUTPUTS = (
    "empty",
    "refusal",
    "constant sentence",
    "prompt",
    "input",
    "words in a frame",
    "answer of the next sample",
    "right",
)
"""Every degenerate output, in the order of the table; the last one is a reference, for comparison."""

BY_TOOL = frozenset({"grammar", "combined", "bertscore"})
"""Scores that rest on what another program measured; the rest can be computed anywhere."""

Measure = Callable[[Sequence[str]], Sequence[Mapping[str, Any]]]
"""Texts to what the tools return for each, as scorers read it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextLoophole:
    """Mean scores that one degenerate output reaches on one task, by name; None where not measured."""

    task: str
    output: str
    scores: Mapping[str, float | None]


def not_measured(texts: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """Return nothing for each of *texts*: the scores that rest on a tool become None."""
    return [MappingProxyType({})] * len(texts)


def by_grammar(grammar: Grammar) -> Measure:
    """Return the function that has *grammar* check the texts; BERTScore is not measured."""
    return lambda texts: [{"grammar": result.measured()} for result in grammar.check(texts)]


def text_outputs(spec: TaskSpec, sample: Sample, following: Sample) -> dict[str, str]:
    """Return the degenerate outputs that make sense for *sample*, by name.

    Args:
        spec: The task, for its prompt.
        sample: A sample of a text-writing task of ours.
        following: Another one, for an answer to the wrong question.
    """
    outputs = {
        "empty": "",
        "refusal": REFUSAL,
        "constant sentence": CONSTANT,
        "prompt": messages(spec, sample)[-1]["content"],
        "input": sample.fields["words" if "words" in sample.facts else "text"],
        "answer of the next sample": str(following.example),
        "right": str(sample.example),
    }
    if "words" in sample.facts:
        *first, last = sample.facts["words"]
        outputs["words in a frame"] = f"The words are {', '.join(first)}, and {last}."
    return {name: outputs[name] for name in OUTPUTS if name in outputs}


def text_loopholes(spec: TaskSpec, measure: Measure = not_measured) -> tuple[TextLoophole, ...]:
    """Return the mean scores of every degenerate output on one text-writing task."""
    scorer, samples = resolve_scorer(spec.scorer), load_samples(spec)
    following = (*samples[1:], samples[0])
    outputs = [text_outputs(spec, *pair) for pair in zip(samples, following, strict=True)]
    rows = []
    for name in outputs[0]:
        texts = [output[name] for output in outputs]
        found = [
            scorer(text, sample, measured).values
            for text, sample, measured in zip(texts, samples, measure(texts), strict=True)
        ]
        scores = {score: _mean([values[score] for values in found]) for score in found[0]}
        rows.append(TextLoophole(task=spec.id, output=name, scores=scores))
    return tuple(rows)


def text_loophole_table(measure: Measure = not_measured) -> tuple[TextLoophole, ...]:
    """Return the rows of every text-writing task that has a spec, in benchmark order."""
    present = (task for task in task_ids() if task in BENCHMARK_IDS["text_writing"])
    return tuple(row for task in present for row in text_loopholes(builtin_spec(task), measure))


def _mean(scores: Sequence[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return round(sum(known) / len(known), 6) if len(known) == len(scores) else None


def as_markdown(rows: Iterable[TextLoophole]) -> str:
    """Return *rows* as a Markdown table: grammar, which the averages use, and the other scores, in %."""
    lines = ["| task | output | grammar | other scores |", "|---|---|---:|---|"]
    for row in rows:
        others = ", ".join(f"{name} {percent(row.scores[name])}" for name in row.scores if name != "grammar")
        lines.append(f"| {row.task} | {row.output} | {percent(row.scores['grammar'])} | {others} |")
    return "\n".join(lines) + "\n"


def _with_backend(backend: Backend) -> tuple[TextLoophole, ...]:
    """Return the table, with a server of our own where *backend* is a folder."""
    if backend.kind == "none":
        return text_loophole_table()
    with ExitStack() as open_things:
        folder = Path(open_things.enter_context(tempfile.TemporaryDirectory()))
        running, server = launch(backend, directory=folder, env=os.environ)
        if server is not None:
            open_things.enter_context(server)
        return text_loophole_table(by_grammar(Grammar(running)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table as Markdown, or store it as JSON."""
    return print_or_store(
        arguments,
        lambda: _with_backend(resolve("auto", os.environ)),
        as_markdown,
        module="task_specs.audit.text_loopholes",
        about=__doc__,
    )


if __name__ == "__main__":
    raise SystemExit(main())
