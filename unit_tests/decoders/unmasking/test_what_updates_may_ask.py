"""What an update may ask of the loop beyond unmasking: masking again at once, staying, leaving MASK."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from decoders.loop.batching import sweep
from decoders.rows import Decoded, Failed, Row, Setting
from decoders.state import StepUpdate
from decoders.testing.hash_denoiser import HashDenoiser, example_slots, example_view
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import confidence


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Commits the best position, and asks for one thing more."""

    name: ClassVar[str] = "asking"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple] = ({},)
    needs: ClassVar[frozenset] = frozenset()

    wish: str
    may_remask: bool = False
    may_idle: bool = False
    may_leave_masks: bool = False

    def init(self, view):
        return None

    def step(self, view, memory):
        best, tokens, remask, stay = view.by_confidence == 0, view.proposals, None, None
        if self.wish == "mask again at once" and int(view.step[0]) == 0:
            remask = best
        elif self.wish == "stay":
            stay = view.step < 6
        elif self.wish == "stay with a wrong shape":
            stay = view.eligible
        elif self.wish == "leave the first":
            tokens = torch.where(torch.arange(tokens.shape[1]) == 0, view.tokens, tokens)
        return StepUpdate(unmask=best, tokens=tokens, remask=remask, stay=stay), None


def outcome_of(method, gen_length=4, **setting):
    (outcome,) = sweep(
        HashDenoiser(),
        [
            Row(
                key=0,
                prompt_ids=(3,),
                gen_length=gen_length,
                setting=Setting(method=method, **setting),
            )
        ],
    )
    return outcome


def test_a_position_may_be_unmasked_and_masked_again_by_one_update():
    """The first step leaves the canvas as it was, so the walk is that of confidence, one forward later."""
    outcome = outcome_of(Asking(wish="mask again at once", may_remask=True))
    plain = outcome_of(confidence(), k=1)
    assert outcome.ids == plain.ids
    assert (outcome.nfe, outcome.remasks) == (5, 1)
    assert [step - 1 for step in outcome.commit_step] == list(plain.commit_step)


def test_a_row_that_stays_takes_forwards_on_a_complete_block():
    outcome = outcome_of(Asking(wish="stay", may_idle=True))
    assert isinstance(outcome, Decoded)
    assert outcome.nfe == 7, "stays after the steps 0 to 5, leaves after the step 6"
    assert outcome_of(Asking(wish="stay", may_idle=True), gen_length=8, block_length=4).nfe == 14


@pytest.mark.parametrize(("wish", "may_idle"), [("stay", False), ("stay with a wrong shape", True)])
def test_only_a_method_that_may_idle_may_stay(wish, may_idle):
    outcome = outcome_of(Asking(wish=wish, may_idle=may_idle))
    assert isinstance(outcome, Failed)
    assert "stay must be one truth value per row of a method that declares may_idle, got" in str(
        outcome.error
    )


def test_a_position_left_masked_is_never_asked_for_again():
    outcome = outcome_of(Asking(wish="leave the first", may_leave_masks=True), gen_length=6, block_length=3)
    assert outcome.ids[0] == HashDenoiser.mask_id
    assert HashDenoiser.mask_id not in outcome.ids[1:]
    assert outcome.nfe == 6
    assert min(outcome.commit_step) == 0


def test_leaving_a_mask_must_be_declared():
    outcome = outcome_of(Asking(wish="leave the first"))
    assert isinstance(outcome, Failed)
    assert "it commits MASK or an id outside the vocabulary" in str(outcome.error)


def test_the_view_knows_how_many_steps_the_schedule_plans():
    """Rows of k = 1, 2, 3, 4; odd rows have blocks of 6 and a template that fills some of the first."""
    slots = example_slots(confidence())
    view = example_view(slots, range(4))
    masks = view.remaining.tolist()
    assert view.planned_steps.tolist() == [-(-m // k) for m, k in zip(masks, (1, 2, 3, 4), strict=True)]
    assert view.rows(slice(2, 3)).planned_steps.tolist() == [4]
    assert example_view(example_slots(Threshold(gamma=0.9)), [1, 3]).planned_steps.tolist() == [0, 0]
