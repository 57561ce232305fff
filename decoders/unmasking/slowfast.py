"""SlowFast unmasking: explore a few steps to find how far the model is sure, then fill that stretch fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate
from decoders.unmasking.scores import reaches

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView


@dataclass(frozen=True, kw_only=True, slots=True)
class Cycle:
    """Where a row is in its cycle; offsets count from the start of the block.

    ``start`` and ``end`` [R] bound the stretch, ``explored`` [R] counts slow steps, ``estimates`` [R, W] are
    the last estimates of the end, newest last, ``n_estimates`` [R] how many there were, ``settled`` [R]
    whether they agree.
    """

    start: Tensor
    end: Tensor
    explored: Tensor
    estimates: Tensor
    n_estimates: Tensor
    settled: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class SlowFast:
    """Cycles of `explore_steps` slow steps and as many fast steps as the stretch they settle on needs.

    Every step commits the positions with confidence >= `tau`, and always the best (published as: those if
    there are at least two, else the best, which is the same set): a slow step among all masks of the block
    from the cycle's start, a fast step only up to the cycle's end.
    The end is estimated at each slow step as one past the farthest mask with confidence >= `length_tau`; it
    settles on the newest of `window` estimates once their standard deviation (of the population) is below
    `spread`, and is the floor of their mean until then.

    Source: SlowFast sampling (arXiv:2506.10848); LiangrunFlora/Slow-Fast-Sampling,
        generate_slow_fast_sampling.py.
    Differs: the published slow phase always runs its steps, also when the block is complete; here a complete
    block costs no forward (`upstream_exact` runs them). From its second step on the published fast phase
    feeds only the columns up to the cycle's end, which changes attention: an approximate cache, which is no
    part of a selection rule and is not reproduced by `upstream_exact` either.

    Defaults: the published ones for LLaDA, one block. Sweep: tau 0.5 to 1.0. Limits: with `upstream_exact`
    a block far shorter than `explore_steps` passes the loop's bound of two steps per position.

    Args:
        tau: Confidence at which several positions are committed together; in (0, 1].
        length_tau: Confidence that a position needs to count for the end of the cycle; in (0, 1].
        explore_steps: Slow steps per cycle, at least 1.
        window: Estimates that must agree, at least 1.
        spread: Standard deviation, in positions, below which they agree; above 0.
        upstream_exact: Spend the published slow steps on a complete block.
    """

    name: ClassVar[str] = "slowfast"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = tuple({"tau": t} for t in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0))
    needs: ClassVar[frozenset[str]] = frozenset()
    may_remask: ClassVar[bool] = False

    tau: float = 0.9
    length_tau: float = 0.3
    explore_steps: int = 6
    window: int = 2
    spread: float = 1.0
    upstream_exact: bool = False

    def __post_init__(self) -> None:
        for name in ("tau", "length_tau"):
            value = getattr(self, name)
            if not 0.0 < value <= 1.0:
                raise ValueError(
                    f"{name} must be in (0, 1], got {value!r}; it is compared with a probability"
                )
        for name, published in (("explore_steps", 6), ("window", 2)):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(
                    f"{name} must be at least 1, got {value!r}; {published} is the published default"
                )
        if not self.spread > 0.0:
            raise ValueError(f"spread must be above 0, got {self.spread!r}; 1.0 is the published default")

    @property
    def may_idle(self) -> bool:
        """Only the published slow steps on a complete block commit nothing."""
        return self.upstream_exact

    def init(self, view: StepView) -> Cycle:
        """Start a cycle at the start of the block."""
        zeros = view.step.new_zeros(view.step.shape)
        return Cycle(
            start=zeros,
            end=zeros,
            explored=zeros,
            estimates=zeros.unsqueeze(1).expand(-1, self.window),
            n_estimates=zeros,
            settled=zeros.bool(),
        )

    def step(self, view: StepView, memory: Cycle) -> tuple[StepUpdate, Cycle]:
        """Take a slow step, or a fast one where the stretch is known."""
        offset = view.tokens.new_ones(view.tokens.shape).cumsum(dim=1) - 1 - view.block_start.unsqueeze(1)
        cycle = self._next_cycle(view, memory, offset)
        slow = cycle.explored < self.explore_steps
        cycle = self._estimate(view, cycle, offset, slow & ~cycle.settled)
        limit = (view.block_end - view.block_start).where(slow, cycle.end)
        scope = view.eligible & (offset >= cycle.start.unsqueeze(1)) & (offset < limit.unsqueeze(1))
        sure = scope & reaches(view.log_odds, self.tau)
        best = replace(view, eligible=scope).rank(view.log_odds) == 0
        cycle = replace(cycle, explored=cycle.explored + slow.long())
        stay = slow & (cycle.explored < self.explore_steps) if self.upstream_exact else None
        return StepUpdate(unmask=sure | best, tokens=view.proposals, stay=stay), cycle

    def _next_cycle(self, view: StepView, cycle: Cycle, offset: Tensor) -> Cycle:
        """Begin anew in a new block, and after the end of a stretch that is filled."""
        in_stretch = (offset >= cycle.start.unsqueeze(1)) & (offset < cycle.end.unsqueeze(1))
        filled = (cycle.explored >= self.explore_steps) & ~(in_stretch & view.eligible).any(dim=1)
        entered = view.step == 0
        anew = filled | entered
        return replace(
            cycle,
            start=cycle.end.where(filled, cycle.start).masked_fill(entered, 0),
            explored=cycle.explored.masked_fill(anew, 0),
            n_estimates=cycle.n_estimates.masked_fill(anew, 0),
            settled=cycle.settled & ~anew,
        )

    def _estimate(self, view: StepView, cycle: Cycle, offset: Tensor, wanted: Tensor) -> Cycle:
        """Add an estimate of the cycle's end in the rows *wanted*, and see whether it settles."""
        sure = view.eligible & reaches(view.log_odds, self.length_tau)
        one_past = (offset + 1).masked_fill(~sure, 0).amax(dim=1)
        estimate = one_past.where(one_past > 0, cycle.start + 1)
        count = cycle.n_estimates + 1
        newest = cycle.estimates.new_full((len(count), 1), self.window - 1)
        recent = cycle.estimates.roll(-1, dims=1).scatter(1, newest, estimate.unsqueeze(1))
        age = self.window - recent.new_ones(recent.shape).cumsum(dim=1)
        known = age < count.unsqueeze(1)
        n_known = known.sum(dim=1)
        total = recent.masked_fill(~known, 0).sum(dim=1)
        mean = (total.double() / n_known).unsqueeze(1)
        variance = ((recent - mean) ** 2).masked_fill(~known, 0.0).sum(dim=1) / n_known
        agree = (n_known == self.window) & (variance.sqrt() < self.spread)
        end = estimate.where(agree, total // n_known)
        return replace(
            cycle,
            end=end.where(wanted, cycle.end),
            estimates=recent.where(wanted.unsqueeze(1), cycle.estimates),
            n_estimates=count.where(wanted, cycle.n_estimates),
            settled=cycle.settled | (agree & wanted),
        )
