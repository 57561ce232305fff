"""Gates judged on a summary: what every condition says of every curve that it names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pb_plugin.gates.grammar import OPERATORS, PBX_SCORE, Gate
from pb_plugin.results.summary import Curve, Summary, setting_label

NOT_DRAWN = "no interval was drawn"
_NOTES = {"none": "", "never": " (never reached)", "at_least": " or more"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A judged gate: *passed* on *subject*, with the measured *value* or, where there is none, the reason."""

    gate: str
    subject: str
    passed: bool
    value: float | None
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "gate": self.gate,
            "subject": self.subject,
            "passed": self.passed,
            "value": self.value,
            "message": self.message,
        }


def judge(gate: Gate, summary: Summary) -> list[Verdict]:
    """Return a verdict for everything *gate* names in *summary*, at least one.

    Every curve that fits is judged on its own. What could not be evaluated fails, with the reason.
    """
    try:
        names = _resolve(gate, summary)
    except LookupError as error:
        return [_not_judged(gate, gate.prefix or "all", str(error))]
    curves = [
        curve
        for curve in summary.curves
        if curve.identity.block_length == gate.block_length
        and names.get("model", curve.identity.model) == curve.identity.model
        and names.get("method", curve.identity.method) == curve.identity.method
    ]
    judge_one = _judge_pbx if gate.what == "pbx" else _judge_score
    verdicts = [verdict for curve in curves for verdict in judge_one(gate, curve, names)]
    if not verdicts:
        block = "the canvas" if gate.block_length is None else str(gate.block_length)
        asked = "" if gate.what == "pbx" else f" with {setting_label(gate.setting)}"
        subject = ":".join(names.values()) or "all"
        verdicts = [_not_judged(gate, subject, f"nothing was measured{asked} at block {block}")]
    return verdicts


def _resolve(gate: Gate, summary: Summary) -> dict[str, str]:
    """Return which suite, model, method and task the prefix names; names may hold colons themselves.

    Raises:
        LookupError: A name is none of what was measured, stands in the wrong place or means two things.
    """
    known = {
        "suite": {name for curve in summary.curves for name in curve.suites},
        "model": {curve.identity.model for curve in summary.curves},
        "method": {curve.identity.method for curve in summary.curves},
        "task": {cell.task for cell in summary.cells},
    }
    if not gate.prefix:
        return {}
    readings = list(_readings(gate.prefix, tuple(known), known))
    if len(readings) == 1:
        return readings[0]
    listed = "; ".join(f"{role}s: {', '.join(sorted(names)) or 'none'}" for role, names in known.items())
    if not readings:
        raise LookupError(
            f"{gate.prefix!r} names nothing that was measured, in the order suite, model, method, task "
            f"({listed})"
        )
    meanings = " or ".join("+".join(reading) for reading in readings)
    raise LookupError(f"{gate.prefix!r} can be read as {meanings}; name the model and the method ({listed})")


def _readings(
    rest: str, roles: tuple[str, ...], known: Mapping[str, Collection[str]]
) -> Iterator[dict[str, str]]:
    """Yield every way to read *rest* as names of some of *roles*, in their order."""
    if not rest:
        yield {}
        return
    for index, role in enumerate(roles):
        for name in sorted(known[role]):
            if rest == name or rest.startswith(f"{name}:"):
                for tail in _readings(rest[len(name) + 1 :], roles[index + 1 :], known):
                    yield {role: name, **tail}


def _judge_pbx(gate: Gate, curve: Curve, names: Mapping[str, str]) -> Iterator[Verdict]:
    suite = names.get("suite", "all")
    subject = curve.identity.label if suite == "all" else f"{suite}-{curve.identity.label}"
    if "task" in names:
        yield _not_judged(
            gate, subject, f"PBx is over a suite, not over task {names['task']!r}; gate its score"
        )
        return
    assert gate.x is not None
    found = curve.suites[suite].pbx(gate.x, gate.count)
    if found.value is None:
        way_out = "" if "suite" in names else f"; for the exact-answer tasks alone write core:{gate.text}"
        yield _not_judged(gate, subject, f"suite {suite}: {found.reason}{way_out}")
    elif gate.is_lower:
        interval = curve.suites[suite].pbx_interval(gate.x, gate.count)
        if interval is None:
            yield _not_judged(gate, subject, NOT_DRAWN)
        else:
            yield _verdict(gate, subject, interval.low.value or 0.0, _NOTES[interval.low.censored])
    elif found.censored == "at_least" and gate.operator in ("<=", "<"):
        reason = f"it is {found.value:g} or more: the fastest measured setting still reaches {gate.x:g} %"
        yield _not_judged(gate, subject, reason)
    else:
        yield _verdict(gate, subject, found.value, _NOTES[found.censored])


def _judge_score(gate: Gate, curve: Curve, names: Mapping[str, str]) -> Iterator[Verdict]:
    where = names.get("task") or names.get("suite", "all")
    for setting, found in _measured(gate, curve, names):
        if all(name in setting and _equals(setting[name], text) for name, text in gate.setting.items()):
            subject = f"{where}-{curve.identity.label}[{setting_label(setting)}]"
            value = found.percent
            if gate.is_lower and value is not None:
                value = found.low
                if value is None:
                    yield _not_judged(gate, subject, NOT_DRAWN)
                    continue
            if value is None or ("task" in names and found.reason is not None):
                yield _not_judged(gate, subject, found.reason or "no score")
            else:
                yield _verdict(gate, subject, value, " %")


class _Found(NamedTuple):
    """A score in percent, the lower end of its interval, and why it is none."""

    percent: float | None
    low: float | None
    reason: str | None


def _measured(
    gate: Gate, curve: Curve, names: Mapping[str, str]
) -> Iterator[tuple[Mapping[str, Any], _Found]]:
    """Yield the setting and the score of every point or cell that *names* say."""
    if "task" not in names and gate.score == PBX_SCORE:
        for point in curve.suites[names.get("suite", "all")].points:
            low = None if point.interval is None else point.interval.low
            yield point.setting, _Found(point.score, low, point.reason)
    elif "task" not in names:
        reason = f"{gate.score} is the score of a task, not of a suite; name the task"
        yield from ((point.setting, _Found(None, None, reason)) for point in curve.suites["all"].points)
    for cell in curve.cells if "task" in names else ():
        if cell.task != names["task"]:
            continue
        if gate.score == PBX_SCORE:
            low = None if cell.interval is None else 100 * cell.interval.low
            yield cell.setting, _Found(cell.percent, low, cell.reason)
        elif gate.score not in cell.scores:
            reason = f"{cell.task} has no {gate.score}; its scores are {', '.join(cell.scores) or 'none'}"
            yield cell.setting, _Found(None, None, reason)
        else:
            score = cell.scores[gate.score]
            mean = None if score.mean is None else 100 * score.mean
            low = None if score.interval is None else 100 * score.interval.low
            yield cell.setting, _Found(mean, low, cell.incomplete or score.reason)


def _equals(value: Any, text: str) -> bool:
    """Return whether *text*, as written in a gate, says *value*."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(text) == value
        except ValueError:
            return False
    return setting_label({"": value}) == f"={text}"


def _verdict(gate: Gate, subject: str, value: float, note: str) -> Verdict:
    passed = OPERATORS[gate.operator](value, gate.bound)
    message = f"{gate.quantity} is {value:.6g}{note}, the gate asks for {gate.operator} {gate.bound:g}"
    return Verdict(gate=gate.text, subject=subject, passed=passed, value=value, message=message)


def _not_judged(gate: Gate, subject: str, reason: str) -> Verdict:
    message = f"{gate.quantity} could not be judged: {reason}"
    return Verdict(gate=gate.text, subject=subject, passed=False, value=None, message=message)
