"""Top-k unmasking: at every step a fixed number of positions, the best by one score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.loop.confidence import SCORES
from decoders.state import StepUpdate

if TYPE_CHECKING:
    from decoders.state import StepView


@dataclass(frozen=True, kw_only=True, slots=True)
class TopK:
    """Commit the quota's number of eligible positions with the highest *score*.

    Source: LLaDA (arXiv:2502.09992) generate.py, low_confidence and random; MaskGIT (CVPR 2022); margin from
    arXiv:2502.06768; entropy as in Dream (arXiv:2508.15487).
    Differs: a step whose quota is 0 (more steps than masks) is not run; ties go by position, not by what a
        device's topk happens to give; a token whose logit is -inf is not guided.

    Args:
        score: One of random, left_to_right, confidence, margin, entropy.
        cfg: Scale of classifier-free guidance, at least 0: s in logits + s (logits - those without the
            prompt). Above 0 a forward evaluates two canvases of each row.
        upstream_exact: Run the steps whose quota is 0 as well, as LLaDA's published loop does.
    """

    family: ClassVar[str] = "static"
    takes_k: ClassVar[bool] = True
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    needs: ClassVar[frozenset[str]] = frozenset()
    may_remask: ClassVar[bool] = False

    score: str
    cfg: float = 0.0
    upstream_exact: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.cfg < float("inf"):
            raise ValueError(f"cfg must be at least 0 and finite, got {self.cfg!r}; 0 is no guidance")
        if self.score not in SCORES:
            raise ValueError(
                f"score must be one of {', '.join(SCORES)}, got {self.score!r}; choose one of these"
            )

    @property
    def name(self) -> str:
        """The score is what the method is called by."""
        return self.score

    @property
    def guidance(self) -> float:
        """The scale, for the loop."""
        return self.cfg

    @property
    def may_idle(self) -> bool:
        """Only the published loop's empty steps commit nothing."""
        return self.upstream_exact

    def init(self, view: StepView) -> None:
        """Nothing is remembered."""

    def step(self, view: StepView, memory: None) -> tuple[StepUpdate, None]:
        """Commit the ``view.quota`` best."""
        rank = view.rank(SCORES[self.score](view))
        return StepUpdate(unmask=rank < view.quota.unsqueeze(1), tokens=view.proposals), None


def random(*, cfg: float = 0.0, upstream_exact: bool = False) -> TopK:
    """Return top-k in random order."""
    return TopK(score="random", cfg=cfg, upstream_exact=upstream_exact)


def left_to_right(*, cfg: float = 0.0, upstream_exact: bool = False) -> TopK:
    """Return top-k from left to right."""
    return TopK(score="left_to_right", cfg=cfg, upstream_exact=upstream_exact)


def confidence(*, cfg: float = 0.0, upstream_exact: bool = False) -> TopK:
    """Return top-k by the probability of the proposed token."""
    return TopK(score="confidence", cfg=cfg, upstream_exact=upstream_exact)


def margin(*, cfg: float = 0.0, upstream_exact: bool = False) -> TopK:
    """Return top-k by the gap between the two most likely tokens."""
    return TopK(score="margin", cfg=cfg, upstream_exact=upstream_exact)


def entropy(*, cfg: float = 0.0, upstream_exact: bool = False) -> TopK:
    """Return top-k by negative entropy."""
    return TopK(score="entropy", cfg=cfg, upstream_exact=upstream_exact)
