"""Threshold unmasking: every position that is sure enough, and at least the best one or the best few."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import ODDS_TOLERANCE, StepUpdate
from decoders.unmasking.scores import SCORES, near_best, reaches

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView

RULES = ("fast_dllm", "dinfer")
ENTRIES = ("rule", "first")


@dataclass(frozen=True, kw_only=True, slots=True)
class Threshold:
    """Commit every eligible position whose score reaches *gamma*, and always the *at_least* best.

    Source: Fast-dLLM (arXiv:2505.22618), confidence-aware parallel decoding; llada/generate.py,
        get_transfer_index. With *at_least* = block length / denoising steps: LLaDA2.0, generate, and SDAR
        (arXiv:2510.06303), low_confidence_dynamic.
    Differs: ties for the best go by position; *at_least* is the same at every step of a block; sure positions
    are told apart from certain ones. Published code compares probabilities as its softmax rounds them: in
    float32 (Dream) what is sure to 6e-8 is 1, so that published curves commit several positions per step at
    gamma 1. `upstream_exact` compares in float32.

    Args:
        gamma: In (0, 1]; equality passes, within `decoders.state.ODDS_TOLERANCE`. At 1 only what is certain
            passes, and all else comes out one by one. With ``confidence="entropy"`` the score is a negative
            entropy, so gamma is a bound on it in nats, at most 0.
        confidence: The score compared with gamma: confidence, margin, entropy or random.
        at_least: Positions per step if fewer reach gamma, at least 1; the rest of a block may be fewer.
        rule: ``fast_dllm``, or ``dinfer``: what comes within 1e-5 of the best is as good as the best (dInfer,
            parallel_strategy.py, ThresholdParallelDecoder: p >= min(gamma, best - 1e-5)).
        entry: What the first forward of a block commits: what the ``rule`` says, or its ``first`` mask alone,
            however unsure. Then a cache of Dream evaluates no column before the block, as in Fast-dLLM's code
            for it (dream/model/generation_utils_block.py), whose traces this reproduces.
        upstream_exact: Round confidence or margin to float32 before it is compared.
    """

    name: ClassVar[str] = "threshold"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = tuple(
        {"gamma": g} for g in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    )
    needs: ClassVar[frozenset[str]] = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    gamma: float
    confidence: str = "confidence"
    at_least: int = 1
    rule: str = "fast_dllm"
    entry: str = "rule"
    upstream_exact: bool = False

    def __post_init__(self) -> None:
        scores = [name for name in SCORES if name != "left_to_right"]
        if self.confidence not in scores:
            raise ValueError(
                f"confidence must be one of {', '.join(scores)}, got {self.confidence!r}; choose one of these"
            )
        if self.confidence == "entropy" and not self.gamma <= 0.0:
            raise ValueError(
                f"gamma must be at most 0 for confidence=entropy, got {self.gamma!r}; "
                "it bounds -entropy in nats"
            )
        if self.confidence != "entropy" and not 0.0 < self.gamma <= 1.0:
            raise ValueError(
                f"gamma must be in (0, 1], got {self.gamma!r}; "
                "for a fixed number per step use confidence with k"
            )
        if type(self.at_least) is not int or self.at_least < 1:
            raise ValueError(
                f"at_least must be a whole number of at least 1, got {self.at_least!r}; "
                "1 takes the single best"
            )
        if self.rule not in RULES:
            raise ValueError(f"rule must be one of {', '.join(RULES)}, got {self.rule!r}; choose one")
        if self.entry not in ENTRIES:
            raise ValueError(f"entry must be one of {', '.join(ENTRIES)}, got {self.entry!r}; choose one")
        if self.rule == "dinfer" and self.confidence not in ("confidence", "margin"):
            raise ValueError(
                f"rule=dinfer must compare probabilities, got confidence={self.confidence!r}; "
                "use confidence or margin"
            )

    @property
    def enters_by_first(self) -> bool:
        """For the loop, which then leaves out what only the first position needs."""
        return self.entry == "first"

    def init(self, view: StepView) -> None:
        """Nothing is remembered."""

    def step(self, view: StepView, memory: None) -> tuple[StepUpdate, None]:
        """Commit what reaches gamma, and the best."""
        if self.confidence == "random":
            score = view.draws  # anew at every step: of one order, what fell short once would for ever
            passes = score >= self.gamma
        else:
            score = SCORES[self.confidence](view)
            passes = self._passes(score)
        if self.rule == "dinfer":
            passes = passes | near_best(view.eligible, score)
        chosen = passes | (view.rank(score) < self.at_least)
        if self.entry == "first":
            is_first = view.eligible & (view.eligible.cumsum(dim=1) == 1)
            chosen = is_first.where((view.step == 0).unsqueeze(1), chosen)
        return StepUpdate(unmask=chosen & view.eligible, tokens=view.proposals), None

    def _passes(self, score: Tensor) -> Tensor:
        if self.confidence == "entropy":
            return score >= self.gamma * (1.0 + ODDS_TOLERANCE)
        if self.upstream_exact:
            return score.sigmoid().float() >= self.gamma
        return reaches(score, self.gamma)
