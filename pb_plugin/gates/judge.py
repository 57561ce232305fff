"""Gates judged on a summary: what every condition says of every curve that it names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pb_plugin.gates.grammar import OPERATORS, PBX_SCORE, RATE, Gate
from pb_plugin.results.cell_numbers import NFE_BOUNDED
from pb_plugin.results.derived import score_at
from pb_plugin.results.summary import Curve, SuiteCurve, Summary, setting_label
from pb_plugin.statistics.pbx import PBx

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
        names = names_of(gate, summary)
    except LookupError as error:
        return [not_judged(gate, gate.prefix or "all", str(error))]
    fitting = fitting_curves(gate, summary, names)
    return [verdict for curve in fitting for verdict in judge_curve(gate, curve, names)] or [
        nothing_measured(gate, names)
    ]


def judge_curve(gate: Gate, curve: Curve, names: Mapping[str, str]) -> list[Verdict]:
    """Return what *gate* says of one curve; none where it is about settings that the curve does not have."""
    return [*(_judge_pbx if gate.what == "pbx" else _judge_score)(gate, curve, names)]


def fitting_curves(gate: Gate, summary: Summary, names: Mapping[str, str]) -> list[Curve]:
    """Return the curves that *gate* is about; *names* is what its prefix says (`names_of`)."""
    return [
        curve
        for curve in summary.curves
        if curve.identity.block_length == gate.block_length
        and names.get("model", curve.identity.model) == curve.identity.model
        and names.get("method", curve.identity.method) == curve.identity.method
    ]


def names_of(gate: Gate, summary: Summary) -> dict[str, str]:
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


def pbx_subject(curve: Curve, names: Mapping[str, str]) -> str:
    """Return what a gate on PBx is judged on: ``core-llada-threshold``."""
    suite = names.get("suite", "all")
    return curve.identity.label if suite == "all" else f"{suite}-{curve.identity.label}"


def score_subject(curve: Curve, names: Mapping[str, str], setting: Mapping[str, Any]) -> str:
    """Return what a gate on a score is judged on: ``copy-llada-confidence[k=8]``."""
    where = names.get("task") or names.get("suite", "all")
    return f"{where}-{curve.identity.label}[{setting_label(setting)}]"


def _judge_pbx(gate: Gate, curve: Curve, names: Mapping[str, str]) -> Iterator[Verdict]:
    suite, subject = names.get("suite", "all"), pbx_subject(curve, names)
    if "task" in names:
        yield not_judged(
            gate, subject, f"PBx is over a suite, not over task {names['task']!r}; gate its score"
        )
        return
    assert gate.x is not None
    found = curve.suites[suite].pbx(gate.x, gate.count)
    if found.between is not None:
        yield _judge_between(gate, subject, found.between, curve.suites[suite])
    elif found.value is None:
        way_out = "" if "suite" in names else f"; for the exact-answer tasks alone write core:{gate.text}"
        yield not_judged(gate, subject, f"suite {suite}: {found.reason}{way_out}")
    elif gate.is_lower:
        interval = curve.suites[suite].pbx_interval(gate.x, gate.count)
        if interval is None:
            yield not_judged(gate, subject, NOT_DRAWN)
        else:
            yield verdict_of(gate, subject, interval.low.value or 0.0, _NOTES[interval.low.censored])
    elif found.censored == "at_least" and gate.operator in ("<=", "<"):
        yield not_judged(gate, subject, or_more(found.value, gate))
    else:
        yield verdict_of(gate, subject, found.value, _NOTES[found.censored])


def _judge_between(gate: Gate, subject: str, between: tuple[PBx, PBx], curve: SuiteCurve) -> Verdict:
    """Return the verdict on a PBx that lies between two ends: it holds or fails where both ends say so.

    A gate on the lower end of the interval takes the one of all that PBx can be.
    """
    assert gate.x is not None
    if gate.is_lower:
        interval = curve.pbx_interval(gate.x, gate.count)
        if interval is None:
            return not_judged(gate, subject, NOT_DRAWN)
        return verdict_of(gate, subject, interval.low.value or 0.0, _NOTES[interval.low.censored])
    low, high = (end.value or 0.0 for end in between)
    compare, is_for_high = OPERATORS[gate.operator], gate.operator in (">=", ">")
    passed = (compare(low, gate.bound), compare(high, gate.bound))
    if passed[0] and not is_for_high and between[0].censored == "at_least":
        return not_judged(gate, subject, or_more(low, gate))
    is_open_end = between[1].censored == "at_least" and not is_for_high
    if passed[0] != passed[1] or (passed[0] and is_open_end):
        return not_judged(gate, subject, between_text((low, high)))
    if low == high:
        return verdict_of(gate, subject, low, "")
    return verdict_between(gate, subject, (low, high), passed[0])


def or_more(value: float, gate: Gate) -> str:
    """Return why a gate for a low PBx is not judged: it is *value* or more."""
    return f"it is {value:g} or more: the fastest measured setting still reaches {gate.x:g} %"


def between_text(ends: tuple[float, float] | None) -> str:
    """Return why a number between *ends* is not judged: the bound of the gate lies between them."""
    where = "" if ends is None else f"it is between {ends[0]:.6g} and {ends[1]:.6g}: "
    return where + NFE_BOUNDED


def _judge_score(gate: Gate, curve: Curve, names: Mapping[str, str]) -> Iterator[Verdict]:
    for setting, found in _measured(gate, curve, names):
        if says(gate, setting):
            subject = score_subject(curve, names, setting)
            value = found.percent
            if gate.is_lower and value is not None:
                value = found.low
                if value is None:
                    yield not_judged(gate, subject, NOT_DRAWN)
                    continue
            if value is None or ("task" in names and found.reason is not None):
                yield not_judged(gate, subject, found.reason or "no score")
            else:
                yield verdict_of(gate, subject, value, " %")


class _Found(NamedTuple):
    """A score in percent, the lower end of its interval, and why it is none."""

    percent: float | None
    low: float | None
    reason: str | None


def _measured(
    gate: Gate, curve: Curve, names: Mapping[str, str]
) -> Iterator[tuple[Mapping[str, Any], _Found]]:
    """Yield the setting and the score of every point or cell that *names* say."""
    if RATE in gate.setting:
        yield _at_rate(gate, curve, names)
    elif "task" not in names and gate.score == PBX_SCORE:
        for point in curve.suites[names.get("suite", "all")].points:
            low = None if point.interval is None else point.interval.low
            yield point.setting, _Found(point.score, low, point.reason)
    elif "task" not in names:
        reason = f"{gate.score} is the score of a task, not of a suite; name the task"
        yield from ((point.setting, _Found(None, None, reason)) for point in curve.suites["all"].points)
    for cell in curve.cells if "task" in names and RATE not in gate.setting else ():
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


def _at_rate(gate: Gate, curve: Curve, names: Mapping[str, str]) -> tuple[Mapping[str, Any], _Found]:
    """Return the score of the suite at so many tokens per step, interpolated between settings."""
    rate = float(gate.setting[RATE])
    if "task" in names or gate.score != PBX_SCORE:
        return {RATE: rate}, _Found(None, None, "a score at a speed is that of a suite; name no task")
    found = score_at(curve.suites[names.get("suite", "all")], rate)
    low = None if found.interval is None else found.interval.low
    return {RATE: rate}, _Found(found.value, low, found.reason)


def says(gate: Gate, setting: Mapping[str, Any]) -> bool:
    """Return whether *setting* is one that *gate* names."""
    return all(name in setting and _equals(setting[name], text) for name, text in gate.setting.items())


def _equals(value: Any, text: str) -> bool:
    """Return whether *text*, as written in a gate, says *value*."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(text) == value
        except ValueError:
            return False
    return setting_label({"": value}) == f"={text}"


def nothing_measured(gate: Gate, names: Mapping[str, str]) -> Verdict:
    """Return the verdict where no curve and no setting fits."""
    block = "the canvas" if gate.block_length is None else str(gate.block_length)
    asked = "" if gate.what == "pbx" else f" with {setting_label(gate.setting)}"
    subject = ":".join(names.values()) or "all"
    return not_judged(gate, subject, f"nothing was measured{asked} at block {block}")


def verdict_of(gate: Gate, subject: str, value: float, note: str) -> Verdict:
    """Return the verdict on a measured *value*."""
    passed = OPERATORS[gate.operator](value, gate.bound)
    message = f"{gate.quantity} is {value:.6g}{note}, the gate asks for {gate.operator} {gate.bound:g}"
    return Verdict(gate=gate.text, subject=subject, passed=passed, value=value, message=message)


def verdict_between(gate: Gate, subject: str, ends: tuple[float, float], passed: bool) -> Verdict:
    """Return the verdict on a number that lies between *ends*, told by the end that decides it."""
    is_for_high = gate.operator in (">=", ">")
    side = f"at least {ends[0]:.6g}" if passed is is_for_high else f"at most {ends[1]:.6g}"
    unit = " %" if gate.what == "score" else ""
    message = f"{gate.quantity} is {side}{unit}, the gate asks for {gate.operator} {gate.bound:g}"
    return Verdict(gate=gate.text, subject=subject, passed=passed, value=None, message=message)


def not_judged(gate: Gate, subject: str, reason: str) -> Verdict:
    """Return the verdict where there is nothing to judge, which fails."""
    message = f"{gate.quantity} could not be judged: {reason}"
    return Verdict(gate=gate.text, subject=subject, passed=False, value=None, message=message)
