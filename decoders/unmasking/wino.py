"""WINO unmasking: commit widely, then mask again what does not hold once its neighbours are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate
from decoders.unmasking.scores import reaches

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView

LEAST, MOST = 5, 20
"""Bounds of the number of positions that one step may accept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WINOMemory:
    """``committed`` [R, G] in the current block and still standing; ``accepted`` [R] by the step before."""

    committed: Tensor
    accepted: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class WINO:
    """Accept every position sure by *tau1*, revoke those accepted before that are unsure by *tau2*.

    With m masks left, min(max(int(0.7 m), 5), 20) positions may be accepted; when none reaches tau1, the best
    one is. A shadow of every committed position of the block, which sees all but its own twin, tells how
    likely its token still is. If more than one position is accepted, those below tau2 are masked again, the
    least likely first and fewer than the step before accepted. So m masks take at most m steps.

    Source: WINO (Hong et al., arXiv:2507.18578); Feng-Hong/WINO-DLLM LLaDA/decoding.py, decoding_wino.
    Differs: equality with tau1 passes, ties go by position, and what a template fixed is never revoked. The
    published allowance of 30 at block entry is left out: nothing is committed then that could be revoked.

    Defaults: tau1 0.6, tau2 0.9; published with tau1 from 0.5 to 0.8. Limits: tau2 = 0 revokes nothing.

    Args:
        tau1: Confidence that accepts, in [0, 1].
        tau2: Probability below which a committed token is revoked, in [0, 1].
    """

    name: ClassVar[str] = "wino"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = tuple(
        {"tau1": tau} for tau in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    )
    needs: ClassVar[frozenset[str]] = frozenset({"shadow"})
    may_remask: ClassVar[bool] = True
    may_idle: ClassVar[bool] = False

    tau1: float = 0.6
    tau2: float = 0.9

    def __post_init__(self) -> None:
        for name, default in (("tau1", 0.6), ("tau2", 0.9)):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(
                    f"{name} must be in [0, 1], got {value!r}; {default} is the published default"
                )

    def init(self, view: StepView) -> WINOMemory:
        """Nothing is committed yet."""
        return WINOMemory(committed=view.eligible & False, accepted=view.step)

    def step(self, view: StepView, memory: WINOMemory) -> tuple[StepUpdate, WINOMemory]:
        """Accept, and revoke from what stood before."""
        committed = memory.committed & (view.step > 0).unsqueeze(1)
        rank = view.by_confidence
        most = (view.remaining * 7 // 10).clamp(min=LEAST, max=MOST).unsqueeze(1)
        sure = view.eligible & reaches(view.log_odds, self.tau1)
        accepted = (sure & (rank < most)) | (rank == 0)
        n_accepted = accepted.sum(dim=1, keepdim=True)
        doubtful = committed & ~reaches(view.verified_log_odds, self.tau2)
        least_likely = replace(view, eligible=doubtful).rank(-view.verified_log_odds)
        revoked = doubtful & (least_likely < memory.accepted.unsqueeze(1) - 1) & (n_accepted > 1)
        after = WINOMemory(committed=(committed & ~revoked) | accepted, accepted=n_accepted.squeeze(1))
        return StepUpdate(unmask=accepted, tokens=view.proposals, remask=revoked), after
