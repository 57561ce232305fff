"""What a method sees before a step, what it wants after it, and what a method is.

Legend of shape letters: R = rows of one method in this forward, G = positions of the generated region,
N = queried positions of all rows, V = vocabulary. The prompt is not part of any [R, G] tensor.

This module imports no heavy library, so that a plan can name methods without loading one.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from torch import Tensor

NOT_BY_ROW = ("raised", "branches")
"""What a view of some rows of another one does not offer."""

ODDS_TOLERANCE = 1e-5
"""How far the odds of a probability may fall short of those of its bound, as a share of them; see `logit`."""


def logit(probability: float) -> float:
    """Return ``log(p / (1 - p))``, infinite at 0 and 1.

    A probability p reaches a bound b where ``logit(p) >= logit(b) - ODDS_TOLERANCE``. The tolerance is a
    share of the odds: a marginal of 4/5 reaches 0.8 in spite of rounding, 0.999998 does not reach 0.999999,
    and only what is certain reaches 1.
    """
    if probability <= 0.0:
        return -math.inf
    return math.inf if probability >= 1.0 else math.log(probability) - math.log1p(-probability)


@dataclass(frozen=True, kw_only=True)
class StepView:
    """What a method sees before one step. The tensors belong to the loop: read, do not write.

    Everything is [R, G] over the generated region unless said otherwise; values where ``evaluated`` is False
    mean nothing. ``log_odds`` is the logit of the proposal's probability under the untempered softmax
    (float64): it tells sure positions apart where a probability is rounded to 1, so order and compare by it.
    ``step`` counts forwards in the current block, ``quota`` is what the schedule of k or max_steps asks for
    now (0 without a schedule), ``remaining`` counts the eligible positions; these and the block bounds are
    [R]. ``probs``, ``verified`` and ``attention`` are there for methods that declare the need.
    """

    tokens: Tensor
    eligible: Tensor
    proposals: Tensor
    log_odds: Tensor
    block_start: Tensor
    block_end: Tensor
    step: Tensor
    quota: Tensor
    remaining: Tensor
    tie_order: Tensor
    tie_tolerance: float
    lazy: Mapping[str, Callable[..., Any]] = field(repr=False)

    def rows(self, index: slice) -> StepView:
        """Return the view of some of the rows only."""
        tensors = {f.name: getattr(self, f.name)[index] for f in fields(self) if f.type == "Tensor"}
        lazy = {
            name: (lambda name=name: getattr(self, name)[index])
            for name in self.lazy
            if name not in NOT_BY_ROW
        }
        return StepView(**tensors, tie_tolerance=self.tie_tolerance, lazy=lazy)

    @cached_property
    def confidence(self) -> Tensor:
        """Probability of the proposal, float64; `log_odds` says more where it is close to 1."""
        return self.log_odds.sigmoid()

    @cached_property
    def margin_log_odds(self) -> Tensor:
        """Logit of the `margin`, float64."""
        return self.lazy["margin_log_odds"]()  # type: ignore[no-any-return]

    @cached_property
    def margin(self) -> Tensor:
        """Difference of the two largest probabilities, in [0, 1]; float64."""
        return self.margin_log_odds.sigmoid()

    @cached_property
    def neg_entropy(self) -> Tensor:
        """Negative Shannon entropy in nats, at most 0; higher is more certain."""
        return self.lazy["neg_entropy"]()  # type: ignore[no-any-return]

    @cached_property
    def logit_gap(self) -> Tensor:
        """By how much the best token's logit exceeds the second best's, from 0 to infinity; float64."""
        return self.lazy["logit_gap"]()  # type: ignore[no-any-return]

    @cached_property
    def permutation(self) -> Tensor:
        """Uniform float64 draws in (0, 1), the same at every step: one order for each (seed, sample id)."""
        return self.lazy["permutation"]()  # type: ignore[no-any-return]

    @cached_property
    def draws(self) -> Tensor:
        """Uniform float64 draws in (0, 1), fresh every step, keyed by (seed, sample id, position, step)."""
        return self.lazy["draws"]()  # type: ignore[no-any-return]

    @cached_property
    def standing_log_odds(self) -> Tensor:
        """Logit of the probability of the token that stands at each evaluated position, float64.

        -inf where masked, fixed by a template or not ``evaluated``; a ``scope`` says what is evaluated. A
        position sees its own token; what it says of it with that hidden is ``verified_log_odds``. Needs
        ``probabilities``.
        """
        return self._needed("standing_log_odds", "probabilities")  # type: ignore[no-any-return]

    @cached_property
    def served(self) -> tuple[Any, ...]:
        """The rows (`decoders.rows.Row`) as they were given; a result may not depend on their order."""
        return self.lazy["served"]()  # type: ignore[no-any-return]

    @cached_property
    def planned_steps(self) -> Tensor:
        """How many steps the schedule of k or max_steps gives the current block, [R]; 0 without one."""
        return self.lazy["planned_steps"]()  # type: ignore[no-any-return]

    def token_ids(self, text: str) -> tuple[int, ...]:
        """Return the ids of *text* in the model's tokenizer."""
        return self.lazy["token_ids"](text)  # type: ignore[no-any-return]

    @cached_property
    def block_begin(self) -> Tensor:
        """Where the current block begins, [R]; before the generated region where the prompt takes a part."""
        return self.lazy["block_begin"]()  # type: ignore[no-any-return]

    @cached_property
    def planned(self) -> Tensor:
        """How many steps the schedule of k or max_steps gives all blocks, [R]; 0 without one."""
        return self.lazy["planned"]()  # type: ignore[no-any-return]

    @cached_property
    def forwards(self) -> Tensor:
        """How many forwards the row had before this one, in all blocks, [R]."""
        return self.lazy["forwards"]()  # type: ignore[no-any-return]

    @cached_property
    def masked(self) -> Tensor:
        """Masked positions of the whole generated region, bool; ``eligible`` are those of the block."""
        return self.lazy["masked"]()  # type: ignore[no-any-return]

    @cached_property
    def evaluated(self) -> Tensor:
        """Where proposals, confidence and scores mean something: ``eligible`` unless the scope is wider."""
        return self.lazy["evaluated"]() if "evaluated" in self.lazy else self.eligible

    @cached_property
    def probs(self) -> Tensor:
        """The whole distributions, float32 [R, G, C] over the vocabulary or the row's support.

        Zero where not ``evaluated``; C never changes for a row.
        """
        return self._needed("probs", "probabilities")  # type: ignore[no-any-return]

    @cached_property
    def columns(self) -> Tensor:
        """The column of ``probs`` that belongs to the proposal, int64 [R, G]; needs ``probabilities``."""
        return self._needed("columns", "probabilities")  # type: ignore[no-any-return]

    @cached_property
    def end_columns(self) -> Tensor:
        """Which columns of ``probs`` end a text, bool [R, C]; needs ``probabilities``."""
        return self._needed("end_columns", "probabilities")  # type: ignore[no-any-return]

    def raised(self, bonus: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tokens and the log odds [R, G] of what would be proposed with *bonus* on the logits.

        Ties and noise are decided as for ``proposals``. Needs ``probabilities``; not in a view of some rows.

        Args:
            bonus: float32 [R, G, C], added to the logits of the columns of ``probs``.
        """
        return self._needed("raised", "probabilities", bonus)  # type: ignore[no-any-return]

    @cached_property
    def verified_log_odds(self) -> Tensor:
        """Logit of the probability of each visible token of the block when it alone is hidden, float64.

        -inf where masked.
        """
        return self._needed("verified_log_odds", "shadow")  # type: ignore[no-any-return]

    @cached_property
    def attention(self) -> Tensor:
        """Attention [R, G, G] from row to column position, float32, see `HasAttention`."""
        return self._needed("attention", "attention")  # type: ignore[no-any-return]

    @cached_property
    def row_attention(self) -> Tensor:
        """Attention [R, L, L] between all positions of a row, its prompt's too, float32, see `HasAttention`.

        The generated region comes last; 0 where padding looks or is looked at. How many layers count says the
        method's ``attention_layers``.
        """
        return self._needed("row_attention", "row_attention")  # type: ignore[no-any-return]

    @cached_property
    def row_log_odds(self) -> Tensor:
        """Logit of the probability of the best token at all positions of a row [R, L]; -inf at padding."""
        return self._needed("row_log_odds", "row_attention")  # type: ignore[no-any-return]

    @cached_property
    def branches(self) -> Branches:
        """The canvases that the method drafted for this forward, for one that declares ``branches``."""
        return self.lazy["branches"]()  # type: ignore[no-any-return]

    def _needed(self, name: str, need: str, *given: Tensor) -> Any:
        if name not in self.lazy:
            raise LookupError(
                f"view.{name} must be declared by the method that reads it; add {need!r} to its needs"
            )
        return self.lazy[name](*given)

    @cached_property
    def by_confidence(self) -> Tensor:
        """Rank by confidence: 0 for the best eligible position of a row."""
        return self.rank(self.log_odds)

    def rank(self, score: Tensor) -> Tensor:
        """Return the int64 rank [R, G] of every position by *score*, highest first; G where not eligible.

        Equal scores go by ``tie_order``, lowest first. Scores closer than ``tie_tolerance`` to their
        neighbour in the sorted row count as equal (0 for networks: exact equality).
        """
        n_positions = score.shape[1]
        lowest = -sys.float_info.max  # an infinitely bad position still comes before those out of question
        masked_score = score.double().clamp(min=lowest).masked_fill(~self.eligible, float("-inf"))
        by_tie = self.tie_order.argsort(dim=1, stable=True)
        order = by_tie.gather(1, masked_score.gather(1, by_tie).argsort(dim=1, descending=True, stable=True))
        if self.tie_tolerance > 0.0:
            ordered = masked_score.gather(1, order)
            gap = (ordered[:, :-1] - ordered[:, 1:]).nan_to_num(nan=0.0) > self.tie_tolerance
            group = order.new_zeros(order.shape)
            group[:, 1:] = gap.cumsum(dim=1)
            group_of = order.new_zeros(order.shape).scatter(1, order, group)
            order = by_tie.gather(1, group_of.gather(1, by_tie).argsort(dim=1, stable=True))
        places = order.new_ones(order.shape).cumsum(dim=1) - 1
        rank = order.new_zeros(order.shape).scatter(1, order, places)
        return rank.masked_fill(~self.eligible, n_positions)


@dataclass(frozen=True, kw_only=True, slots=True)
class Branches:
    """What a forward says of the canvases that a method drafted, see `decoders.traits.MethodTraits.branches`.

    ``view`` has a row for each of them. ``index`` [R, K] says which of its rows is canvas k of a row; it is
    that of the row's last one behind the ``count`` [R] of its canvases.
    """

    view: StepView
    index: Tensor
    count: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class StepUpdate:
    """What a method wants: ``unmask`` is a subset of ``eligible``; ``tokens`` is read only there.

    ``remask`` names generated positions to mask again, visible ones or ones unmasked by this very update;
    only methods that declare ``may_remask`` give it. ``stay`` [R] says whether a row stays in its block
    for another forward though the block is complete; only methods that declare ``may_idle`` give it, and
    theirs stay for the steps of max_steps without it. A method that
    declares ``may_leave_masks`` may unmask a position with the MASK it holds: it stays masked for good. One
    that declares ``writes_evaluated`` may unmask all that is ``evaluated`` and not fixed by a template: masks
    outside the block, and what is committed, which gets another token. One that declares ``moves_block_end``
    may give ``block_end`` [R], where the current block ends from now on: behind its start and not behind its
    end so far. What it unmasks lies before it, and the next block begins with the first mask that is left.
    """

    unmask: Tensor
    tokens: Tensor
    remask: Tensor | None = None
    stay: Tensor | None = None
    block_end: Tensor | None = None


class UnmaskingMethod(Protocol):
    """Which masked positions are committed at a step: a frozen dataclass of plain parameters.

    ``family`` is ``static`` (a fixed number per step) or ``adaptive``; it chooses the published PBx rule.
    ``takes_k`` says that the loop's quota is used. ``sweep`` are the default parameter sets. ``may_idle``
    allows a step that commits nothing (only published quirks need it), ``may_remask`` allows
    ``StepUpdate.remask``. ``needs`` names what the view shall offer beyond the usual: ``probabilities``,
    ``shadow``, ``attention``, ``row_attention`` (see `decoders.protocols`); the loop refuses what it does not
    know.

    A method may declare a ``scope`` wider than the masked positions of the block: ``generated`` evaluates all
    masked positions of the generated region, ``whole_block`` also what was committed in the block,
    ``everything`` the whole generated region.
    """

    family: ClassVar[str]
    takes_k: ClassVar[bool]
    sweep: ClassVar[tuple[Mapping[str, Any], ...]]
    may_remask: ClassVar[bool]

    @property
    def needs(self) -> frozenset[str]:
        """What the view shall offer beyond the usual."""
        ...

    @property
    def name(self) -> str:
        """What options, ids and records call it."""
        ...

    @property
    def may_idle(self) -> bool:
        """Whether a step may commit nothing."""
        ...

    def init(self, view: StepView) -> Any:
        """Return the memory of rows that enter: None, or a frozen dataclass of tensors with rows first."""
        ...

    def step(self, view: StepView, memory: Any) -> tuple[StepUpdate, Any]:
        """Return what to commit now, and the next memory."""
        ...
