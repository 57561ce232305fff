"""Which setting of every curve a comparison shows: one that was asked for, else k = 2 or the slowest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pb_plugin.results.cell_numbers import Ends
from pb_plugin.results.summary import CellSummary, Curve, Summary, setting_label
from task_specs.document import did_you_mean

K = 2
"""Tokens per step of the diffusion models in the paper's comparison."""

Asked = Mapping[str | None, str]
"""Label of a curve -> the setting to show of it; under None one for every curve that has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """One curve at one setting.

    Args:
        curve: The curve.
        setting: Label of the setting.
        cells: Its cells by task id.
    """

    curve: Curve
    setting: str
    cells: Mapping[str, CellSummary]

    @property
    def label(self) -> str:
        """``ideal-confidence[k=2]``."""
        return f"{self.curve.identity.label}[{self.setting}]"


def read_asked(texts: Sequence[str]) -> dict[str | None, str]:
    """Return what ``--at [CURVE:]SETTING`` asks for, CURVE and SETTING as reports write them.

    Raises:
        ValueError: A part is empty, or a curve is named twice.
    """
    found: dict[str | None, str] = {}
    for text in texts:
        curve, colon, setting = text.rpartition(":")
        if not setting or (colon and not curve):
            raise ValueError(
                f"--at must be [CURVE:]SETTING, got {text!r}; write k=2 or llada-threshold:gamma=0.9"
            )
        if (curve or None) in found:
            raise ValueError(f"--at must name a curve once, got {text!r} too; keep one of them")
        found[curve or None] = setting
    return found


def chosen_of(summary: Summary, asked: Asked) -> tuple[list[Chosen], list[str]]:
    """Return every curve of *summary* at the setting to show, and a line for each that is left out.

    What *asked* says of the curve, or of every curve, comes first. Else a curve over k is shown at k = 2, as
    the paper shows diffusion models, and every other one at its slowest setting, the one with the fewest
    tokens per step: what an autoregressive model or an API does with the most care.

    Raises:
        LookupError: *asked* names a curve that there is not, or a setting that it (or no curve) has.
    """
    curves = {curve.identity.label: curve for curve in summary.curves}
    _check_asked(asked, curves)
    found, left_out = [], []
    for label, curve in curves.items():
        settings = _settings(curve)
        setting = asked.get(label, asked.get(None))
        try:
            if setting not in settings:
                setting = _usual(settings)
        except LookupError as reason:
            left_out.append(
                f"left out: {label} {reason}; name one with --at {label}:SETTING, of {', '.join(settings)}"
            )
            continue
        found.append(Chosen(curve=curve, setting=setting, cells=settings[setting]))
    return found, left_out


def _check_asked(asked: Asked, curves: Mapping[str, Curve]) -> None:
    for label, setting in asked.items():
        if label is not None and label not in curves:
            raise LookupError(
                f"--at must name a curve of the run, got {label!r}; {did_you_mean(label, curves)}"
                f"it has {', '.join(curves) or 'none'}"
            )
        among = curves.values() if label is None else (curves[label],)
        known = list(dict.fromkeys(name for curve in among for name in _settings(curve)))
        if setting not in known:
            whose = "the run" if label is None else label
            raise LookupError(
                f"--at must name a setting of {whose}, got {setting!r}; it has {', '.join(known) or 'none'}"
            )


def _settings(curve: Curve) -> dict[str, dict[str, CellSummary]]:
    """Return the cells of *curve* by setting and task."""
    found: dict[str, dict[str, CellSummary]] = {}
    for cell in curve.cells:
        found.setdefault(setting_label(cell.setting), {})[cell.task] = cell
    return found


def _usual(settings: Mapping[str, Mapping[str, CellSummary]]) -> str:
    """Return the setting to show where nobody asked for one.

    Raises:
        LookupError: There is none; says why.
    """
    if len(settings) == 1:
        return next(iter(settings))
    over_k = {name: cells for name, cells in settings.items() if _k(cells) is not None}
    if over_k:
        at_k = {name: cells for name, cells in over_k.items() if _k(cells) == K}
        if not at_k:
            raise LookupError(f"has no k={K}")
        return _slowest(at_k)
    return _slowest(settings)


def _k(cells: Mapping[str, CellSummary]) -> object:
    return next(iter(cells.values())).setting.get("k")


def _slowest(settings: Mapping[str, Mapping[str, CellSummary]]) -> str:
    """Return the setting with the fewest tokens per step, over the tasks that every one has results of.

    With bounds these are the least possible.
    """
    if len(settings) == 1:
        return next(iter(settings))
    rates = {
        name: {task: ends[0] for task, cell in cells.items() if (ends := ends_of(cell)) is not None}
        for name, cells in settings.items()
    }
    shared = set.intersection(*(set(found) for found in rates.values()))
    if not shared:
        raise LookupError("has no task with known forwards at every setting, so that none is the slowest")
    return min(rates, key=lambda name: sum(rates[name][task] for task in shared))


def ends_of(cell: CellSummary) -> Ends | None:
    """Return both ends of the tokens per step by canvas of *cell*; None where they are unknown."""
    if cell.tps is not None:
        return (cell.tps["canvas"], cell.tps["canvas"])
    return None if cell.tps_bounds is None else cell.tps_bounds["canvas"]
