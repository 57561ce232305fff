"""What fine-tuning does to decoding in parallel, by ``python -m bench_tests.fine_tuning FOLDER``.

Three trainings, each where it is missing in FOLDER, by ``pb fine-tune`` (one that was stopped goes on):
`tiny` by LoRA on letters, a kind of task that it was not trained on; a small new SEDD with the absorbing
graph, and one with the uniform graph, on lists of four letters. Then all are measured, and `tiny` as it is
shipped beside them; what is stored is not decoded again. ``--write docs/tuning.md`` puts the table into that
page; with ``--only`` the rows of the other studies stay on it.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench_tests.page_marks import read, write
from pb_plugin.cli import main as pb
from pb_plugin.report.stored import read_report
from pb_plugin.results.summary import CellSummary

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "docs" / "examples"
MARK = "fine-tuning"
OPERATIONS = ("copy", "shuffle", "replace_random")
LETTERS = tuple(str(EXAMPLES / f"letters_{name}.yaml") for name in OPERATIONS)
SHORT_LETTERS = tuple(str(EXAMPLES / f"short_letters_{name}.yaml") for name in OPERATIONS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """One training and what is asked of its model.

    Args:
        model: Name of the model.
        tasks: What it learns and is asked.
        config: Settings of the training; None for a model as it is.
        speeds: Options of the run that say how fast it decodes.
        full: Whether all weights of the model are trained, not adapters.
    """

    model: str
    tasks: tuple[str, ...]
    config: Mapping[str, object] | None
    speeds: tuple[str, ...]
    full: bool = False


BY_K = ("--unmasking", "confidence", "--unmasking", "random", "--k", "1,2,3,6")
SEDD = {
    "epochs": 12,
    "batch": 32,
    "rate": 0.003,
    "warm_up": 0.03,
    "train_samples": 16_000,
    "save_every_s": 60.0,
}
SIZES = {"width": 64, "layers": 3, "heads": 2}
GRAPHS: Mapping[str, Mapping[str, object]] = {"absorb": {}, "uniform": {"sigma_min": 0.01, "sigma_max": 8}}
"""Graph to what else it needs. Of the published range of noise, 1e-4 to 20, most leaves next to nothing to be
learned: hardly a token has changed, or hardly one is left."""
STUDIES: Mapping[str, Study] = {
    "tiny as shipped": Study(model="tiny", tasks=LETTERS, config=None, speeds=BY_K),
    "tiny after LoRA": Study(
        model="tiny",
        tasks=LETTERS,
        config={
            "epochs": 4,
            "rate": 0.001,
            "train_samples": 3_200,
            "validation_samples": 320,
            "rank": 32,
            "alpha": 64,
            "save_every_s": 60.0,
        },
        speeds=BY_K,
    ),
    **{
        f"SEDD {graph}": Study(
            model="sedd-tiny",
            tasks=SHORT_LETTERS,
            config={**SEDD, "validation_samples": 320, "new": {"graph": graph, **SIZES, **noise}},
            speeds=("--unmasking", "native:steps=1,2,4,10,40"),
        )
        for graph, noise in GRAPHS.items()
    },
}


def folder_of(folder: Path, name: str) -> Path:
    """Return where the model of a study is."""
    return folder / re.sub(r"\W+", "_", name).lower()


def train(folder: Path, name: str, study: Study) -> None:
    """Train what a study needs, if it is not there.

    Raises:
        RuntimeError: The training did not end well.
    """
    out = folder_of(folder, name)
    if study.config is None or (out / "fine_tune.json").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / f"{out.name}.yaml"
    config.write_text(json.dumps(study.config), encoding="utf-8")  # JSON is YAML
    chosen = [part for task in study.tasks for part in ("--tasks", task)]
    command = [
        "fine-tune",
        study.model,
        str(out),
        "--config",
        str(config),
        "--device",
        "cpu",
        "--threads",
        "1",
        *(["--full"] if study.full else []),
    ]
    if code := pb([*command, *chosen]):
        raise RuntimeError(f"the training of {name} must end well, got exit code {code}; see above")


def measure(folder: Path, name: str, study: Study, samples: int) -> tuple[CellSummary, ...]:
    """Decode what is missing of a study and return its cells.

    Raises:
        RuntimeError: pytest did not end well.
    """
    store = folder_of(folder, name).with_suffix(".pb")
    model = study.model if study.config is None else f"{study.model}={folder_of(folder, name)}"
    command = [sys.executable, "-m", "pytest", str(ROOT / "bench_tests"), "-q", "--pb-store", str(store)]
    command += ["--model", model, "--samples", str(samples), *study.speeds]
    command += [part for task in study.tasks for part in ("--task", task)]
    if code := subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise RuntimeError(f"the run of {name} must pass to be shown, got exit code {code}; see above")
    return read_report(store, None).summary.cells


def table(cells_of: Mapping[str, Sequence[CellSummary]]) -> str:
    """Return a row per study, method and task, with the score in percent and its interval at each speed."""
    lines = []
    for name, cells in cells_of.items():
        rows: dict[tuple[str, str], dict[str, str]] = {}
        for cell in cells:
            key = (cell.identity.method, cell.asked.task)
            rows.setdefault(key, {})[_speed(cell)] = _score(cell)
        for (method, task), scores in rows.items():
            told = ", ".join(f"{speed}: {score}" for speed, score in scores.items())
            lines.append(f"| {name} | {method} | {task} | {told} |\n")
    return "".join(["| model | method | task | score by speed |\n", "| --- | --- | --- | --- |\n", *lines])


def with_rows_of_others(text: str, before: str, names: Iterable[str]) -> str:
    """Return *text* with the rows of the table *before* that belong to none of the studies *names*.

    Studies stand in the order of `STUDIES`.
    """
    own = {f"| {name} " for name in names}
    header, rows = text.splitlines(keepends=True)[:2], text.splitlines(keepends=True)[2:]
    rows += [row for row in before.splitlines(keepends=True)[2:] if not row.startswith(tuple(own))]
    order = [f"| {name} " for name in STUDIES]
    place = {row: next(i for i, name in enumerate(order) if row.startswith(name)) for row in rows}
    return "".join([*header, *sorted(rows, key=place.__getitem__)])


def _speed(cell: CellSummary) -> str:
    return ", ".join(f"{name}={value}" for name, value in cell.setting.items())


def _score(cell: CellSummary) -> str:
    mean = cell.scores.get(cell.score)
    if mean is None or cell.incomplete is not None:
        return "incomplete"
    return f"{100 * mean.mean:.0f} ({100 * mean.interval.low:.0f}..{100 * mean.interval.high:.0f})"


def arguments_of(
    description: str | None, studies: Iterable[str], argv: Sequence[str] | None
) -> argparse.Namespace:
    """Return what is asked of a script over *studies*: folder, samples of a task, studies and a page."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where models and results are kept")
    parser.add_argument("--samples", type=int, default=100, help="samples of a task")
    parser.add_argument("--only", action="append", choices=tuple(studies), help="this study alone")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Train and measure what is missing, print the table and write it."""
    arguments = arguments_of(__doc__, STUDIES, argv)
    folder = arguments.folder.resolve()
    cells_of = {}
    for name in arguments.only or STUDIES:
        train(folder, name, STUDIES[name])
        cells_of[name] = measure(folder, name, STUDIES[name], arguments.samples)
    text = table(cells_of)
    print(text)
    if arguments.write:
        before = read(arguments.write, MARK)
        write(with_rows_of_others(text, before, cells_of), arguments.write, MARK)


if __name__ == "__main__":
    main()
