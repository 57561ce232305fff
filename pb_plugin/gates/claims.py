"""Gates taken apart before anything is decoded: what each asks of which curve, and of which cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pb_plugin.gates.grammar import PBX_SCORE, RATE, Gate
from pb_plugin.gates.judge import (
    Verdict,
    fitting_curves,
    judge,
    judge_curve,
    names_of,
    nothing_measured,
    pbx_subject,
    score_subject,
)
from pb_plugin.records.asked import Asked
from pb_plugin.records.canonical import canonical_json
from pb_plugin.results.aggregate import aggregate
from pb_plugin.results.cell_result import CellResult, PlannedCell
from pb_plugin.results.suites import SUITES
from pb_plugin.results.summary import CellSummary, Curve


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What one gate says of one curve, or of one setting of it.

    Args:
        gate: The gate.
        subject: What it is judged on, as `judge` names it.
        kind: Whether it is about PBx, the score at a speed, the mean score of a suite, or that of a task.
        settings: For every setting that it may depend on, the places of its cells in the plan.
        static: Whether the curve's method unmasks a fixed number of positions per step.
    """

    gate: Gate
    subject: str
    kind: Literal["pbx", "rate", "suite", "task"]
    settings: tuple[tuple[int, ...], ...]
    static: bool

    @property
    def cells(self) -> set[int]:
        """The places of all its cells."""
        return {cell for setting in self.settings for cell in setting}


def claims_of(gate: Gate, cells: Sequence[PlannedCell]) -> list[Claim | Verdict]:
    """Return what *gate* says of the run of *cells*; a verdict where no result would let it be judged.

    The subjects, and what cannot be judged, are those of `judge` on a run that has no result yet.
    """
    summary = aggregate([CellResult(planned=cell, records=()) for cell in cells])
    places = {cell.asked: index for index, cell in enumerate(cells)}
    try:
        names = names_of(gate, summary)
    except LookupError:
        return [*judge(gate, summary)]
    found: list[Claim | Verdict] = []
    for curve in fitting_curves(gate, summary, names):
        claims = {claim.subject: claim for claim in _claims(gate, curve, names, places)}
        found += [claims.get(verdict.subject, verdict) for verdict in judge_curve(gate, curve, names)]
    return found or [nothing_measured(gate, names)]


def _claims(
    gate: Gate, curve: Curve, names: Mapping[str, str], places: Mapping[Asked, int]
) -> Iterator[Claim]:
    """Yield what can be judged of *curve* once it is decoded; it may be more than the gate asks for."""
    static = curve.family == "static"
    if "task" in names:
        if gate.what == "score" and RATE not in gate.setting:
            for cell in curve.cells:
                if cell.task == names["task"]:
                    subject = score_subject(curve, names, cell.setting)
                    own = ((places[cell.asked],),)
                    yield Claim(gate=gate, subject=subject, kind="task", settings=own, static=static)
        return
    if gate.score != PBX_SCORE:
        return
    suite = SUITES[names.get("suite", "all")]
    settings = _whole_settings(curve, suite)
    cells = tuple(tuple(places[cell.asked] for cell in setting) for setting in settings)
    if gate.what == "score" and RATE not in gate.setting:
        for setting, where in zip(settings, cells, strict=True):
            subject = score_subject(curve, names, setting[0].setting)
            yield Claim(gate=gate, subject=subject, kind="suite", settings=(where,), static=static)
    elif settings:
        of_pbx = gate.what == "pbx"
        rate = {} if of_pbx else {RATE: float(gate.setting[RATE])}
        subject = pbx_subject(curve, names) if of_pbx else score_subject(curve, names, rate)
        kind: Literal["pbx", "rate"] = "pbx" if of_pbx else "rate"
        yield Claim(gate=gate, subject=subject, kind=kind, settings=cells, static=static)


def _whole_settings(curve: Curve, suite: Sequence[str]) -> list[list[CellSummary]]:
    """Return the settings that are planned for every task of the suite, the cells in its order."""
    by_setting: dict[str, dict[str, CellSummary]] = {}
    for cell in curve.cells:
        by_setting.setdefault(canonical_json(cell.setting), {})[cell.task] = cell
    return [[cells[task] for task in suite] for cells in by_setting.values() if cells.keys() >= set(suite)]
