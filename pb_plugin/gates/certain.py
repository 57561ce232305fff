"""Which gates are certain while samples are missing, and which cells those that are open still need.

A gate is certain where no score and no speed of a missing sample could change it. Estimates only choose what
is decoded next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import ge, gt
from typing import NamedTuple

from pb_plugin.gates.cell_state import CellState, Ends, mean_percent, mean_tps
from pb_plugin.gates.claims import Claim
from pb_plugin.gates.grammar import OPERATORS, PBX_SCORE, RATE
from pb_plugin.gates.judge import Verdict, between_text, not_judged, or_more, verdict_between, verdict_of
from pb_plugin.results.cell_numbers import NFE_BOUNDED
from pb_plugin.statistics.pbx_bounds import Box, fastest_reaches, highest, holds, lowest, that_matter

ROUNDING = 1e-6
"""How far, in points, an interpolated score must be from a bound to be certain before it is complete."""

Setting = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How a claim stands.

    Args:
        passed: Whether its gate holds whatever is missing; None while it is open.
        ends: The lowest and highest value that the judged number can have; None where there is none.
        note: What is said behind the number.
        reason: Why it cannot be judged, which fails; None: it can.
        wanted: While it is open the settings that it still needs, the one to decode first at the front.
    """

    passed: bool | None
    ends: Ends | None = None
    note: str = ""
    reason: str | None = None
    wanted: tuple[Setting, ...] = ()


def standing(claim: Claim, states: Sequence[CellState]) -> Standing:
    """Return how *claim* stands; *states* are those of all cells of the plan, in its order."""
    score = claim.gate.score if claim.kind == "task" else None
    for cell in sorted(claim.cells):
        state = states[cell]
        trouble = state.trouble(score_of(score, state), needs_rates=claim.kind in ("pbx", "rate"))
        if trouble is not None:
            return Standing(passed=False, reason=trouble)
    return {"pbx": _pbx, "rate": _rate, "suite": _score, "task": _score}[claim.kind](claim, states)


def score_of(name: str | None, state: CellState) -> str:
    """Return the stored score that a gate means by *name*."""
    return state.planned.score if name in (None, PBX_SCORE) else str(name)


def verdict(claim: Claim, found: Standing, states: Sequence[CellState]) -> Verdict:
    """Return the verdict on *claim*, with a bound where the number itself is not known."""
    gate, subject = claim.gate, claim.subject
    if found.reason is not None:
        return not_judged(gate, subject, found.reason)
    if found.passed is None or found.ends is None:
        missing = sum(states[cell].n_missing for setting in found.wanted for cell in setting)
        if not missing:
            return not_judged(gate, subject, between_text(found.ends))
        reason = f"{missing} samples that it depends on are missing; run the same command again"
        return not_judged(gate, subject, reason)
    low, high = found.ends
    if low == high:
        return verdict_of(gate, subject, low, found.note)
    return verdict_between(gate, subject, (low, high), found.passed)


def _score(claim: Claim, states: Sequence[CellState]) -> Standing:
    (setting,) = claim.settings
    cells = [states[cell] for cell in setting]
    if claim.kind == "suite":
        ends = mean_percent(cells)
    else:
        ends = cells[0].percent(score_of(claim.gate.score, cells[0]))
    passed = _same(*(OPERATORS[claim.gate.operator](end, claim.gate.bound) for end in ends))
    return Standing(passed=passed, ends=ends, note=" %", wanted=_open(claim.settings, states, passed))


def _same(at_low: bool, at_high: bool) -> bool | None:
    return at_low if at_low == at_high else None


def _open(
    settings: Iterable[Setting], states: Sequence[CellState], passed: bool | None
) -> tuple[Setting, ...]:
    """Return *settings* without those that are complete; none where the claim is certain."""
    missing = [setting for setting in settings if not all(states[cell].is_complete for cell in setting)]
    return tuple(missing) if passed is None else ()


def _box(setting: Setting, states: Sequence[CellState], count: str) -> Box:
    cells = [states[cell] for cell in setting]
    return Box(mean_tps(cells, count), mean_percent(cells))


def _pbx(claim: Claim, states: Sequence[CellState]) -> Standing:
    gate, static = claim.gate, claim.static
    assert gate.x is not None
    compare = OPERATORS[gate.operator]
    boxes = [_box(setting, states, gate.count) for setting in claim.settings]
    kept = that_matter(boxes, gate.x, compare, gate.bound, static=static)
    passed = holds([boxes[at] for at in kept], gate.x, compare, gate.bound, static=static)
    ends = (lowest(boxes, gate.x, static=static), highest(boxes, gate.x, static=static))
    reaches = fastest_reaches(boxes, gate.x)
    is_end_only = ends[0] == ends[1] or compare(ends[0], gate.bound)
    if passed is False and reaches and compare not in (ge, gt) and is_end_only:
        return Standing(passed=False, reason=or_more(ends[0], gate))
    note = " (never reached)" if ends[1] == 0.0 else " or more" if reaches else ""
    wanted = _open((claim.settings[at] for at in kept), states, passed)
    return Standing(passed=passed, ends=ends, note=note, wanted=_by_promise(claim, wanted, states))


class _Guess(NamedTuple):
    tps: float | None
    score: float | None


def _guess(setting: Setting, states: Sequence[CellState], count: str) -> _Guess:
    """Return the means over the samples that are known; None where a task has none."""
    cells = [states[cell] for cell in setting]
    rates = [cell.seen(count) for cell in cells]
    known = [cell.scores.get(cell.planned.score, ()) for cell in cells]
    scores = [sum(values) / len(values) for values in known if values]
    return _Guess(
        None if None in rates else sum(rate for rate in rates if rate is not None) / len(rates),
        100.0 * sum(scores) / len(scores) if len(scores) == len(cells) else None,
    )


def _by_promise(
    claim: Claim, settings: tuple[Setting, ...], states: Sequence[CellState]
) -> tuple[Setting, ...]:
    """Return *settings*, first those about which nothing is known, then the likeliest to decide PBx alone.

    That is one which is faster than the bound and seems to reach x, the closest to the bound first.
    """
    gate = claim.gate

    def key(setting: Setting) -> tuple[int, float]:
        guess = _guess(setting, states, gate.count)
        if guess.tps is None:
            return (0, 0.0)
        decides = guess.tps >= gate.bound and (guess.score is None or guess.score >= (gate.x or 0.0))
        return (1 if decides else 2, abs(guess.tps - gate.bound))

    return tuple(sorted(settings, key=key))


def _rate(claim: Claim, states: Sequence[CellState]) -> Standing:
    import numpy as np

    from pb_plugin.statistics.derived import score_at

    rate, compare = float(claim.gate.setting[RATE]), OPERATORS[claim.gate.operator]
    boxes = [_box(setting, states, "canvas") for setting in claim.settings]
    if any(box.tps[0] != box.tps[1] for box in boxes):
        wanted = _open(claim.settings, states, None)
        return Standing(passed=None, wanted=wanted) if wanted else Standing(passed=False, reason=NFE_BOUNDED)
    slowest, fastest = min(box.tps[0] for box in boxes), max(box.tps[0] for box in boxes)
    if not slowest <= rate <= fastest:
        return Standing(passed=False, reason=f"measured from {slowest:g} to {fastest:g} tokens per step only")
    below = max((box.tps[0] for box in boxes if box.tps[0] < rate), default=rate)
    above = min(box.tps[0] for box in boxes if box.tps[0] >= rate)
    near = [at for at, box in enumerate(boxes) if box.tps[0] in (below, above)]
    tps = np.array([[boxes[at].tps[0] for at in near]])
    low, high = (
        float(score_at(tps, np.array([[boxes[at].score[end] for at in near]]), rate)[0]) for end in (0, 1)
    )
    is_complete = not _open((claim.settings[at] for at in near), states, None)
    passed = _same(compare(low, claim.gate.bound), compare(high, claim.gate.bound))
    if not is_complete and min(abs(end - claim.gate.bound) for end in (low, high)) <= ROUNDING:
        passed = None
    wanted = _open((claim.settings[at] for at in near), states, passed)
    return Standing(passed=passed, ends=(low, high), note=" %", wanted=wanted)
