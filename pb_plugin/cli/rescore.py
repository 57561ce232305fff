"""Scores of a stored run again, from its stored texts: nothing is decoded, and what changed is told."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pb_plugin.asking.samples import Question, TaskData
from pb_plugin.cli.verb import Outcome, Verb, shown, stored_run
from pb_plugin.planning.plan import specs_of
from pb_plugin.records.record import Record
from pb_plugin.records.score_key import ScoreKey
from pb_plugin.records.store import Store, StoreIndex
from pb_plugin.report.rescored import Change, Mean, Rescored, RescoredTask
from pb_plugin.results.aggregate import aggregate
from pb_plugin.results.cell_result import CellResult, PlannedCell
from pb_plugin.results.run_file import ChosenTasks, Run, load, save
from pb_plugin.results.summary import setting_label
from pb_plugin.running.scoring import Scoring, Unscored, score_key
from pb_plugin.running.tools import Tools, tools_of
from task_specs.prompt import PromptStyle
from task_specs.scoring.reference.passed_tool import PassedTool
from task_specs.spec import TaskSpec

CURE = "run the suite again"

Compared = tuple[Record, Change]
"""A result as it is scored now, and one of its scores before and after."""


def rescore(
    store: Path,
    name: str | None = None,
    *,
    grammar: str = "auto",
    bertscore: str | None = None,
    data: Path | None = None,
    passed: Path | None = None,
) -> Rescored:
    """Score the results of a stored run as they are scored today, store what changed, and tell it.

    Everything is scored before anything is stored, and stored records stay as they are: an end in between
    costs nothing.

    Args:
        store: The folder of records.
        name: A file of its runs; None for the newest.
        grammar: What checks the grammar, as ``--pb-grammar`` says it.
        bertscore: The encoder, as ``--pb-bertscore`` says it.
        data: Where the released data or the exported file are now; None where the run found it.
        passed: What the user's evaluator of code says of the completions; None leaves them as they are.

    Raises:
        LookupError: A task of the run is not known any more.
        ValueError: There is no such run, its samples are others today, or a tool cannot be used.
        OSError: The store cannot be written.
    """
    if grammar.strip() == "later":
        raise ValueError("--grammar must say what checks the grammar now, got 'later'; name a server or none")
    run, path = load(store, name)
    index = Store(store).index()
    specs = _specs(run.chosen)
    directory = data or (None if run.chosen.data is None else Path(run.chosen.data))
    tools = tools_of(grammar=grammar, bertscore=bertscore, folder=store, passed=passed)
    if passed is not None:
        tools.check([PassedTool.name])
    done = []
    try:
        for task in dict.fromkeys(cell.asked.task for cell in run.cells):
            if task not in specs:
                raise LookupError(f"{path}: task must be one that its file defines, got {task!r}; {CURE}")
            planned = TaskData(planned=specs[task], data=directory, n_samples=run.chosen.samples)
            cells = [cell for cell in run.cells if cell.asked.task == task and cell.keys]
            done += [_rescore_task(planned, cells, index, tools)] if cells else []
    finally:
        tools.close()
    with Store(store, worker="rescore") as output:
        for record in (record for found in done for record in found.records):
            output.append(record)
    new = _with_keys(run, {found.task: found.key_after for found in done})
    return Rescored(
        store=store,
        before=path,
        after=path if new == run else save(new, store),
        tasks=tuple(done),
        ok=not any(found.failures or (found.left and grammar.strip() != "none") for found in done),
    )


def _with_keys(run: Run, key_of: Mapping[str, str]) -> Run:
    return replace(
        run,
        cells=tuple(
            replace(cell, score_key=key_of[cell.asked.task]) if cell.keys else cell for cell in run.cells
        ),
    )


def _specs(chosen: ChosenTasks) -> dict[str, TaskSpec]:
    try:
        return {spec.id: spec for spec in specs_of(chosen.task)}
    except LookupError as error:
        raise LookupError(
            f"a task of this run is not known any more: {error.args[0]} (relative paths are relative to the "
            "current directory)"
        ) from error


def _rescore_task(
    data: TaskData, cells: Sequence[PlannedCell], index: StoreIndex, tools: Tools
) -> RescoredTask:
    key = cells[0].score_key
    found = _results(cells, index)
    same = RescoredTask(task=data.spec.id, results=len(found), key_before=key, key_after=key)
    if not found:
        return same
    styles = {record.parts["prompt_style"] for record in found.values()}
    question_of = {(s, question.sample.id): question for s in styles for question in data.asked(s)}
    for cell in cells:
        _check_text_rule(data, cell)
    for record in found.values():
        _check_sample(data, record, question_of.get(_asked_as(record)))
    unscored = tools.unscored(data.spec.needs)
    if unscored is not None:
        return replace(same, left=unscored)
    with Scoring(data, tools) as scoring:
        for record in found.values():
            scoring.add(Unscored(record=record, sample=question_of[_asked_as(record)].sample))
        scored = list(scoring.rest())
    compared = list(_compared(scored, cells, index))
    loss = _loss(data, compared)
    if loss is not None:
        return replace(same, left=loss)
    after = str(score_key(data, tools))
    return replace(
        same,
        key_after=after,
        means=tuple(_means(compared)),
        changes=tuple(change for _, change in compared if change.before != change.after),
        records=tuple(record for record in scored if index.find(record.decode_key, after) != record),
        failures=tuple(record.error["message"] for record in scored if record.error is not None),
    )


def _results(cells: Sequence[PlannedCell], index: StoreIndex) -> dict[str, Record]:
    """Return the decoded results of *cells* by decode_key, with the text that their score belongs to."""
    asked = {key: cell.score_key for cell in cells for key in cell.keys if key not in index.conflicts}
    found = {key: index.get(key, score) or index.get(key) for key, score in asked.items()}
    return {key: record for key, record in found.items() if record is not None}


def _check_text_rule(data: TaskData, cell: PlannedCell) -> None:
    rule = ScoreKey.read(cell.score_key).text_rule
    if rule != data.spec.text_rule:
        raise ValueError(
            f"text_rule of task {data.spec.id} must be {rule!r}, by which the texts were stored, got "
            f"{data.spec.text_rule!r}; {CURE}"
        )


def _asked_as(record: Record) -> tuple[PromptStyle, str]:
    return record.parts["prompt_style"], record.parts["sample_id"]


def _check_sample(data: TaskData, record: Record, question: Question | None) -> None:
    """Refuse a record of other samples than the task has today: its scores would be of another sample."""
    parts = record.parts
    sample = parts["sample_id"]
    today = {
        "data_source": data.source,
        "data_checksum": data.checksum,
        "spec_version": data.spec.version,
        "input_hash": None if question is None else question.input_hash,
    }
    for name, value in today.items():
        if parts[name] != value:
            raise ValueError(
                f"{name} of task {data.spec.id} must be that of its records, "
                f"{parts[name]!r}, got {value!r} (sample {sample}): "
                f"scores would be of another sample; {CURE}, or bring the task back"
            )


def _compared(
    scored: Sequence[Record], cells: Sequence[PlannedCell], index: StoreIndex
) -> Iterator[Compared]:
    """Yield every score of every result beside what the run shows of it."""
    setting_of = {key: label for cell in cells for label in (_label(cell),) for key in cell.keys}
    for record in scored:
        shown = index.find(record.decode_key, cells[0].score_key)
        before = {} if shown is None else shown.scores
        for name in dict.fromkeys([*before, *record.scores]):
            change = Change(
                task=record.parts["task"],
                sample=record.parts["sample_id"],
                setting=setting_of[record.decode_key],
                score=name,
                before=before.get(name),
                after=record.scores.get(name),
            )
            yield record, change


def _means(compared: Sequence[Compared]) -> Iterator[Mean]:
    for name in dict.fromkeys(change.score for _, change in compared):
        changes = [change for _, change in compared if change.score == name]
        yield Mean(
            score=name,
            changed=sum(change.before != change.after for change in changes),
            before=_mean([change.before for change in changes]),
            after=_mean([change.after for change in changes]),
        )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _loss(data: TaskData, compared: Sequence[Compared]) -> str | None:
    """Return the first score that a tool has given before and does not give now, with its reason, or None."""
    for record, change in compared if data.spec.needs else ():
        if change.before is not None and change.after is None and not record.failed:
            reason = record.score_reasons.get(change.score, "the scorer does not give it")
            return f"{change.score} of sample {change.sample} would be lost: {reason}"
    return None


def _label(cell: PlannedCell) -> str:
    (summary,) = aggregate([CellResult(planned=cell, records=())]).cells
    return f"{summary.identity.label}[{setting_label(summary.setting)}]"


def _arguments(parser: argparse.ArgumentParser) -> None:
    stored_run(parser)
    parser.add_argument(
        "--grammar",
        "--pb-grammar",
        metavar="WHAT",
        default="auto",
        help="LanguageTool: http://HOST:PORT, a folder, download, auto, or none to leave the tasks that need "
        "it as they are. Default: auto",
    )
    parser.add_argument(
        "--bertscore",
        "--pb-bertscore",
        metavar="ENCODER",
        help="encoder of BERTScore, as pytest --pb-bertscore takes it",
    )
    parser.add_argument(
        "--passed",
        metavar="FILE",
        type=Path,
        help="results of your evaluator for the completions of pb completions",
    )
    parser.add_argument(
        "--data",
        metavar="DATA",
        type=Path,
        help="where the checkout of the released files, or the exported file, is now",
    )


def _run(arguments: argparse.Namespace) -> Outcome:
    found = rescore(
        arguments.store,
        arguments.name,
        grammar=arguments.grammar,
        bertscore=arguments.bertscore,
        data=arguments.data,
        passed=arguments.passed,
    )
    return shown(arguments, found.to_json(), lambda _: found.lines()), 0 if found.ok else 1


VERB = Verb(
    what="score the texts of a stored run again, without decoding",
    example="rescore .pb --grammar http://127.0.0.1:8081",
    arguments=_arguments,
    run=_run,
)
