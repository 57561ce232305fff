"""The summary table on the terminal: PBx per model and method, scores per task, what is missing and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pb_plugin.report.screen import NARROW, WIDE, disagreement_lines, fitted
from pb_plugin.results.differences import comparisons
from pb_plugin.results.suites import SUITES
from pb_plugin.results.summary import XS, CellSummary, Curve, SuiteCurve, Summary, setting_label
from pb_plugin.statistics.intervals import Interval
from pb_plugin.statistics.pbx import PBx

if TYPE_CHECKING:
    from decoders.traits import Numerics
    from pb_plugin.measuring.measured import Measured
    from pb_plugin.session.conclusion import Conclusion
    from pb_plugin.session.session import BenchSession
    from pb_plugin.statistics.curve_draws import PBxInterval

NARROW_POINTS = 2.0
"""An interval of a score that is not wider, in points, justifies a decimal."""

SHOWN_COUNTS = ("canvas", "content")
Columns = list[tuple[str, list[int]]]
MOST_SETTINGS = 8
MAIN_SUITES = ("all", "core")
HEADLINE = 80
"""The x whose PBx is shown with its interval and group."""

COUNTED = "counted"
BOUNDED = (
    "2.00..4.00: the forwards are known as bounds, and PBx lies between these two; [95 %] holds all of that"
)

GROUPS = "group: methods of one model that share a letter are not shown to differ in PB80 canvas"


def pbx_text(value: PBx) -> str:
    """Return ``4.05``, ``>=8.00`` where the fastest setting still reaches x, ``never``, or ``-`` for None.

    Where bounds of the forwards do not settle it, both ends: ``2.00..>=4.00``.
    """
    if value.between is not None:
        return "..".join(map(pbx_text, value.between))
    if value.value is None:
        return "-"
    if value.censored == "never":
        return "never"
    return f"{'>=' if value.censored == 'at_least' else ''}{value.value:.2f}"


def range_text(interval: PBxInterval | None) -> str:
    """Return ``[4.05, >=8.00]``."""
    return "-" if interval is None else f"[{pbx_text(interval.low)}, {pbx_text(interval.high)}]"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return aligned lines; the first column to the left, the others to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def pbx_lines(
    summary: Summary, suites: Sequence[str] | None = None, *, width: int = WIDE, is_short: bool = False
) -> list[str]:
    """Return the PBx table by suite, PB80 with interval and group; where there is none, each reason once.

    Args:
        summary: The run.
        suites: Which suites. None: `MAIN_SUITES`, and every other one that a curve has a PBx over; in a short
            report these only where the main ones have none.
        width: Columns there are; below `NARROW` only PB80 is shown.
        is_short: Whether a reason is cut to one line.
    """
    is_narrow = width < NARROW
    lines: list[str] = []
    for suite in _shown_suites(summary, is_short) if suites is None else suites:
        shown = [curve for curve in summary.curves if suite in curve.suites]
        measured = [curve for curve in shown if curve.suites[suite].reason is None]
        if measured:
            has_intervals = any(curve.suites[suite].draws is not None for curve in measured)
            compared = comparisons(summary, suite)
            letters = {label: text for found in compared[::-1] for label, text in found.letters.items()}
            has_seeds = any(curve.suites[suite].by_seed for curve in measured)
            has_kinds = any(curve.nfe_kinds != (COUNTED,) for curve in measured)
            columns = _columns(is_narrow, has_branches=any(map(_has_branches, measured)))
            header = _pbx_header(suite, has_intervals, has_seeds, bool(letters), columns)
            header += ["nfe"] * has_kinds
            rows = [
                [
                    *_pbx_row(
                        c,
                        suite,
                        has_intervals,
                        has_seeds,
                        letters.get(c.identity.label, "") if letters else None,
                        columns,
                    ),
                    *[kinds_text(c)] * has_kinds,
                ]
                for c in measured
            ]
            is_bounded = any(curve.suites[suite].is_bounded for curve in measured)
            lines += [*table(header, rows), *[GROUPS] * bool(letters), *[BOUNDED] * is_bounded, ""]
        reasons: dict[str, list[str]] = {}
        for curve in shown:
            reason = curve.suites[suite].reason
            if reason is not None:
                reasons.setdefault(reason, []).append(curve.identity.label)
        for reason, labels in reasons.items():
            who = "every curve" if len(labels) == len(shown) else ", ".join(labels)
            line = f"suite {suite}: None for {who}: {reason}"
            lines.append(fitted(line, max(width, NARROW)) if is_short else line)
    return [*lines, ""] if lines else []


def kinds_text(curve: Curve) -> str:
    """Return how the forwards of *curve* are known: ``counted``; ``counted+bounds`` where settings differ."""
    return "+".join(curve.nfe_kinds) or "-"


def _shown_suites(summary: Summary, is_short: bool) -> list[str]:
    whole = {name for c in summary.curves for name, suite in c.suites.items() if suite.reason is None}
    others = [] if is_short and not whole.isdisjoint(MAIN_SUITES) else [*SUITES]
    return [*MAIN_SUITES, *(name for name in others if name in whole - set(MAIN_SUITES))]


def _has_branches(curve: Curve) -> bool:
    """Return whether more canvases than forwards were evaluated somewhere."""
    rates = [found for cell in curve.cells if (found := cell.tps or cell.tps_bounds) is not None]
    return any(of_cell["per_canvas"] != of_cell["canvas"] for of_cell in rates)


def _columns(is_narrow: bool, *, has_branches: bool) -> Columns:
    """Return which PBx are shown: the token counts, and the x of each."""
    work = [("per_canvas", [HEADLINE])] * has_branches
    if is_narrow:
        return [(SHOWN_COUNTS[0], [HEADLINE]), *work]
    return [*((count, list(XS)) for count in SHOWN_COUNTS), *work]


def _pbx_header(
    suite: str, has_intervals: bool, has_seeds: bool, has_groups: bool, columns: Columns
) -> list[str]:
    """Return the header of the PBx table; the count is said once, with the first column of each."""
    header = [f"suite {suite}"]
    for count, xs in columns:
        for x in xs:
            header.append(f"PB{x} {count}" if x == xs[0] else f"PB{x}")
            if x == HEADLINE and count == SHOWN_COUNTS[0]:
                header += ["95 %"] * has_intervals + ["seeds"] * has_seeds + ["group"] * has_groups
    return header


def _pbx_row(
    curve: Curve, suite: str, has_intervals: bool, has_seeds: bool, letter: str | None, columns: Columns
) -> list[str]:
    found = curve.suites[suite]
    row = [curve.identity.label]
    for count, xs in columns:
        for x in xs:
            row.append(pbx_text(found.pbx(x, count)))
            if x == HEADLINE and count == SHOWN_COUNTS[0]:
                interval = found.pbx_interval(x, count)
                row += [range_text(interval)] * has_intervals + [_seeds_text(found)] * has_seeds
                row += [] if letter is None else [letter]
    return row


def _seeds_text(curve: SuiteCurve) -> str:
    """Return the lowest and the highest PB80 of single seeds: ``7.81..8.02 (3)``, or ``-`` for one seed."""
    found = [c.pbx(HEADLINE).ends for c in curve.by_seed.values()]
    if not found:
        return "-"
    low = min((low for low, _ in found), key=lambda one: one.value or 0.0)
    high = max((high for _, high in found), key=lambda one: one.value or 0.0)
    return f"{pbx_text(low)}..{pbx_text(high)} ({len(found)})"


def score_lines(summary: Summary) -> list[str]:
    """Return one table per curve: tasks down, settings across, percent with its 95 % interval."""
    lines: list[str] = []
    for curve in summary.curves:
        settings = list(dict.fromkeys(setting_label(cell.setting) for cell in curve.cells))
        by_place = {(cell.task, setting_label(cell.setting)): cell for cell in curve.cells}
        tasks = list(dict.fromkeys(cell.task for cell in curve.cells))
        for start in range(0, len(settings), MOST_SETTINGS):
            part = settings[start : start + MOST_SETTINGS]
            rows = [
                [task, *(_score_text(by_place.get((task, setting))) for setting in part)] for task in tasks
            ]
            lines += [*table([curve.identity.label, *part], rows), ""]
    return lines


def _score_text(cell: CellSummary | None) -> str:
    if cell is None:
        return ""
    if cell.percent is None:
        return "failed" if cell.n_failed else "-"
    digits, between = digits_of(cell.interval), ""
    if cell.interval is not None:
        low, high = 100 * cell.interval.low, 100 * cell.interval.high
        between = f" [{low:.{digits}f},{high:.{digits}f}]"
    missing = "" if cell.incomplete is None else "!"
    return f"{cell.percent:.{digits}f}{between}{missing}"


def digits_of(interval: Interval | None) -> int:
    """Return how many decimals a score in percent is shown with: one where its interval is narrow."""
    return 0 if interval is None or 100 * (interval.high - interval.low) > NARROW_POINTS else 1


def measured_lines(measured: Measured) -> list[str]:
    """Return a table of what ``--pb-timing`` found, and a line for every model: what it was computed with."""
    rows = [
        [
            one.cell,
            "-" if one.batch is None else str(one.batch),
            f"{one.rows_per_forward:.1f}",
            "-" if one.tokens_per_second is None else f"{one.tokens_per_second:.1f}",
            "-" if one.seconds_per_sample is None else f"{one.seconds_per_sample:.4f}",
            "-" if one.peak_bytes is None else f"{one.peak_bytes / 2**20:.0f}",
            str(one.differ),
        ]
        for one in measured.throughput
    ]
    header = ["throughput", "batch", "rows/forward", "tokens/s", "s/sample", "peak MiB", "differ"]
    lines = [*table(header, rows), ""] if rows else []
    return lines + [_numerics_line(model, own) for model, own in measured.numerics]


def _numerics_line(model: str, own: Numerics) -> str:
    commit = "" if own.commit is None else f" at commit {own.commit[:12]}"
    return (
        f"computed with: {model}{commit} on {own.device} in {own.dtype}, {own.attention} attention, "
        f"TF32 {'on' if own.tf32 else 'off'}, {'' if own.compiled else 'not '}compiled, torch {own.torch}"
    )


def closing_lines(
    session: BenchSession,
    found: Conclusion | None,
    *,
    problem: str | None,
    reasons: Mapping[str, int],
    skips: Mapping[str, int],
    reused: int,
    most_columns: int | None,
) -> list[str]:
    """Return what stands below the tables: failures by reason, skips, gates, reuse, where the records are.

    A reason to skip is cut to *most_columns*, where that is not None; a failure never is.
    """
    lines = [f"no summary: {problem}"] if problem else []
    lines += [f"failed, {n} item{'s' * (n > 1)}: {reason}" for reason, n in reasons.items()]
    skipped = [f"skipped, {n} item{'s' * (n > 1)}: {reason}" for reason, n in skips.items()]
    lines += skipped if most_columns is None else [fitted(line, most_columns) for line in skipped]
    lines += [*session.ends.lines, *session.unfinished, *session.plan.notes]
    if session.plan.missing_tasks:
        lines.append(f"no spec in this version: {', '.join(session.plan.missing_tasks)}")
    others = sorted({cell.asked.model for cell in found.run.cells if not cell.exact}) if found else []
    if others:
        lines.append(
            f"items of {', '.join(others)} assert completeness and floors only; the laws hold for ideal"
        )
    lines += found.run.remote_code_lines if found else []
    lines += disagreement_lines(session.disagreements)
    if session.batch_outcome.checked:
        lines.append(session.batch_outcome.line)
    if session.work.counted:
        lines.append(session.work.line)
    lines += measured_lines(session.measured)
    lines += [] if session.baseline_note is None else [session.baseline_note]
    if found is not None and found.verdicts and session.gate_run is not None:
        lines.append(session.gate_run.savings.line)
    if found is None or not found.verdicts:
        is_gated = session.gates or session.baseline is not None
        lines.append("no gate was judged" if is_gated else "nothing was gated (--pb-gate, --pb-baseline)")
    lines += (
        [f"gate {'passed' if verdict.passed else 'FAILED'}: {verdict.message}" for verdict in found.verdicts]
        if found
        else []
    )
    lines.append(f"{reused} of {len(session.selected)} items reused; records in {session.options.store}")
    return lines
