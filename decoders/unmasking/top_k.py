"""Top-k unmasking: at every step a fixed number of positions, the best by one score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate
from decoders.unmasking.scores import SCORES

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView

ENDS = ("free", "never", "last")


@dataclass(frozen=True, kw_only=True, slots=True)
class TopK:
    """Commit the quota's number of eligible positions with the highest *score*.

    Source: LLaDA (arXiv:2502.09992) generate.py, low_confidence and random; MaskGIT (CVPR 2022); margin from
    arXiv:2502.06768; entropy as in Dream (arXiv:2508.15487).
    Differs: a step whose quota is 0 (more steps than masks) is not run; ties go by position, not by what a
        device's topk happens to give; a token whose logit is -inf is not guided.

    Args:
        score: One of random, left_to_right, confidence, margin, entropy.
        eos: What may be done with ends of text: ``free``; ``never`` proposes another token wherever one is
            possible (LLaDA's logits_eos_inf); ``last`` commits them after all else, and compares the others
            by their probability among the rest (confidence_eos_eot_inf). Only for score=confidence. All ends
            of the model are meant; of the published switches the first means one token and the second two.
        cfg: Scale of classifier-free guidance, at least 0: s in logits + s (logits - those without the
            prompt). Above 0 a forward evaluates two canvases of each row.
        upstream_exact: Run the steps whose quota is 0 as well, as LLaDA's published loop does.
    """

    family: ClassVar[str] = "static"
    takes_k: ClassVar[bool] = True
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    may_remask: ClassVar[bool] = False

    score: str
    eos: str = "free"
    cfg: float = 0.0
    upstream_exact: bool = False

    def __post_init__(self) -> None:
        if self.eos not in ENDS:
            raise ValueError(f"eos must be one of {', '.join(ENDS)}, got {self.eos!r}; choose one of these")
        if self.eos != "free" and self.score != "confidence":
            raise ValueError(
                f"eos must be free for score={self.score}, got {self.eos!r}; order by confidence instead"
            )
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
    def needs(self) -> frozenset[str]:
        """Whole distributions, where ends of text are taken out of them."""
        return frozenset() if self.eos == "free" else frozenset({"probabilities"})

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
        tokens, score = view.proposals, SCORES[self.score](view)
        if self.eos != "free":
            tokens, score = self._without_ends(view)
        return StepUpdate(unmask=view.rank(score) < view.quota.unsqueeze(1), tokens=tokens), None

    def _without_ends(self, view: StepView) -> tuple[Tensor, Tensor]:
        """Return tokens and their log odds [R, G] where ends of text are not proposed, or come last."""
        ends = view.end_columns.unsqueeze(1).expand_as(view.probs)
        tokens, log_odds = view.raised(view.probs.new_zeros(view.probs.shape).masked_fill(ends, -math.inf))
        is_end = ends.gather(2, view.columns.unsqueeze(2)).squeeze(2)
        nothing_else = view.probs.masked_fill(ends, 0.0).sum(dim=2) == 0.0
        late = is_end if self.eos == "last" else nothing_else
        return view.proposals.where(late, tokens), log_odds.masked_fill(late, -math.inf)


def random(*, cfg: float = 0.0, upstream_exact: bool = False) -> TopK:
    """Return top-k in random order."""
    return TopK(score="random", cfg=cfg, upstream_exact=upstream_exact)


def left_to_right(*, cfg: float = 0.0, upstream_exact: bool = False) -> TopK:
    """Return top-k from left to right."""
    return TopK(score="left_to_right", cfg=cfg, upstream_exact=upstream_exact)


def confidence(*, eos: str = "free", cfg: float = 0.0, upstream_exact: bool = False) -> TopK:
    """Return top-k by the probability of the proposed token."""
    return TopK(score="confidence", eos=eos, cfg=cfg, upstream_exact=upstream_exact)


def margin(*, cfg: float = 0.0, upstream_exact: bool = False) -> TopK:
    """Return top-k by the gap between the two most likely tokens."""
    return TopK(score="margin", cfg=cfg, upstream_exact=upstream_exact)


def entropy(*, cfg: float = 0.0, upstream_exact: bool = False) -> TopK:
    """Return top-k by negative entropy."""
    return TopK(score="entropy", cfg=cfg, upstream_exact=upstream_exact)
