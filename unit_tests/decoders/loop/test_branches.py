"""Several canvases of one row in one forward: what a method may draft, and what is refused."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from decoders.loop.batching import sweep
from decoders.rows import Decoded, Failed, NotSupported, Row, Setting
from decoders.state import StepUpdate
from decoders.testing import HashDenoiser

MASK = HashDenoiser.mask_id


@dataclass(frozen=True, kw_only=True)
class Guessing:
    """Drafts the row with its first mask filled with 5, 6 and 7, and commits the one that is surest then."""

    name: ClassVar[str] = "guessing"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple] = ({},)
    needs: ClassVar[frozenset] = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False
    branches: ClassVar[int] = 3

    fault: str = "none"
    scope: str = "block"

    def init(self, view):
        return None

    def draft(self, view, memory):
        first = view.eligible & (view.eligible.cumsum(dim=1) == 1)
        fills = torch.tensor([5, 6, 7]).view(1, 3, 1)
        drafts = fills.where(first.unsqueeze(1), view.tokens.unsqueeze(1))
        count = torch.full_like(view.step, 3)
        if self.fault == "outside":
            drafts[:, :, -1] = 9
        elif self.fault == "no id":
            drafts = drafts.masked_fill(first.unsqueeze(1), 99)
        elif self.fault == "none at all":
            count = count * 0
        elif self.fault == "too many":
            count = count + 1
        elif self.fault == "shape":
            drafts = drafts[:, :2]
        elif self.fault == "raises":
            raise ZeroDivisionError("by zero")
        return drafts, count

    def step(self, view, memory):
        first = view.eligible & (view.eligible.cumsum(dim=1) == 1)
        branches = view.branches
        sure = branches.view.log_odds.masked_fill(~branches.view.eligible, 0.0).sum(dim=1)[branches.index]
        best = branches.index.gather(1, sure.argmax(dim=1, keepdim=True)).squeeze(1)
        assert torch.equal(branches.count, torch.full_like(view.step, 3))
        return StepUpdate(unmask=first, tokens=branches.view.tokens[best]), None


def outcomes(method, n=3, **setting):
    rows = [
        Row(
            key=i,
            prompt_ids=(3 + i,) * (1 + i),
            gen_length=6,
            sample_id=str(i),
            setting=Setting(method=method, block_length=3, **setting),
        )
        for i in range(n)
    ]
    return list(sweep(HashDenoiser(), rows))


def test_every_draft_is_seen_as_a_row_alone_would_be():
    """By hand: fill each guess, ask for the rest of the block, sum the log odds, take the best."""
    model = HashDenoiser()
    for outcome in outcomes(Guessing()):
        assert isinstance(outcome, Decoded)
        prompt, canvas = [3 + outcome.key] * (1 + outcome.key), [MASK] * 6
        for place in range(6):
            sums = []
            for guess in (5, 6, 7):
                row = torch.tensor([[*prompt, *canvas[:place], guess, *canvas[place + 1 :]]])
                end = 3 if place < 3 else 6
                places = [[0, len(prompt) + i] for i in range(place + 1, end)]
                query = torch.tensor(places, dtype=torch.long).view(-1, 2)
                logits = model(row, torch.ones_like(row).bool(), query, [None]).double()
                p = logits.softmax(dim=1).amax(dim=1)
                sums.append(float((p / (1.0 - p)).log().sum()))
            canvas[place] = (5, 6, 7)[max(range(3), key=sums.__getitem__)]
        assert list(outcome.ids) == canvas
        assert (outcome.nfe, outcome.forwards, outcome.evaluated_canvases) == (6, 6, 18)
        assert outcome.evaluated_positions == 18 * (len(prompt) + 6)


FAULTS = {
    "outside": "guessing must draft from 1 to 3 canvases that differ from the row in masks of its block",
    "no id": "guessing must draft from 1 to 3 canvases that differ from the row in masks of its block",
    "none at all": "method guessing must draft from 1 to 3 canvases .*, got 0 of row [0-2]; fill ",
    "too many": "method guessing must draft from 1 to 3 canvases .*, got 4 of row [0-2]; fill view.eligible",
    "shape": r"raised ValueError: drafts must have the shapes \(1, 3, 6\) and \(1,\), got \(1, 2, 6\)",
    "raises": r"method guessing raised ZeroDivisionError: by zero \(first row [0-2]\)",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_draft_fails_the_rows_of_the_method(fault):
    found = outcomes(Guessing(fault=fault))
    assert len(found) == 3
    for outcome in found:
        assert isinstance(outcome, Failed)
        assert outcome.error.kind == "method_error"
        with pytest.raises(type(outcome.error), match=FAULTS[fault]):
            raise outcome.error


def test_drafts_are_of_the_block_and_of_plain_logits():
    message = (
        "method guessing must need plain logits of its block to draft several canvases, got needs=none, "
        "scope=generated, guidance=False; give up one of them"
    )
    with pytest.raises(NotSupported, match=message):
        outcomes(Guessing(scope="generated"))
