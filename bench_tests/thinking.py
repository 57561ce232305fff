"""Does thinking first lower the dependency of an answer? By ``python -m bench_tests.thinking FOLDER``.

`ideal` and `tiny`, trained on it (`bench_tests.fine_tuning` says how, and what FOLDER holds), write an order
of some letters, or put a letter in the place of one of them: as it is, and behind a trace of what they chose
(`task_specs.generate.traces`), of independent numbers or of numbers that depend on each other. Thinking is
decoded in any order, and with blocks of which the first holds the trace. ``--write docs/tuning.md`` puts the
table into that page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench_tests.fine_tuning import EXAMPLES, Study, arguments_of, folder_of, measure, train
from bench_tests.page_marks import write
from pb_plugin.records.record import Record
from pb_plugin.records.store import Store
from pb_plugin.results.summary import CellSummary
from task_specs.catalogue import TRACED_OPERATIONS, TRACES
from task_specs.generate.traces import answer_of
from task_specs.load import load_samples
from task_specs.sample import Sample
from task_specs.scoring.lists import list_items
from task_specs.scoring.scored import answer_text
from task_specs.spec import TaskSpec, read_spec

MARK = "thinking"
WAYS = ("without", "thinking", "thinking, trace first")
METHODS = ("confidence", "random")


@dataclass(frozen=True, kw_only=True, slots=True)
class Thinking:
    """A question that is asked without and with a trace before the answer.

    Args:
        trace: Kind of the trace.
        operation: What is done to the letters.
        block: The block whose end lies between the trace and the first letter, under the model's tokenizer.
        given: Parameters of the task.
        has_plain: Whether the question is asked without a trace too.
    """

    trace: str
    operation: str
    block: int
    given: tuple[tuple[str, int], ...] = ()
    has_plain: bool = True

    def spec(self, *, cot: bool) -> TaskSpec:
        """Return the task."""
        file = EXAMPLES / f"think_{self.trace}_{self.operation}.yaml"
        return read_spec(file, {**dict(self.given), "cot": cot})

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks as ``--task`` takes them."""
        file = EXAMPLES / f"think_{self.trace}_{self.operation}.yaml"
        parts = [f"{name}={value}" for name, value in self.given]
        plain = (f"{file}{':' * bool(parts)}{';'.join(parts)}",) if self.has_plain else ()
        return (*plain, f"{file}:{';'.join([*parts, 'cot=true'])}")


_KINDS = [(trace, operation) for trace in TRACES for operation in TRACED_OPERATIONS]
_FOR_TINY = tuple(
    Thinking(trace=trace, operation=operation, block=block)
    for (trace, operation), block in zip(_KINDS, (10, 5, 10, 10), strict=True)
)
ASKED: Mapping[str, tuple[Thinking, ...]] = {
    "ideal": tuple(
        Thinking(trace=one.trace, operation=one.operation, block=16, given=(("canvas", 32),))
        for one in _FOR_TINY
    ),
    "tiny thinking in draws": _FOR_TINY[:2],
    "tiny thinking in places": (
        Thinking(trace="places", operation="replace_random", block=10, has_plain=False),
    ),
}
"""Study to its questions; `ideal` has a longer canvas, as it spells the marker, one token for `tiny`."""

SAMPLES: Mapping[str, int] = {"tiny thinking in draws": 19_200, "tiny thinking in places": 4_800}
"""Training samples of a study, 4,800 of a task; each is seen four times."""


def _study(name: str, asked: Sequence[Thinking]) -> Study:
    canvas = asked[0].spec(cot=True).canvas
    blocks = sorted({*(one.block for one in asked), canvas})
    letters = dict(asked[0].given).get("n", 4)
    ks = (1, 2, letters, 2 * letters)
    speeds = ["--k", ",".join(map(str, ks)), "--block-length", ",".join(map(str, blocks))]
    training = {"epochs": 4, "rate": 0.001, "validation_samples": 320, "save_every_s": 60.0}
    return Study(
        model=name.partition(" ")[0],
        tasks=tuple(task for one in asked for task in one.tasks),
        config={**training, "train_samples": SAMPLES[name]} if name in SAMPLES else None,
        speeds=(*(part for method in METHODS for part in ("--unmasking", method)), *speeds),
        full=True,
    )


STUDIES: Mapping[str, Study] = {name: _study(name, asked) for name, asked in ASKED.items()}

Place = tuple[str, str, int | None, int]
"""Task, method, block and k of a record."""


def follows(sample: Sample, spec: TaskSpec, text: str) -> bool:
    """Whether the answer in *text* is the one that its trace leads to."""
    numbers = text.partition("\n")[0].split(",")
    if not all(number.isdecimal() for number in numbers):
        return False
    led = answer_of(spec.parameters["trace"], sample.facts, [int(number) for number in numbers])
    return led is not None and led == list_items(answer_text(text, spec.answer_marker))


def followed(records: Sequence[Record], asked: Sequence[Thinking]) -> dict[Place, float]:
    """Return the share of thoughts whose answer is that of its trace, by place."""
    specs = {spec.id: spec for one in asked for spec in [one.spec(cot=True)]}
    samples = {name: {one.id: one for one in load_samples(spec)} for name, spec in specs.items()}
    found: dict[Place, dict[str, bool]] = {}
    for record in records:
        parts = record.parts
        if parts["task"] in specs and not record.failed:
            place = (parts["task"], parts["method"], parts["block_length"], parts["k"])
            sample = samples[parts["task"]][parts["sample_id"]]
            found.setdefault(place, {})[sample.id] = follows(sample, specs[parts["task"]], record.text)
    return {place: sum(each.values()) / len(each) for place, each in found.items()}


def rows(
    name: str, asked: Sequence[Thinking], cells: Sequence[CellSummary], shares: Mapping[Place, float]
) -> list[str]:
    """Return a row per question and way to decode, with the scores of each method by k.

    A score is a mean in percent with its 95 % interval; behind k stand the content tokens of a step, and
    behind the score of a thought how many answers in percent follow their trace.
    """
    lines = []
    for one in asked:
        letters = dict(one.given).get("n", 4)
        for way in WAYS[not one.has_plain :]:
            task = one.spec(cot=way != WAYS[0]).id
            block = one.block if way == WAYS[2] else None
            scores = [
                ", ".join(
                    _score(cell, shares.get((task, method, block, cell.setting["k"])))
                    for cell in cells
                    if (cell.task, cell.identity.method, cell.identity.block_length) == (task, method, block)
                )
                for method in METHODS
            ]
            subject = (name.partition(" ")[0], one.trace, f"{one.operation} of {letters}", way)
            lines.append(f"| {' | '.join((*subject, *scores))} |\n")
    return lines


def _score(cell: CellSummary, share: float | None) -> str:
    k = cell.setting["k"]
    if cell.reason is not None or cell.percent is None or cell.interval is None or cell.tps is None:
        return f"k={k}: incomplete"
    low, high = 100 * cell.interval.low, 100 * cell.interval.high
    follow = "" if share is None else f", follow {100 * share:.0f}"
    return f"k={k} ({cell.tps['content']:.1f}): {cell.percent:.0f} ({low:.0f}..{high:.0f}){follow}"


def header() -> str:
    """Return the head of the table."""
    names = ["model", "trace", "task", "decoded", *METHODS]
    return f"| {' | '.join(names)} |\n| {' | '.join(['---'] * len(names))} |\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Train and measure what is missing, print the table and write it."""
    arguments = arguments_of(__doc__, STUDIES, argv)
    folder = arguments.folder.resolve()
    lines = []
    for name in arguments.only or STUDIES:
        train(folder, name, STUDIES[name])
        cells = measure(folder, name, STUDIES[name], arguments.samples)
        records = [line.record for line in Store(folder_of(folder, name).with_suffix(".pb")).read()]
        lines += rows(name, ASKED[name], cells, followed(records, ASKED[name]))
    text = header() + "".join(lines)
    print(text)
    if arguments.write:
        write(text, arguments.write, MARK)


if __name__ == "__main__":
    main()
