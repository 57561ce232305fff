"""``pb plot``: which points of a stored run are drawn, and in which panel and line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pb_plugin.report.stored import StoredReport
from pb_plugin.results.suites import SUITES
from pb_plugin.results.summary import CellSummary, Curve, Identity, SuitePoint, setting_label
from pb_plugin.statistics.intervals import Interval
from task_specs.document import did_you_mean

COUNT = "canvas"
"""The token count on the horizontal axis: all generated positions, the one that is published elsewhere."""

AXES = (
    "Horizontal: tokens per step, the mean over samples of generated positions / forwards, on a log2 axis. "
    "Vertical: mean score in percent."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spot:
    """One drawn point.

    Args:
        panel: The task or suite.
        setting: What varies along the curve.
        tps: Tokens per step by `COUNT`.
        percent: The score in percent.
        interval: Its 95 % interval in [0, 1], or None.
        n: Samples; those of all tasks in a suite.
    """

    panel: str
    setting: Mapping[str, Any]
    tps: float
    percent: float
    interval: Interval | None
    n: int

    def text(self, curve: str) -> str:
        """Return all of it in words; *curve* is the name of its line."""
        ends = self.interval
        between = "" if ends is None else f" (95 % interval {100 * ends.low:.1f} to {100 * ends.high:.1f})"
        return (
            f"{self.panel}, {curve}, {setting_label(self.setting)}: {self.percent:.1f} %{between}, "
            f"{self.tps:.2f} tokens per step, {self.n} samples"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One model and method: its drawn points of all panels, by panel and then by tokens per step."""

    identity: Identity
    spots: tuple[Spot, ...]

    @property
    def method(self) -> str:
        """The name of the curve without its model."""
        return self.identity.label.removeprefix(f"{self.identity.model}-")

    def of(self, panel: str) -> list[Spot]:
        """Return the points in *panel*."""
        return [spot for spot in self.spots if spot.panel == panel]


@dataclass(frozen=True, kw_only=True, slots=True)
class Curves:
    """What is drawn of a run.

    Args:
        run: Name of its file.
        created: When that was written, or None.
        kind: What a panel is, a task or a suite.
        panels: Tasks in benchmark order, those of other suites behind them, or suites as they were asked for.
        lines: The drawn lines; one may be absent from a panel.
        left_out: Why points are not drawn, with their number.
        without_panel: Chosen tasks or suites of which no point is drawn.
    """

    run: str
    created: str | None
    kind: str
    panels: tuple[str, ...]
    lines: tuple[Line, ...]
    left_out: Mapping[str, int]
    without_panel: tuple[str, ...]

    @property
    def points(self) -> Iterator[tuple[Identity, Spot]]:
        """Every drawn point with its line."""
        for line in self.lines:
            for spot in line.spots:
                yield line.identity, spot

    @property
    def title(self) -> str:
        """The drawing in a few words."""
        return f"Score over tokens per step, run {self.run}"

    @property
    def caption(self) -> str:
        """What the drawing shows, in one paragraph."""
        made = f"{self.created[:16].replace('T', ' ')} UTC" if self.created else "at an unknown time"
        counts = sorted({spot.n for _, spot in self.points})
        samples = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        bare = any(spot.interval is None for _, spot in self.points)
        bands = f"Bands: 95\u00a0% intervals{', where a point has one' if bare else ''}."
        return f"Run {self.run}, made {made}; {samples} samples per point. {AXES} {bands}"

    @property
    def description(self) -> str:
        """The same for who does not see it."""
        names = ", ".join(line.identity.label for line in self.lines)
        return f"Panels: {', '.join(self.panels)}. Lines: {names}. {self.caption}"

    def to_json(self) -> dict[str, Any]:
        """Return the points as plain data; ``tps`` is the count that is drawn, ``interval`` in [0, 1]."""
        return {
            "run": self.run,
            "created": self.created,
            f"{self.kind}s": list(self.panels),
            "count": COUNT,
            "points": [
                {
                    self.kind: spot.panel,
                    **identity.to_json(),
                    "setting": dict(spot.setting),
                    "tps": spot.tps,
                    "percent": spot.percent,
                    "interval": None if spot.interval is None else spot.interval.to_json(),
                    "n": spot.n,
                }
                for identity, spot in self.points
            ],
            "left_out": dict(self.left_out),
            "without_panel": list(self.without_panel),
        }

    def text_lines(self, out: str) -> list[str]:
        """Return what is told when the drawing is in *out*."""
        counts = {"panel": len(self.panels), "line": len(self.lines), "point": sum(1 for _ in self.points)}
        drawn = ", ".join(f"{n} {what}{'s' * (n > 1)}" for what, n in counts.items())
        what = "item" if self.kind == "task" else "point"
        lines = [f"{out}: {drawn}, run {self.run}"]
        lines += [f"left out, {n} {what}{'s' * (n > 1)}: {reason}" for reason, n in self.left_out.items()]
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
    return _drawn(
        report,
        "task",
        chosen,
        {
            curve.identity: [_of_cell(cell) for cell in curve.cells if cell.task in chosen]
            for curve in report.summary.curves
        },
    )


def suite_curves_of(report: StoredReport, suites: Sequence[str]) -> Curves:
    """Return what is drawn of the suites' means of the run in *report*, with the joint resample's intervals.

    Raises:
        LookupError: A name is no suite.
        ValueError: No point of the suites can be drawn.
    """
    for suite in suites:
        if suite not in SUITES:
            raise LookupError(
                f"--suites must be suites, got {suite!r}; {did_you_mean(suite, SUITES)}"
                f"choose from {', '.join(SUITES)}"
            )
    chosen = list(dict.fromkeys(suites))
    return _drawn(
        report,
        "suite",
        chosen,
        {
            curve.identity: [
                _of_suite(curve, suite, point) for suite in chosen for point in curve.suites[suite].points
            ]
            for curve in report.summary.curves
        },
    )


def _drawn(
    report: StoredReport, kind: str, chosen: Sequence[str], found: Mapping[Identity, Sequence[Spot | str]]
) -> Curves:
    """Return the drawing of what was *found* by line: points, and reasons in place of others."""
    left_out = dict(Counter(spot for spots in found.values() for spot in spots if isinstance(spot, str)))
    lines = []
    for identity, spots in found.items():
        whole = [spot for spot in spots if isinstance(spot, Spot)]
        whole.sort(key=lambda spot: (chosen.index(spot.panel), spot.tps, setting_label(spot.setting)))
        if whole:
            lines.append(Line(identity=identity, spots=tuple(whole)))
    if not lines:
        why = "; ".join(f"{n} without: {reason}" for reason, n in left_out.items()) or "no items"
        raise ValueError(
            f"the run {report.path.name} must have an item with all its results among {', '.join(chosen)}, "
            f"got {why}; finish the run (the same pytest command reuses what is stored), then plot again"
        )
    drawn = {spot.panel for line in lines for spot in line.spots}
    return Curves(
        run=report.path.name,
        created=report.created,
        kind=kind,
        panels=tuple(panel for panel in chosen if panel in drawn),
        lines=tuple(lines),
        left_out=left_out,
        without_panel=tuple(panel for panel in chosen if panel not in drawn),
    )


def _benchmark_order(report: StoredReport) -> list[str]:
    """Return the tasks of the run: those of the benchmark in its order, then the others as planned."""
    planned = list(dict.fromkeys(cell.asked.task for cell in report.run.cells))
    ranks = {task: rank for rank, task in enumerate(SUITES["all"])}
    return sorted(planned, key=lambda task: ranks.get(task, len(ranks)))


NO_RATE = "forwards neither counted nor commanded, so no tokens per step"


def _of_cell(cell: CellSummary) -> Spot | str:
    """Return the point of *cell*, or why it has none: a part of its samples is no result."""
    if cell.reason is not None:
        return cell.reason
    if cell.tps is None:
        return NO_RATE
    assert cell.percent is not None, "a cell without a reason has a score"
    return Spot(
        panel=cell.task,
        setting=cell.setting,
        tps=cell.tps[COUNT],
        percent=cell.percent,
        interval=cell.interval,
        n=cell.n,
    )


def _of_suite(curve: Curve, suite: str, point: SuitePoint) -> Spot | str:
    """Return a point of *suite*, or why it has none: a mean over fewer tasks is no result."""
    if point.tps is None or point.score is None:
        return point.reason or NO_RATE
    label, ends = setting_label(point.setting), point.interval
    return Spot(
        panel=suite,
        setting=point.setting,
        tps=point.tps[COUNT],
        percent=point.score,
        interval=None
        if ends is None
        else Interval(low=ends.low / 100, high=ends.high / 100, level=ends.level),
        n=sum(
            cell.n
            for cell in curve.cells
            if cell.task in SUITES[suite] and setting_label(cell.setting) == label
        ),
    )
