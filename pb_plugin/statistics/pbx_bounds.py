"""What PBx can be while samples are missing or forwards are bounded: by counting, without any statistics.

Every setting of a curve is a box: its tokens per step and its score lie somewhere between two ends, which
differ as long as samples are missing, and its tokens per step also where nobody counted the forwards and
only bounds of them are known. Nothing is estimated, so what follows from the ends is certain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from operator import ge, gt
from typing import NamedTuple

from pb_plugin.statistics.pbx import PBx, Rule

Compare = Callable[[float, float], bool]


class Box(NamedTuple):
    """One setting: the lowest and highest tokens per step, the lowest and highest score in percent."""

    tps: tuple[float, float]
    score: tuple[float, float]


def lowest(boxes: Sequence[Box], x: float, *, static: bool) -> float:
    """Return the smallest PBx (published rule) of all curves through *boxes*; 0 where x may not be reached.

    At fixed tokens per step PBx rises with every score, so all scores are at their low end. The last setting
    that reaches x then lies at the highest of the low ends of those that do, as far left as it can; what does
    not reach x is as close behind it as it can be.

    Args:
        boxes: The settings, in any order.
        x: Score in percent.
        static: Whether the method counts measured settings only.
    """
    reached = [(box.tps, box.score[0]) for box in boxes if box.score[0] >= x]
    if not reached:
        return 0.0
    last = max(tps[0] for tps, _ in reached)
    below = [(box.tps, box.score[0]) for box in boxes if box.score[0] < x]
    if static or any(tps[0] <= last <= tps[1] for tps, _ in below):
        return last
    score = min(score for tps, score in reached if tps[0] <= last <= tps[1])
    right = [item for item in below if item[0][0] > last]
    return min(
        (
            _crossing(last, score, tps[0], next_score, x)
            for index, (tps, next_score) in enumerate(right)
            if all(
                other_tps[1] > tps[0] or (other_tps[1] == tps[0] and other_score <= next_score)
                for place, (other_tps, other_score) in enumerate(right)
                if place != index
            )
        ),
        default=last,
    )


def highest(boxes: Sequence[Box], x: float, *, static: bool) -> float:
    """Return the largest PBx (published rule) of all curves through *boxes*; see `lowest`."""
    reached = [(box.tps, box.score[1]) for box in boxes if box.score[1] >= x]
    if not reached:
        return 0.0
    if static:
        return max(tps[1] for tps, _ in reached)
    below = [(box.tps, box.score[1]) for box in boxes if box.score[1] < x]
    first = max(tps[0] for tps, _ in reached)
    return max(
        _highest_behind(
            tps[1],
            min([score, *(other for other_tps, other in reached if other_tps[0] == tps[1])]),
            below,
            x,
        )
        for tps, score in reached
        if tps[1] >= first
    )


def _highest_behind(
    last: float, score: float, below: Sequence[tuple[tuple[float, float], float]], x: float
) -> float:
    """Return the largest crossing where the last setting that reaches x is at *last* and has *score*."""
    stay = [index for index, (tps, _) in enumerate(below) if tps[0] >= last]
    found = [last]
    for index, (tps, next_score) in enumerate(below):
        place = min([tps[1], *(below[other][0][1] for other in stay if other != index)])
        if place >= max(tps[0], last):
            found.append(_crossing(last, score, place, next_score, x))
    return max(found)


def _crossing(tps: float, score: float, next_tps: float, next_score: float, x: float) -> float:
    """Return where the line to the next setting falls to x; rounded once, as `pbx` does."""
    share = (Fraction(score) - Fraction(x)) / (Fraction(score) - Fraction(next_score))
    return float(Fraction(tps) + share * (Fraction(next_tps) - Fraction(tps)))


def fastest_reaches(boxes: Sequence[Box], x: float) -> bool | None:
    """Return whether the fastest setting reaches x, so that PBx is "that or more"; None while it is open."""
    surely = max((box.tps[0] for box in boxes if box.score[0] >= x), default=None)
    others = max((box.tps[1] for box in boxes if box.score[0] < x), default=0.0)
    if surely is not None and surely >= others:
        return True
    may = [box.tps[1] for box in boxes if box.score[1] >= x]
    if not may or max(may) < max(box.tps[0] for box in boxes):
        return False
    return None


def pbx_between(boxes: Sequence[Box], x: float, rule: Rule, static: bool) -> PBx:
    """Return PBx of settings whose scores are known and whose tokens per step lie between two ends.

    A value where every curve through *boxes* has the same one, as where x is never reached; else its ends
    over all these curves. The tokens per step of one setting may lie anywhere between their ends, whatever
    those of the others are. The largest one is "that or more" where the fastest setting may reach x.

    Source: bounds of what data do not identify, Manski, Partial Identification of Probability Distributions
    (2003), chapter 1.
    """
    if all(box.score[0] < x for box in boxes):
        return PBx(value=0.0, censored="never")
    counts_settings = rule == "published" and static
    is_end = fastest_reaches(boxes, x)
    low = PBx(
        value=lowest(boxes, x, static=counts_settings), censored="at_least" if is_end is True else "none"
    )
    high = PBx(
        value=highest(boxes, x, static=counts_settings),
        censored="none" if is_end is False else "at_least",
    )
    return low if low == high else PBx(value=None, between=(low, high))


def holds(boxes: Sequence[Box], x: float, compare: Compare, bound: float, *, static: bool) -> bool | None:
    """Return whether PBx compares with *bound* as a gate asks, on every curve or on none; None while open.

    A gate for a low PBx does not hold where the fastest setting still reaches x: it may be higher.

    Args:
        boxes: The settings.
        x: Score in percent.
        compare: ``>=``, ``>``, ``<=`` or ``<``.
        bound: Tokens per step.
        static: Whether the method counts measured settings only.
    """
    at_low = compare(lowest(boxes, x, static=static), bound)
    at_high = compare(highest(boxes, x, static=static), bound)
    if compare in (ge, gt):
        return True if at_low else None if at_high else False
    open_end = fastest_reaches(boxes, x)
    if open_end or not at_low:
        return False
    return True if at_high and open_end is False else None


def that_matter(boxes: Sequence[Box], x: float, compare: Compare, bound: float, *, static: bool) -> list[int]:
    """Return which of *boxes* `holds` can depend on, whatever the missing samples are.

    What is left out stays left out as boxes shrink, and without it `holds` says the same. Left out are

    - settings surely slower than one that surely reaches x: they are never the last;
    - of a static method those surely slower than *bound*, and those that surely miss x (for a gate for a low
      PBx only where they are surely not the fastest);
    - of an adaptive method those surely slower than another that is surely slower than *bound*, and for a
      gate for a high PBx those that surely miss x and are surely faster than another that is surely faster
      than *bound*: only the neighbours of *bound* say on which side of it the curve crosses x.
    """
    is_for_high = compare in (ge, gt)
    last = max((box.tps[0] for box in boxes if box.score[0] >= x), default=0.0)
    fastest = max((box.tps[0] for box in boxes), default=0.0)
    slower = max((box.tps[0] for box in boxes if box.tps[1] < bound), default=0.0)
    faster = min((box.tps[1] for box in boxes if box.tps[0] > bound), default=float("inf"))

    def matters(box: Box) -> bool:
        misses = box.score[1] < x
        if box.tps[1] < last:
            return False
        if static:
            is_needed_for_end = not is_for_high and box.tps[1] >= fastest
            return is_needed_for_end or not (box.tps[1] < bound or misses)
        return not (box.tps[1] < slower or (is_for_high and misses and box.tps[0] > faster))

    return [index for index, box in enumerate(boxes) if matters(box)]
