"""KLASS unmasking: every position whose distribution is sure and has stopped moving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate
from decoders.unmasking.scores import reaches

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView

CHOICES = ("all", "max_conf", "min_kl", "random")

LOG_FLOOR = 1e-12
"""Added to probabilities before the logarithm, as published."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KLASSMemory:
    """What the last forwards said.

    ``previous`` [R, G, C] are its distributions, ``top`` [R, G] their most likely columns and ``rest`` [R, G]
    (float64) the probability of all others; ``divergence`` [R, H, G] are the last H KLs.
    """

    previous: Tensor
    top: Tensor
    rest: Tensor
    divergence: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class KLASS:
    """Commit positions with confidence of at least *tau* whose last *history* divergences are below *eps*.

    The divergence of a position is KL(now || forward before). When none is ready, the most confident ones
    are committed: as many as the schedule of max_steps asks for, one without a schedule. With history H the
    earliest forward of a block that can commit by readiness is number H + 1.

    Source: KLASS (Kim, Hong et al., NeurIPS 2025, arXiv:2511.05664); shkim0116/KLASS
    src/model/llada_klass.py, stable_confident_decode. Differs: previous distributions and divergences start
    anew in every block (the first forward has nothing to be compared with), equality with tau passes, only
    the block is evaluated, and a quota larger than the masks left overwrites no visible token. Under
    `upstream_exact` the previous distributions start as zeros, everything persists across blocks for all
    masked positions, no position is ready in the first H - 1 forwards of a block, and tau must be exceeded.
    The published code for Dream (src/model/dream_klass.py) has one block and follows the rule as it is here.

    Defaults: tau 0.9, eps 0.01, history 2, published with tau from 0.6 to 0.9 and eps from 0.001 to 0.015.
    Limits: eps -> 0 is top-k by confidence.

    Args:
        tau: Confidence that is asked for, in [0, 1].
        eps: Bound of the divergences in nats, above 0.
        history: How many divergences must be below *eps*, at least 1.
        choose: Which of the ready positions: all, or one: max_conf, min_kl, random.
        upstream_exact: As published.
    """

    name: ClassVar[str] = "klass"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = tuple({"tau": tau} for tau in (0.7, 0.8, 0.9, 0.95))
    needs: ClassVar[frozenset[str]] = frozenset({"probabilities"})
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False
    takes_max_steps: ClassVar[bool] = True

    tau: float = 0.9
    eps: float = 0.01
    history: int = 2
    choose: str = "all"
    upstream_exact: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.tau <= 1.0:
            raise ValueError(f"tau must be in [0, 1], got {self.tau!r}; 0.9 is the published default")
        if not self.eps > 0.0:
            raise ValueError(f"eps must be above 0, got {self.eps!r}; 0.01 nats is the published default")
        if self.history < 1:
            raise ValueError(f"history must be at least 1, got {self.history!r}; 2 is the published default")
        if self.choose not in CHOICES:
            raise ValueError(f"choose must be one of {', '.join(CHOICES)}, got {self.choose!r}; pick one")

    @property
    def scope(self) -> str:
        """The published code follows the distributions of later blocks too."""
        return "generated" if self.upstream_exact else "block"

    def init(self, view: StepView) -> KLASSMemory:
        """Start without a past: zeros, and divergences without bound."""
        n_rows, length, _ = view.probs.shape
        return KLASSMemory(
            previous=view.probs.new_zeros(view.probs.shape),
            top=view.tokens.new_full((n_rows, length), -1),
            rest=view.log_odds.new_ones((n_rows, length)),
            divergence=view.log_odds.new_full((n_rows, self.history, length), float("inf")),
        )

    def step(self, view: StepView, memory: KLASSMemory) -> tuple[StepUpdate, KLASSMemory]:
        """Commit what is ready, or else the most confident."""
        now = view.probs
        top, rest = _top_and_rest(now)
        latest = _divergence(now, top, rest, memory)
        step = view.step.unsqueeze(1)
        if not self.upstream_exact:
            latest = latest.masked_fill(step == 0, float("inf"))
        divergence = view.log_odds.new_empty(memory.divergence.shape)
        divergence[:, :-1] = memory.divergence[:, 1:]
        divergence[:, -1] = latest
        stable = (divergence < self.eps).all(dim=1)
        if self.upstream_exact:
            stable = stable & (step >= self.history - 1)
            sure = view.confidence > self.tau
        else:
            sure = reaches(view.log_odds, self.tau)
        ready = self._chosen(view, view.eligible & stable & sure, latest)
        fallback = view.by_confidence < view.quota.clamp(min=1).unsqueeze(1)
        unmask = ready.where(ready.any(dim=1, keepdim=True), fallback)
        after = KLASSMemory(previous=now, top=top, rest=rest, divergence=divergence)
        return StepUpdate(unmask=unmask, tokens=view.proposals), after

    def _chosen(self, view: StepView, ready: Tensor, divergence: Tensor) -> Tensor:
        if self.choose == "all":
            return ready
        of_ready = replace(view, eligible=ready)
        if self.choose == "max_conf":
            return of_ready.by_confidence == 0
        return of_ready.rank(-divergence if self.choose == "min_kl" else view.draws) == 0


def _top_and_rest(probs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the most likely column [R, G] of *probs* [R, G, C], and what all others have, float64."""
    import torch

    largest, top = probs.max(dim=2)
    return top, probs.sum(dim=2, dtype=torch.float64) - largest.double()


def _divergence(now: Tensor, top: Tensor, rest: Tensor, before: KLASSMemory) -> Tensor:
    """Return KL(now || before) [R, G], float64, of distributions [R, G, C], a few positions at a time.

    The term of the most likely column comes from what the others leave of 1: its own probability is rounded
    to 1 where the network is sure, and then the divergences of sure positions would be noise.
    """
    from decoders.loop.sampling import parts

    p, q, at = now.flatten(0, 1), before.previous.flatten(0, 1), top.flatten().unsqueeze(1)
    others = rest.new_empty(len(p))
    for part in parts(p):
        ratio = (p[part] + LOG_FLOOR).log_().sub_((q[part] + LOG_FLOOR).log_()).scatter_(1, at[part], 0.0)
        others[part] = ratio.mul_(p[part]).sum(dim=1).double()
    others, was = others.reshape(top.shape), q.gather(1, at).reshape(top.shape).double()
    mine, was = 1.0 - rest, (1.0 - before.rest).where(before.top == top, was)
    return others + mine * ((mine + LOG_FLOOR).log() - (was + LOG_FLOOR).log())
