"""Gates on point estimates: read ``llada:threshold:PB80>=4`` and judge it on a summary."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from operator import ge, gt, le, lt
from types import MappingProxyType
from typing import Any, Literal

from pb_plugin.pages import PAGES
from pb_plugin.results.cell_numbers import COUNTS
from pb_plugin.results.summary import Curve, Summary, setting_label

GRAMMAR = (
    "[SUITE:][MODEL:][METHOD:]PB80[(content)][@b16]>=4 or "
    "[SUITE:][MODEL:][METHOD:][TASK:]score@k2>=60 (score@gamma=0.9,b16>=60), with one of >=, >, <=, <; "
    f"see {PAGES['gates']}"
)

LONGEST = 300
"""Characters of a gate."""

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {">=": ge, ">": gt, "<=": le, "<": lt}
)
_PBX = re.compile(r"PB(?P<x>\d+(\.\d+)?)(\((?P<count>[^()]*)\))?(@b(?P<block>\d+))?")
_COMPARISON = re.compile(r"(?P<left>.*?)(?P<operator>>=|<=|==|!=|>|<|=(?=[^<>=!]*$))(?P<bound>.*)")
_SHORT = re.compile(r"(?P<name>[kb])(?P<value>\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """A parsed gate.

    Args:
        text: As it was written.
        prefix: What stands before the last colon, "" if nothing: names of a suite, model, method, task.
        what: ``pbx`` or ``score``.
        operator: ``>=``, ``>``, ``<=`` or ``<``.
        bound: Tokens per step for ``pbx``, percent for ``score``.
        x: For ``pbx`` the score in percent.
        count: For ``pbx`` the token count.
        setting: For ``score`` the conditions on the setting, values as text.
        block_length: Names a curve of another block length; None is the curve whose block is the canvas.
    """

    text: str
    prefix: str
    what: Literal["pbx", "score"]
    operator: str
    bound: float
    x: float | None = None
    count: str = "canvas"
    setting: Mapping[str, str] = field(default_factory=dict)
    block_length: int | None = None

    @property
    def quantity(self) -> str:
        """``PB80``, ``PB80(content)`` or ``score``, for messages."""
        if self.x is None:
            return "score"
        return f"PB{self.x:g}" + ("" if self.count == "canvas" else f"({self.count})")


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


def parse_gate(text: str) -> Gate:
    """Return the gate that *text* says.

    Raises:
        ValueError: *text* is no gate; the message says which part is wrong and what to write.
    """
    if len(text) > LONGEST:
        raise ValueError(
            f"gate must have at most {LONGEST} characters, got {len(text)} ({text[:20]!r} ...); "
            f"write {GRAMMAR}"
        )
    left, operator, bound = _split(text)
    prefix, _, what = left.rpartition(":")
    if what.startswith("lo("):
        raise ValueError(
            f"gate must be on a point estimate, got {text!r}; lower bounds need bootstrap intervals, which "
            f"come later: write {what.removeprefix('lo(').removesuffix(')')}{operator}{bound:g} for now"
        )
    if any(not part.strip() for part in prefix.split(":")) and left != what:
        raise ValueError(f"gate must have a name before every colon, got {text!r}; remove the stray colon")
    shared: dict[str, Any] = {"text": text, "prefix": prefix, "operator": operator, "bound": bound}
    if what.startswith("score@"):
        return _score_gate(shared, what.removeprefix("score@"))
    if match := _PBX.fullmatch(what):
        return _pbx_gate(shared, match)
    raise ValueError(f"gate must ask for PB<x> or score@<setting>, got {what!r} in {text!r}; write {GRAMMAR}")


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


def _split(text: str) -> tuple[str, str, float]:
    compact = re.sub(r"\s+", "", text)
    match = _COMPARISON.fullmatch(compact)
    if match is None:
        raise ValueError(f"gate must compare with >=, >, <= or <, got {text!r}; write {GRAMMAR}")
    if match["operator"] not in _OPERATORS:
        raise ValueError(
            f"gate must compare with >=, >, <= or <, got {match['operator']} in {text!r}; "
            "a measured mean is never compared for equality"
        )
    try:
        bound = float(match["bound"])
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise ValueError(
            f"gate must end in a finite number, got {match['bound']!r} in {text!r}; write {GRAMMAR}"
        )
    return match["left"], match["operator"], bound


def _pbx_gate(shared: Mapping[str, Any], match: re.Match[str]) -> Gate:
    text, x, count = shared["text"], float(match["x"]), match["count"] or "canvas"
    if not 0 < x <= 100:
        raise ValueError(
            f"x of PBx must be in (0, 100], got {match['x']} in {text!r}; PB80 is 80 % of the score"
        )
    if count not in COUNTS:
        raise ValueError(
            f"token count of PBx must be one of {', '.join(COUNTS)}, got {count!r} in {text!r}; leave it out "
            "for canvas"
        )
    if shared["bound"] < 0:
        raise ValueError(
            f"bound of PBx must be 0 or more, got {shared['bound']:g} in {text!r}; it is in tokens per step"
        )
    return Gate(**shared, what="pbx", x=x, count=count, block_length=_block(match["block"], text))


def _score_gate(shared: Mapping[str, Any], conditions: str) -> Gate:
    text, bound = shared["text"], shared["bound"]
    if not 0 <= bound <= 100 or 0 < bound < 1:
        raise ValueError(
            f"bound of a score must be in percent, 0 or 1 to 100, got {bound:g} in {text!r}; "
            "write 60 for 60 %"
        )
    setting: dict[str, str] = {}
    for condition in conditions.split(","):
        name, equals, value = condition.partition("=")
        if short := _SHORT.fullmatch(condition):
            name, value = short["name"], short["value"]
        elif not (name and equals and value):
            raise ValueError(
                f"setting of a score must be k2 or name=value, joined by commas, got {condition!r} in "
                f"{text!r}; write {GRAMMAR}"
            )
        if name in setting:
            raise ValueError(f"setting of a score must name {name!r} once, got {text!r}; remove one")
        setting[name] = value
    block = _block(setting.pop("b", None), text)
    return Gate(**shared, what="score", setting=setting, block_length=block)


def _block(digits: str | None, text: str) -> int | None:
    if digits is not None and not (digits.isascii() and digits.isdigit() and int(digits) >= 1):
        raise ValueError(f"block must be a whole number of at least 1, got {digits!r} in {text!r}; write b16")
    return None if digits is None else int(digits)


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
    elif found.censored == "at_least" and gate.operator in ("<=", "<"):
        reason = f"it is {found.value:g} or more: the fastest measured setting still reaches {gate.x:g} %"
        yield _not_judged(gate, subject, reason)
    else:
        note = {"none": "", "never": " (never reached)", "at_least": " or more"}[found.censored]
        yield _verdict(gate, subject, found.value, note)


def _judge_score(gate: Gate, curve: Curve, names: Mapping[str, str]) -> Iterator[Verdict]:
    measured: list[tuple[Mapping[str, Any], float | None, str | None]]
    if "task" in names:
        where = names["task"]
        measured = [(cell.setting, cell.percent, cell.reason) for cell in curve.cells if cell.task == where]
    else:
        where = names.get("suite", "all")
        measured = [(point.setting, point.score, point.reason) for point in curve.suites[where].points]
    for setting, percent, reason in measured:
        if all(name in setting and _equals(setting[name], text) for name, text in gate.setting.items()):
            subject = f"{where}-{curve.identity.label}[{setting_label(setting)}]"
            if percent is None or ("task" in names and reason is not None):
                yield _not_judged(gate, subject, reason or "no score")
            else:
                yield _verdict(gate, subject, percent, " %")


def _equals(value: Any, text: str) -> bool:
    """Return whether *text*, as written in a gate, says *value*."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(text) == value
        except ValueError:
            return False
    return setting_label({"": value}) == f"={text}"


def _verdict(gate: Gate, subject: str, value: float, note: str) -> Verdict:
    passed = _OPERATORS[gate.operator](value, gate.bound)
    message = f"{gate.quantity} is {value:.6g}{note}, the gate asks for {gate.operator} {gate.bound:g}"
    return Verdict(gate=gate.text, subject=subject, passed=passed, value=value, message=message)


def _not_judged(gate: Gate, subject: str, reason: str) -> Verdict:
    message = f"{gate.quantity} could not be judged: {reason}"
    return Verdict(gate=gate.text, subject=subject, passed=False, value=None, message=message)
