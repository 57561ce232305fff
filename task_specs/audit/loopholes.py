"""What degenerate outputs score on every task: which tasks can be solved without doing them.

Run ``python -m task_specs.audit.loopholes`` to print it, with ``--write FILE`` to store it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from task_specs.answers import as_list_text, sort_key
from task_specs.audit.tables import percent, print_or_store
from task_specs.catalogue import list_op_ids, task_ids
from task_specs.load import load_samples
from task_specs.prompt import messages
from task_specs.sample import Sample
from task_specs.scoring import resolve_scorer
from task_specs.spec import TaskSpec, builtin_spec

REFUSAL = "I am sorry, but I cannot help with that."


@dataclass(frozen=True, kw_only=True, slots=True)
class Loophole:
    """Mean scores that one degenerate output reaches on one task; None where it makes no sense there."""

    task: str
    output: str
    accuracy: float | None
    accuracy_strict: float | None


LIST_OUTPUTS: Mapping[str, Callable[[list[str]], list[str]]] = {
    "input": lambda items: items,
    "input reversed": lambda items: items[::-1],
    "first two swapped": lambda items: [*items[1::-1], *items[2:]],
    "rotated by one": lambda items: [*items[1:], items[0]],
    "input sorted": lambda items: sorted(items, key=sort_key),
}
"""Outputs of a list task by name, from the input list."""

OUTPUTS = (
    "empty",
    "refusal",
    "prompt",
    *LIST_OUTPUTS,
    "always at the first place",
    "cyclic square",
    "answer of the shot",
    "right, in a sentence",
    "right",
)
"""Every degenerate output, in the order of the table; the last two are right answers, for comparison."""


def _at_first_place(facts: Mapping[str, Any]) -> list[str]:
    """Return what a replacement, insertion or removal gives that is always made at the first place."""
    kept = facts["items"] if facts["operation"].startswith("insert") else facts["items"][1:]
    return [*([facts["word"]] if "word" in facts else []), *kept]


def degenerate_outputs(spec: TaskSpec, sample: Sample) -> dict[str, str]:
    """Return the degenerate outputs that make sense for *sample*, by name.

    Args:
        spec: The task, for its prompt.
        sample: A sample of a list operation, a Latin square or a sudoku.
    """
    outputs = {"empty": "", "refusal": REFUSAL, "prompt": messages(spec, sample)[-1]["content"]}
    facts = sample.facts
    if "items" in facts:
        items = list(facts["items"])
        if facts["operation"].startswith(("replace", "insert", "remove")):
            outputs["always at the first place"] = as_list_text(_at_first_place(facts))
        outputs |= {name: as_list_text(change(items)) for name, change in LIST_OUTPUTS.items()}
    if "grid" in facts:
        outputs |= {"input": "\n".join(facts["grid"])}
    if "symbols" in facts:
        symbols = list(facts["symbols"])
        outputs["input"] = ",".join(symbols)
        turns = [symbols[turn:] + symbols[:turn] for turn in range(len(symbols))]
        outputs["cyclic square"] = "\n".join(",".join(row) for row in turns)
    if sample.shots:
        outputs["answer of the shot"] = sample.shots[0].answer
    if sample.example is not None:
        outputs["right, in a sentence"] = f"Here is the result:\n{sample.example}\nI hope that helps."
        outputs["right"] = sample.example
    return outputs


def audited_tasks() -> tuple[str, ...]:
    """Return the tasks with exact answers, whose scorers need no tool; list operations come last."""
    return tuple(task for task in (*task_ids(), *list_op_ids()) if not builtin_spec(task).needs)


def loophole_table() -> tuple[Loophole, ...]:
    """Return the mean scores of every degenerate output on every audited task, over its own samples."""
    return tuple(row for task in audited_tasks() for row in task_loopholes(builtin_spec(task)))


def task_loopholes(spec: TaskSpec) -> tuple[Loophole, ...]:
    """Return the mean scores of every degenerate output on one task, in the order of `OUTPUTS`."""
    scorer = resolve_scorer(spec.scorer)
    reached: dict[str, list[tuple[float, float]]] = {name: [] for name in OUTPUTS}
    for sample in load_samples(spec):
        for name, text in degenerate_outputs(spec, sample).items():
            values = scorer(text, sample, {}).values
            reached[name].append((_known(values["accuracy"]), _known(values["accuracy_strict"])))
    return tuple(
        Loophole(
            task=spec.id,
            output=name,
            accuracy=_mean([lenient for lenient, _ in pairs]),
            accuracy_strict=_mean([strict for _, strict in pairs]),
        )
        for name, pairs in reached.items()
    )


def _known(score: float | None) -> float:
    assert score is not None, "an audited task needs no tool"
    return score


def _mean(scores: Sequence[float]) -> float | None:
    return round(sum(scores) / len(scores), 6) if scores else None


def as_markdown(rows: Iterable[Loophole]) -> str:
    """Return *rows* as a Markdown table, tasks down and outputs across, in % of samples (lenient)."""
    by_task: dict[str, dict[str, float | None]] = {}
    for row in rows:
        by_task.setdefault(row.task, {})[row.output] = row.accuracy
    lines = [f"| task | {' | '.join(OUTPUTS)} |", "|---|" + "---:|" * len(OUTPUTS)]
    for task, scores in by_task.items():
        lines.append(f"| {task} | {' | '.join(percent(scores[name]) for name in OUTPUTS)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table as Markdown, or store it as JSON."""
    return print_or_store(
        arguments, loophole_table, as_markdown, module="task_specs.audit.loopholes", about=__doc__
    )


if __name__ == "__main__":
    raise SystemExit(main())
