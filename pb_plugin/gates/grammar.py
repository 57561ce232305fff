"""The language of gates: ``llada:threshold:lo(PB80)>=4`` into its parts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import ge, gt, le, lt
from types import MappingProxyType
from typing import Any, Literal

from pb_plugin.pages import PAGES
from pb_plugin.results.cell_numbers import COUNTS

LONGEST = 300
"""Characters of a gate."""

GRAMMAR = (
    "[SUITE:][MODEL:][METHOD:]PB80[(content)][@b16]>=4 or "
    "[SUITE:][MODEL:][METHOD:][TASK:]score@k2>=60 (score@gamma=0.9,b16>=60, score@tps=4>=80; a task's "
    "other scores by their names), lo(...) around either for its lower bound, with one of >=, >, <=, <; "
    f"see {PAGES['gates']}"
)

OPERATORS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {">=": ge, ">": gt, "<=": le, "<": lt}
)
_PBX = re.compile(r"PB(?P<x>\d+(\.\d+)?)(\((?P<count>[^()]*)\))?(@b(?P<block>\d+))?")
_COMPARISON = re.compile(r"(?P<left>.*?)(?P<operator>>=|<=|==|!=|>|<|=(?=[^<>=!]*$))(?P<bound>.*)")
_SHORT = re.compile(r"(?P<name>[kb])(?P<value>\d+)")
_LOWER = re.compile(r"lo\((?P<what>.*)\)")
_SCORE = re.compile(r"(?P<score>\w+)@(?P<conditions>.*)")

RATE = "tps"
"""The condition that asks for a score at so many tokens per step, between settings."""

PBX_SCORE = "score"
"""What stands for the score that PBx uses; every other name is that of a stored score."""


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
        score: For ``score`` its name; ``score`` is the one that PBx uses.
        is_lower: Whether the lower end of the 95 % interval is judged instead of the estimate.
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
    score: str = PBX_SCORE
    is_lower: bool = False
    setting: Mapping[str, str] = field(default_factory=dict)
    block_length: int | None = None

    @property
    def quantity(self) -> str:
        """``PB80``, ``lo(PB80(content))`` or ``score``, for messages."""
        what = self.score
        if self.x is not None:
            what = f"PB{self.x:g}" + ("" if self.count == "canvas" else f"({self.count})")
        return f"lo({what})" if self.is_lower else what


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
    lower = _LOWER.fullmatch(what)
    what = lower["what"] if lower else what
    if ":" in left and any(not part.strip() for part in prefix.split(":")):
        raise ValueError(f"gate must have a name before every colon, got {text!r}; remove the stray colon")
    shared: dict[str, Any] = {
        "text": text,
        "prefix": prefix,
        "operator": operator,
        "bound": bound,
        "is_lower": lower is not None,
    }
    if lower and operator not in (">=", ">"):
        raise ValueError(
            f"gate on a lower bound must ask for >= or >, got {operator} in {text!r}; it shows only that a "
            "number is not lower"
        )
    if match := _PBX.fullmatch(what):
        return _pbx_gate(shared, match)
    if match := _SCORE.fullmatch(what):
        return _score_gate({**shared, "score": match["score"]}, match["conditions"])
    raise ValueError(f"gate must ask for PB<x> or score@<setting>, got {what!r} in {text!r}; write {GRAMMAR}")


def _split(text: str) -> tuple[str, str, float]:
    compact = re.sub(r"\s+", "", text)
    match = _COMPARISON.fullmatch(compact)
    if match is None:
        raise ValueError(f"gate must compare with >=, >, <= or <, got {text!r}; write {GRAMMAR}")
    if match["operator"] not in OPERATORS:
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
    if RATE in setting and (len(setting) > 1 or not _is_rate(setting[RATE])):
        raise ValueError(
            f"setting of a score must be {RATE}=NUMBER alone for tokens per step, got {conditions!r} in "
            f"{text!r}; write score@{RATE}=4"
        )
    block = _block(setting.pop("b", None), text)
    return Gate(**shared, what="score", setting=setting, block_length=block)


def _is_rate(text: str) -> bool:
    try:
        return 0.0 < float(text) < math.inf
    except ValueError:
        return False


def _block(digits: str | None, text: str) -> int | None:
    if digits is not None and not (digits.isascii() and digits.isdigit() and int(digits) >= 1):
        raise ValueError(f"block must be a whole number of at least 1, got {digits!r} in {text!r}; write b16")
    return None if digits is None else int(digits)
