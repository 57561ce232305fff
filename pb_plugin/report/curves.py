"""``pb plot``: which points of a stored run are drawn, in which panel and line, and the file they go to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pb_plugin.report.curves_layout import Grid
from pb_plugin.report.curves_svg import Mark, Picture, Series, svg
from pb_plugin.report.stored import StoredReport
from pb_plugin.results.suites import SUITES
from pb_plugin.results.summary import CellSummary, Identity, setting_label
from task_specs.document import did_you_mean

SUFFIX = ".svg"
COUNT = "canvas"
"""The token count on the horizontal axis: all generated positions, the one that is published elsewhere."""

AXES = (
    "Horizontal: tokens per step, the mean over samples of generated positions / forwards, on a log2 axis. "
    "Vertical: mean score in percent."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One model and method: its drawn cells of all tasks, by task and then by tokens per step."""

    identity: Identity
    cells: tuple[CellSummary, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Curves:
    """What is drawn of a run.

    Args:
        run: Name of its file.
        created: When that was written, or None.
        tasks: The tasks that have a panel, in benchmark order, those of other suites behind them.
        lines: The drawn lines; one may be absent from a panel.
        left_out: Why cells are not drawn, with their number.
        without_panel: Chosen tasks of which no cell is drawn.
    """

    run: str
    created: str | None
    tasks: tuple[str, ...]
    lines: tuple[Line, ...]
    left_out: Mapping[str, int]
    without_panel: tuple[str, ...]

    @property
    def points(self) -> Iterator[tuple[Identity, CellSummary, float, float]]:
        """Every drawn point: the line, the cell, its tokens per step and its score in percent."""
        for line in self.lines:
            for cell in line.cells:
                yield line.identity, cell, _tps(cell), _percent(cell)

    @property
    def caption(self) -> str:
        """What the drawing shows, in one paragraph."""
        made = f"{self.created[:16].replace('T', ' ')} UTC" if self.created else "at an unknown time"
        counts = sorted({cell.n for _, cell, _, _ in self.points})
        samples = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        bare = any(cell.interval is None for _, cell, _, _ in self.points)
        whiskers = (
            f"Whiskers: Wilson 95\u00a0% interval{' where every sample scores 0 or 1' if bare else ''}."
        )
        return f"Run {self.run}, made {made}; {samples} samples per point. {AXES} {whiskers}"

    def to_json(self) -> dict[str, Any]:
        """Return the points as plain data; ``tps`` is the count that is drawn, ``interval`` in [0, 1]."""
        return {
            "run": self.run,
            "created": self.created,
            "tasks": list(self.tasks),
            "count": COUNT,
            "points": [
                {
                    "task": cell.task,
                    **identity.to_json(),
                    "setting": dict(cell.setting),
                    "tps": tps,
                    "percent": percent,
                    "interval": None if cell.interval is None else cell.interval.to_json(),
                    "n": cell.n,
                }
                for identity, cell, tps, percent in self.points
            ],
            "left_out": dict(self.left_out),
            "without_panel": list(self.without_panel),
        }

    def picture(self) -> Picture:
        """Return the same without cells: names, numbers and sentences."""
        series = [
            Series(
                name=line.identity.label,
                model=line.identity.model,
                method=line.identity.label.removeprefix(f"{line.identity.model}-"),
                marks={
                    task: tuple(_mark(line.identity, cell) for cell in line.cells if cell.task == task)
                    for task in self.tasks
                },
            )
            for line in self.lines
        ]
        return Picture(
            title=f"Score over tokens per step, run {self.run}",
            caption=self.caption,
            panels=self.tasks,
            series=tuple(series),
            grid=Grid.of(len(self.tasks), [tps for _, _, tps, _ in self.points]),
        )

    def text_lines(self, out: Path) -> list[str]:
        """Return what is told when the drawing is in *out*."""
        counts = {"panel": len(self.tasks), "line": len(self.lines), "point": sum(1 for _ in self.points)}
        drawn = ", ".join(f"{n} {what}{'s' * (n > 1)}" for what, n in counts.items())
        lines = [f"{out}: {drawn}, run {self.run}"]
        lines += [f"left out, {n} item{'s' * (n > 1)}: {reason}" for reason, n in self.left_out.items()]
        lines += [f"no panel: {', '.join(self.without_panel)}"] if self.without_panel else []
        return lines


def curves_of(report: StoredReport, tasks: Sequence[str] = ()) -> Curves:
    """Return what is drawn of the run in *report*: the cells that are complete, scored and have a known nfe.

    Args:
        report: A stored run.
        tasks: Ids of the tasks to draw; none: all of the run.

    Raises:
        LookupError: A task is not in the run.
        ValueError: No cell of the tasks can be drawn.
    """
    known = _benchmark_order(report)
    for task in tasks:
        if task not in known:
            raise LookupError(
                f"--tasks must be tasks of the run {report.path.name}, got {task!r}; "
                f"{did_you_mean(task, known)}choose from {', '.join(known)}"
            )
    chosen = [task for task in known if not tasks or task in tasks]
    reasons = [(cell, _why_not(cell)) for cell in report.summary.cells if cell.task in chosen]
    left_out = dict(Counter(reason for _, reason in reasons if reason is not None))
    drawn = {cell.task for cell, reason in reasons if reason is None}
    if not drawn:
        why = "; ".join(f"{n} without: {reason}" for reason, n in left_out.items()) or "no items"
        raise ValueError(
            f"the run {report.path.name} must have an item with all its results among {', '.join(chosen)}, "
            f"got {why}; finish the run (the same pytest command reuses what is stored), then plot again"
        )
    lines = []
    for curve in report.summary.curves:
        cells = [cell for cell in curve.cells if cell.task in drawn and _why_not(cell) is None]
        cells.sort(key=lambda cell: (chosen.index(cell.task), _tps(cell), cell.label))
        if cells:
            lines.append(Line(identity=curve.identity, cells=tuple(cells)))
    return Curves(
        run=report.path.name,
        created=report.created,
        tasks=tuple(task for task in chosen if task in drawn),
        lines=tuple(lines),
        left_out=left_out,
        without_panel=tuple(task for task in chosen if task not in drawn),
    )


def check_out(out: Path) -> None:
    """Refuse a path that cannot become a drawing, before anything is read.

    Raises:
        ValueError: It does not end in .svg, is a folder, or lies in a folder that does not exist.
    """
    if out.suffix != SUFFIX:
        raise ValueError(
            f"OUT must end in {SUFFIX}, got {str(out)!r}; name the store first, then the drawing"
        )
    if out.is_dir():
        raise ValueError(f"OUT must be a file, got the folder {str(out)!r}; choose another name")
    if not out.parent.is_dir():
        raise ValueError(
            f"OUT must lie in a folder that exists, got {str(out)!r}; "
            f"make the folder {str(out.parent)!r} first"
        )


def write(curves: Curves, out: Path) -> None:
    """Draw *curves* to *out* and replace what is there, whole or not at all."""
    unfinished = out.with_name(f"{out.name}.part")
    try:
        unfinished.write_text(svg(curves.picture()), encoding="utf-8", newline="\n")
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)


def _benchmark_order(report: StoredReport) -> list[str]:
    """Return the tasks of the run: those of the benchmark in its order, then the others as planned."""
    planned = list(dict.fromkeys(cell.asked.task for cell in report.run.cells))
    ranks = {task: rank for rank, task in enumerate(SUITES["all"])}
    return sorted(planned, key=lambda task: ranks.get(task, len(ranks)))


def _why_not(cell: CellSummary) -> str | None:
    """Return why *cell* has no place in the drawing; a part of its samples is no result."""
    if cell.reason is not None:
        return cell.reason
    return "nfe unknown, so no tokens per step" if cell.tps is None else None


def _tps(cell: CellSummary) -> float:
    assert cell.tps is not None, "only cells with tokens per step are drawn"
    return cell.tps[COUNT]


def _percent(cell: CellSummary) -> float:
    assert cell.percent is not None, "only cells with a score are drawn"
    return cell.percent


def _mark(identity: Identity, cell: CellSummary) -> Mark:
    interval = cell.interval
    ends = None if interval is None else (100 * interval.low, 100 * interval.high)
    between = "" if ends is None else f" (95 % interval {ends[0]:.1f} to {ends[1]:.1f})"
    percent, tps = _percent(cell), _tps(cell)
    return Mark(
        tps=tps,
        percent=percent,
        interval=ends,
        text=f"{cell.task}, {identity.label}, {setting_label(cell.setting)}: {percent:.1f} %{between}, "
        f"{tps:.2f} tokens per step, {cell.n} samples",
    )
