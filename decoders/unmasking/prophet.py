"""Prophet: top-k by confidence that fills everything at once when the answer seems settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView

MIDDLE, END = 0.33, 0.67
"""Shares of the planned steps from which on the gap must reach *middle*, and *late*."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prophet:
    """Commit the quota's most confident positions; all masks of the row once the answer's mean gap is large.

    The gap of a position is what the best token's logit is above the second best's; its mean runs over the
    positions of the answer, masked or not. At step s of S planned ones it must reach *early* where s / S is
    below 0.33, *middle* below 0.67, and *late* from there on.

    Source: Prophet (arXiv:2508.19982); pixeli99/Prophet generate_earlyexit.py, generate.
    Differs: the answer is the whole generated region, because there is no text around it in these tasks; the
    published code takes five positions (`answer_length=5`) after a phrase that it puts into the canvas. Steps
    whose quota is 0 are not run (`upstream_exact` runs them).

    Defaults: the published bounds, swept over k; published with k = 1. Limits: bounds above every gap leave
    ``confidence``; bounds of 0 fill everything in one step. A token that is certain has an infinite gap, and
    so has the mean: `ideal` fills everything as soon as one position of the answer is certain or committed.

    Args:
        early: Bound of the mean gap in the first third, at least 0.
        middle: In the second third, at least 0.
        late: In the last third, at least 0.
        answer_start: First position of the answer in the generated region.
        answer_length: Its positions, at least 1; None reaches to the end.
        upstream_exact: Run the steps whose quota is 0, as the published loop does.
    """

    name: ClassVar[str] = "prophet"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = True
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    needs: ClassVar[frozenset[str]] = frozenset()
    may_remask: ClassVar[bool] = False
    scope: ClassVar[str] = "everything"
    writes_evaluated: ClassVar[bool] = True

    early: float = 7.5
    middle: float = 5.0
    late: float = 2.5
    answer_start: int = 0
    answer_length: int | None = None
    upstream_exact: bool = False

    def __post_init__(self) -> None:
        for name, published in (("early", 7.5), ("middle", 5.0), ("late", 2.5)):
            value = getattr(self, name)
            if not value >= 0.0:
                raise ValueError(
                    f"{name} must be at least 0, got {value!r}; {published} is the published default"
                )
        for name, least in (("answer_start", 0), ("answer_length", 1)):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < least):
                raise ValueError(
                    f"{name} must be a whole number of at least {least}, got {value!r}; it counts positions"
                )

    @property
    def may_idle(self) -> bool:
        """Only the published loop's empty steps commit nothing."""
        return self.upstream_exact

    def init(self, view: StepView) -> None:
        """Nothing is remembered."""

    def step(self, view: StepView, memory: None) -> tuple[StepUpdate, None]:
        """Commit the ``view.quota`` best, or all that is masked."""
        progress = (view.forwards + 1).double() / view.planned
        bound = progress.new_full(progress.shape, self.late)
        bound = bound.masked_fill(progress < END, self.middle).masked_fill(progress < MIDDLE, self.early)
        settled = self._gap(view) >= bound
        best = view.by_confidence < view.quota.unsqueeze(1)
        unmask = best | view.masked & settled.unsqueeze(1)
        stay = ~settled & (view.step + 1 < view.planned_steps) if self.upstream_exact else None
        return StepUpdate(unmask=unmask, tokens=view.proposals, stay=stay), None

    def _gap(self, view: StepView) -> Tensor:
        """Return the mean gap [R] of the answer's positions.

        Raises:
            ValueError: The answer begins behind the generated region.
        """
        length = view.tokens.shape[1]
        if self.answer_start >= length:
            raise ValueError(
                f"answer_start must be below the {length} generated positions, got {self.answer_start}; "
                "0 is the first of them"
            )
        end = length if self.answer_length is None else self.answer_start + self.answer_length
        return view.logit_gap[:, self.answer_start : end].mean(dim=1)
