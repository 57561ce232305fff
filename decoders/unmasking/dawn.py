"""DAWN unmasking: what sure tokens are looked at by may follow them; what look at each other may not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from decoders.state import StepUpdate
from decoders.unmasking.independent import independent
from decoders.unmasking.scores import reaches

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.state import StepView

SURE = 0.9
"""Confidence from which a position needs nobody, and from which known ones support others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DAWN:
    """Commit what is sure, what depends on sure known positions, and of the rest no two that conflict.

    j depends on i where the attention of j to i reaches *tau_edge*; positions that all others look at by more
    than *tau_sink* in the mean are no one's support. Of the block's masks are committed: those of confidence
    0.9; those that depend on a known position before the block's end of which the model is as sure, if they
    reach *tau_induce*; and of those that reach *tau_low* and do not depend on one committed for both of these
    reasons, from the surest on, each that has no dependence, one way or the other, with one accepted before.
    If there is none of all these, the best one.

    Source: DAWN (arXiv:2602.06953); lizhuo-luo/DAWN llada/generate.py, get_transfer_index_dawn.
    Differs: the published code overwrites the row's first token, a part of the prompt, with the model's own
    guess whenever candidates run out during the scan; the prompt is left alone here. It counts the last four
    of 32 layers whatever the network; here the last *layers*.

    Defaults: those of the published code. Swept over tau_low, as published scripts choose it by task. Limits:
    tau_sink = 0 makes everything a sink, and so does a row of less than 1 / tau_sink positions: then it is
    ``threshold`` at tau_low.

    Args:
        tau_sink: Mean attention above which a position is a sink, in [0, 1].
        tau_edge: Attention from which a position depends on another, in (0, 1].
        tau_induce: Confidence that a position needs which depends on a known one, in (0, 1].
        tau_low: Confidence that the others need, in (0, 1].
        layers: Layers whose attention is averaged, from the last on, at least 1.
    """

    name: ClassVar[str] = "dawn"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = tuple(
        {"tau_low": t} for t in (0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
    )
    needs: ClassVar[frozenset[str]] = frozenset({"row_attention"})
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    tau_sink: float = 0.01
    tau_edge: float = 0.07
    tau_induce: float = 0.7
    tau_low: float = 0.7
    layers: int = 4

    def __post_init__(self) -> None:
        if not 0.0 <= self.tau_sink <= 1.0:
            raise ValueError(
                f"tau_sink must be in [0, 1], got {self.tau_sink!r}; 0.01 is the published default"
            )
        for name, published in (("tau_edge", 0.07), ("tau_induce", 0.7), ("tau_low", 0.7)):
            value = getattr(self, name)
            if not 0.0 < value <= 1.0:
                raise ValueError(
                    f"{name} must be in (0, 1], got {value!r}; {published} is the published default"
                )
        if type(self.layers) is not int or self.layers < 1:
            raise ValueError(
                f"layers must be a whole number of at least 1, got {self.layers!r}; 4 is the published "
                "default"
            )

    @property
    def attention_layers(self) -> int:
        """For the loop."""
        return self.layers

    def init(self, view: StepView) -> None:
        """Nothing is remembered."""

    def step(self, view: StepView, memory: None) -> tuple[StepUpdate, None]:
        """Commit the sure, the supported, and an independent set of the others."""
        depends = self._depends(view)
        first = depends.shape[2] - view.tokens.shape[1]
        own = depends[:, first:, first:]
        column = view.tokens.new_ones(depends.shape[2]).cumsum(dim=0) - 1
        supports = (column < (first + view.block_end).unsqueeze(1)) & reaches(view.row_log_odds, SURE)
        supports[:, first:] &= ~view.eligible
        sure = view.eligible & reaches(view.log_odds, SURE)
        supported = (depends[:, first:] & supports.unsqueeze(1)).any(dim=2) & view.eligible
        supported = supported & reaches(view.log_odds, self.tau_induce)
        settled = sure | supported
        waits = (own & (sure & supported).unsqueeze(1)).any(dim=2)
        others = view.eligible & reaches(view.log_odds, self.tau_low) & ~settled & ~waits
        rank = replace(view, eligible=others).rank(view.log_odds)
        chosen = settled | independent(rank, others, own | own.transpose(1, 2))
        best = (view.by_confidence == 0) & ~chosen.any(dim=1, keepdim=True)
        return StepUpdate(unmask=chosen | best, tokens=view.proposals), None

    def _depends(self, view: StepView) -> Tensor:
        """Return bool [R, L, L]: whether the first position depends on the second."""
        attention = view.row_attention
        n_real = (view.row_log_odds > float("-inf")).sum(dim=1, keepdim=True)
        is_sink = attention.sum(dim=1) / n_real > self.tau_sink
        depends = (attention >= self.tau_edge) & ~is_sink.unsqueeze(1)
        depends.diagonal(dim1=1, dim2=2).fill_(False)
        return depends
