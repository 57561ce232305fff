"""How hard each task is to decode in parallel: C(Y|X) of its samples, and the laws of the list operations."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pb_plugin.asking.models import ModelHandle
from pb_plugin.asking.rows import answer_context
from pb_plugin.asking.samples import Question, TaskData
from pb_plugin.cli.browse import answer_count, count_text, range_of
from pb_plugin.cli.verb import Outcome, Verb, shown
from pb_plugin.planning import registry
from pb_plugin.planning.option_grammar import parse_model, parse_task, split_values
from pb_plugin.report.references import reference_facts
from pb_plugin.report.terminal import table
from task_specs.answers import OPERATIONS
from task_specs.catalogue import list_op_ids, task_ids
from task_specs.generate.traces import trace_of
from task_specs.vocabulary import vocabulary

if TYPE_CHECKING:
    from decoders.protocols import Denoiser
    from decoders.theory.answer_sets import TokenAnswers, TokenPermutations
    from task_specs.spec import TaskSpec

SHOWN_KS = (1, 2, 4)
"""Tokens per step that are always in the table of a list operation, with all items at once."""

DIGITS = 12
"""Decimals of a number of bits; what is behind them is rounding."""

EXPLANATION = (
    "mean, min, max: C(Y|X) in bits over the samples, for tokens of the built-in tokenizer. It is what is",
    "lost when all tokens of an answer are chosen at once, each without knowing the others; where it is 0,",
    "nothing is lost at any speed. length: items of the question; answers: valid answers of a sample.",
)

TEXT_CATEGORY = "text_writing"

REFERENCES_EXPLANATION = (
    "tokens: mean length of a reference; overlap: distinct tokens that two references of a sample share,",
    "over those that either has (mean over pairs, then samples); C: as above. All three describe the",
    "references of these data and say nothing about the tasks: a sentence has far more right answers.",
)

STEPS_EXPLANATION = (
    "k: tokens per step; T: steps; L_T: bits lost with T steps of nearly equal size, fixed in advance (L_1",
    "is C(Y|X)); greedy, sampled: percent correct of an exact model without bias (-: depends on the order).",
)


THINKING_EXPLANATION = (
    "bits lost where a trace of numbers comes first: all numbers of it chosen at once, then all letters",
    "with the trace known (two steps in all), or everything at once; without: the letters alone, at once.",
)


def permutations_correlation(n: int, tokens_per_item: int, *, exclude_input: bool) -> float:
    """Return C in bits of the orders of n distinct items, where every token of an item names it.

    With N = n! - e orders (e is 1 where the input order is excluded) a slot holds its own item with
    probability ((n-1)! - e) / N and every other one with (n-1)! / N. That gives the entropy h of a slot and
    of each of its W tokens, so ``C = W n h - log2 N``. With all orders allowed this is
    `decoders.theory.closed_forms.shuffle_correlation` of n, and ``(W - 1) n log2 n`` for the tokens that
    repeat what the first token of their item says.

    Source: definition of C, ParallelBench (arXiv 2510.04767), Eq. 1; for W = 1 and e = 0 it is Eq. 4.

    Raises:
        ValueError: No order is left, or *tokens_per_item* is below 1.
    """
    n_orders = math.factorial(n) - exclude_input
    if n < 1 or n_orders < 1 or tokens_per_item < 1:
        raise ValueError(
            f"n and tokens_per_item must be at least 1, and n at least 2 without the input order, got {n!r} "
            f"and {tokens_per_item!r}; no order is left"
        )
    own = math.factorial(n - 1) - exclude_input
    shares = [own / n_orders, *[math.factorial(n - 1) / n_orders] * (n - 1)]
    slot_bits = -math.fsum(share * math.log2(share) for share in shares if share > 0.0)
    return tokens_per_item * n * slot_bits - math.log2(n_orders)


def theory(texts: Sequence[str]) -> dict[str, Any]:
    """Return the theory of every task in *texts*; of all that have a spec, where it is empty.

    Raises:
        LookupError: A task is not known.
        ValueError: A task cannot be read, or its answers do not fit its canvas.
        ModelUnavailable: The built-in model cannot be loaded.
    """
    points = registry.known(registry.TASKS)
    chosen = texts or (*task_ids(), *list_op_ids())
    specs = [spec for text in chosen for spec in registry.specs_of(parse_task(text), points)]
    handle = ModelHandle(
        parse_model("ideal"), dtype=None, device=None, vocabulary=vocabulary(), max_rows=None
    )
    model = handle.get()
    tasks = [_task(TaskData(planned=spec, data=None, n_samples=None), model) for spec in specs]
    return {"tokenizer": model.tokenizer.name, "tasks": tasks}


def theory_lines(data: Mapping[str, Any]) -> list[str]:
    """Return the table of C by task, by length where it differs, and one table for each list operation."""
    rows = [row for task in data["tasks"] for row in _bits_rows(task)]
    lines = [*table(["task", "length", "samples", "answers", "mean", "min", "max"], rows), "", *EXPLANATION]
    with_references = [task for task in data["tasks"] if task["references"] is not None]
    if with_references:
        header = ["text task", "references", "tokens", "overlap", "C"]
        lines += ["", *table(header, map(_references_row, with_references)), "", *REFERENCES_EXPLANATION]
    if thinking := [task for task in data["tasks"] if task["thinking"] is not None]:
        rows = [[task["task"], *(f"{bits:.4f}" for bits in task["thinking"].values())] for task in thinking]
        lines += ["", *table(["thinking", *THINKING], rows), "", *THINKING_EXPLANATION]
    with_steps = [task for task in data["tasks"] if task["steps"] is not None]
    for task in with_steps:
        steps = [
            [str(row["k"]), str(row["steps"]), f"{row['bound_bits']:.4f}", *map(_percent, _accuracies(row))]
            for row in task["steps"]
        ]
        lines += ["", f"{task['task']}, n = {task['n']}"]
        lines += table(["k", "T", "L_T", "greedy", "sampled"], steps)
    return [*lines, "", *STEPS_EXPLANATION] if with_steps else lines


def _references_row(task: Mapping[str, Any]) -> list[str]:
    found, bits = task["references"], task["all"]["bits"]
    overlap = "-" if found["overlap"] is None else f"{found['overlap']:.3f}"
    return [task["task"], str(found["references"]), f"{found['tokens']:.1f}", overlap, f"{bits['mean']:.4f}"]


def _bits_rows(task: Mapping[str, Any]) -> list[list[str]]:
    bits, parts = task["all"]["bits"], task["by_length"]
    whole = _bits_row(task["task"], range_of(part["length"] for part in parts), task["all"])
    if bits is None or bits["min"] == bits["max"]:
        return [whole]
    return [whole, *(_bits_row("", range_of([part["length"]]), part) for part in parts)]


def _bits_row(name: str, length: Mapping[str, int] | None, part: Mapping[str, Any]) -> list[str]:
    bits = part["bits"]
    numbers = ["-"] * 3 if bits is None else [f"{bits[key]:.4f}" for key in ("mean", "min", "max")]
    return [name, count_text(length), str(part["samples"]), count_text(part["answers"]), *numbers]


def _accuracies(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    return row["accuracy_greedy"], row["accuracy_sampled"]


def _percent(accuracy: float | None) -> str:
    return "-" if accuracy is None else f"{100 * accuracy:.2f}"


def _task(task: TaskData, model: Denoiser) -> dict[str, Any]:
    bits = {question.sample.id: _bits(question, task.spec, model) for question in task.questions}
    lengths = sorted({question.sample.length for question in task.questions})
    by_length = [
        {"length": length, **_part([q for q in task.questions if q.sample.length == length], bits)}
        for length in lengths
    ]
    is_list_op = task.spec.generator == "list_ops"
    n = int(task.spec.parameters["n"]) if is_list_op else None
    operation, trace = task.spec.parameters.get("operation"), task.spec.parameters.get("trace")
    return {
        "task": task.spec.id,
        "category": task.spec.category,
        "all": _part(task.questions, bits),
        "by_length": by_length,
        "references": _references(task, model) if task.spec.category == TEXT_CATEGORY else None,
        "n": n,
        "steps": None if n is None or trace is not None else list_op_steps(str(operation), n),
        "thinking": None if n is None or trace is None else thinking_bits(trace, str(operation), n),
    }


THINKING = ("trace", "answer", "together", "without")


def thinking_bits(trace: str, operation: str, n: int) -> dict[str, float]:
    """Return the bits lost by choosing at once: the trace, the answer after it, both, the answer alone.

    Every number of the trace and every letter of the answer is one token.

    Args:
        trace: Kind of the trace (`task_specs.generate.traces`).
        operation: ``shuffle`` or ``replace_random``.
        n: Letters of the list.
    """
    from decoders.theory.total_correlation import total_correlation

    letters = list(map(str, range(n + 1)))
    facts = {"operation": operation, "items": letters[:n], "word": letters[n], "exclude_input": False}
    results = OPERATIONS[operation](letters[:n], facts)
    rows = [[*trace_of(trace, facts, result), *map(int, result)] for result in results]
    weights, places = [1.0] * len(rows), list(range(len(rows[0])))
    before, after = places[:-n], places[-n:]
    found = (
        total_correlation(rows, weights, before),
        total_correlation(rows, weights, after, before),
        total_correlation(rows, weights),
        total_correlation(rows, weights, after),
    )
    return dict(zip(THINKING, map(_rounded, found), strict=True))


def _references(task: TaskData, model: Denoiser) -> dict[str, Any] | None:
    return reference_facts([question.sample for question in task.questions], model.tokenizer.encode)


def _part(questions: Sequence[Question], bits: Mapping[str, float | None]) -> dict[str, Any]:
    found = [bits[question.sample.id] for question in questions]
    known = [value for value in found if value is not None]
    return {
        "samples": len(questions),
        "without_reference": len(found) - len(known),
        "answers": range_of(answer_count(question.sample.answers) for question in questions),
        "bits": {"mean": _rounded(math.fsum(known) / len(known)), "min": min(known), "max": max(known)}
        if known
        else None,
    }


def _bits(question: Question, spec: TaskSpec, model: Denoiser) -> float | None:
    """Return C in bits of one sample, or None where the data hold no reference answers."""
    if question.sample.answers is None:
        return None
    return _rounded(correlation(answer_context(question, spec, model)))


def correlation(answers: TokenAnswers | TokenPermutations) -> float:
    """Return C in bits of a tokenised answer set."""
    from decoders.theory.answer_sets import TokenPermutations
    from decoders.theory.total_correlation import total_correlation

    if isinstance(answers, TokenPermutations):
        n, width = answers.item_tokens.shape
        return permutations_correlation(n, width, exclude_input=answers.exclude_input)
    ids = answers.ids
    varying = (ids != ids[0]).any(axis=0).nonzero()[0].tolist()
    return total_correlation(ids, answers.weights, varying)


def _rounded(bits: float) -> float:
    return round(bits, DIGITS) + 0.0  # no minus before a zero


def list_op_steps(operation: str, n: int) -> list[dict[str, Any]]:
    """Return a row for every number of steps that some k gives, and for k = 1, 2, 4 and n.

    A row holds k, the steps, the error bound of the loop's quotas in bits, and the closed-form accuracies of
    an unbiased exact model; the sampled one is None where no one form holds for every order.

    Args:
        operation: ``copy``, ``replace_index``, ``replace_random`` or ``shuffle``.
        n: Items of the list, one token each.
    """
    from decoders.theory.closed_forms import quotas

    first_of = {len(quotas(n, k)): k for k in range(n, 0, -1)}
    ks = sorted({*first_of.values(), *(k for k in SHOWN_KS if k <= n), n})
    return [_step_row(operation, n, k, quotas(n, k)) for k in ks]


def _step_row(operation: str, n: int, k: int, sizes: Sequence[int]) -> dict[str, Any]:
    from decoders.theory import closed_forms

    greedy: float | None = 1.0
    sampled: float | None = 1.0
    bound = 0.0
    if operation == "shuffle":
        greedy = sampled = closed_forms.shuffle_accuracy(n, k)
        bound = closed_forms.shuffle_bound(n, sizes)
    elif operation == "replace_random":
        greedy = closed_forms.replace_random_accuracy(n, k, greedy=True)
        sampled = None if 1 < k < n else closed_forms.replace_random_accuracy(n, k, greedy=False)
        bound = _replace_random_bound(n, sizes)
    return {
        "k": k,
        "steps": len(sizes),
        "bound_bits": _rounded(bound),
        "accuracy_greedy": greedy,
        "accuracy_sampled": sampled,
    }


def _replace_random_bound(n: int, sizes: Sequence[int]) -> float:
    """Return the error bound of replacing one of n items; it depends on the sizes of the steps only."""
    from decoders.theory.total_correlation import error_bound

    answers = [[int(place == replaced) for place in range(n)] for replaced in range(n)]
    starts = [sum(sizes[:step]) for step in range(len(sizes))]
    partition = [range(start, start + size) for start, size in zip(starts, sizes, strict=True)]
    return error_bound(answers, [1.0] * n, partition)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "task", nargs="*", metavar="TASK", help="tasks as pytest --task takes them; none: all"
    )


def _run(arguments: argparse.Namespace) -> Outcome:
    return shown(arguments, theory(split_values(arguments.task, name="task")), theory_lines), 0


VERB = Verb(
    what="show how hard each task is to decode in parallel",
    example="theory shuffle:n=15 list_shuffle",
    arguments=_arguments,
    run=_run,
)
