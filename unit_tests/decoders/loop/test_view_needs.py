"""What a declared need shows in the view: whole distributions, a wider scope, verified tokens."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest
import torch

from decoders.loop.batching import decode, sweep
from decoders.loop.forwards import interpret, listen
from decoders.loop.loop import settle
from decoders.loop.slots import admit
from decoders.models.ideal import Ideal
from decoders.rows import Row, Setting
from decoders.testing import HashDenoiser, example_slots, example_view
from decoders.text.tokenizer import EOS_ID, MASK_ID, PieceTokenizer
from decoders.theory.answer_sets import TokenAnswers
from decoders.unmasking.top_k import TopK, confidence
from decoders.unmasking.wino import WINO


@dataclass(frozen=True, kw_only=True)
class Needy(TopK):
    """Top-k by confidence that could see whole distributions."""

    needs: ClassVar[frozenset] = frozenset({"probabilities"})
    score: str = "confidence"


def test_probabilities_are_dense_and_zero_where_nothing_was_evaluated():
    slots = example_slots(Needy())
    view = example_view(slots, range(4))
    assert view.probs.shape == (4, 12, 23)
    assert view.probs.dtype == torch.float32
    torch.testing.assert_close(view.probs.sum(dim=2), view.eligible.float())
    assert torch.equal(view.evaluated, view.eligible)
    proposed = view.probs.gather(2, view.proposals.unsqueeze(2)).squeeze(2)
    torch.testing.assert_close(proposed[view.eligible], view.confidence[view.eligible].float())
    part = example_view(slots, [1, 3])
    assert torch.equal(part.probs, view.probs[[1, 3]])
    assert torch.equal(part.masked, view.masked[[1, 3]])


@dataclass(frozen=True, kw_only=True)
class Wide(Needy):
    scope: ClassVar[str] = "generated"


def test_a_wide_scope_evaluates_every_masked_position_but_leaves_the_block_to_commit_in():
    view = example_view(example_slots(Wide()), range(4))
    narrow = example_view(example_slots(Needy()), range(4))
    assert torch.equal(view.eligible, narrow.eligible)
    assert torch.equal(view.evaluated, view.masked)
    assert torch.equal(view.masked, view.tokens == HashDenoiser.mask_id)
    assert (view.evaluated & ~view.eligible).any()
    torch.testing.assert_close(view.probs.sum(dim=2), view.evaluated.float())
    assert torch.equal(view.probs[view.eligible], narrow.probs[view.eligible])


@pytest.mark.parametrize("method", [Needy(), Wide()], ids=["block", "generated"])
def test_needs_and_scope_do_not_change_what_is_decoded(method):
    give = {"gen_length": 8, "k": 3, "block_length": 4}
    prompts = [(3,), (4, 5), (6, 7, 8)]
    assert decode(HashDenoiser(), prompts, method, **give) == decode(
        HashDenoiser(), prompts, confidence(), **give
    )


def test_verified_is_the_probability_of_the_token_when_it_alone_is_hidden():
    slots = example_slots(WINO())
    view = example_view(slots, range(4))
    first = slots.canvas.shape[1] - slots.gen_length
    seen = 0
    for row in range(4):
        for position in range(12):
            token = int(view.tokens[row, position])
            in_block = view.block_start[row] <= position < view.block_end[row]
            if token == 0 or not in_block:
                assert view.verified_log_odds[row, position] == float("-inf")
                continue
            seen += 1
            canvas = slots.canvas.clone()
            canvas[row, first + position] = 0
            logits = HashDenoiser()(canvas, slots.attend, torch.tensor([[row, first + position]]), [None] * 4)
            assert view.verified_log_odds[row, position].sigmoid() == pytest.approx(
                float(logits.softmax(dim=1)[0, token])
            )
    assert seen > 0


class Diverging(HashDenoiser):
    """Gives shadows that are no distribution in rows whose prompt ends with 5."""

    def with_shadows(self, canvas, attend, query, blocks, judged, contexts):
        logits, found = super().with_shadows(canvas, attend, query, blocks, judged, contexts)
        found[canvas[judged[:, 0], -9] == 5] = float("nan")
        return logits, found


def test_shadows_that_are_not_finite_fail_their_row_only():
    rows = [
        Row(key=i, prompt_ids=(4 + i,), gen_length=8, setting=Setting(method=WINO()), sample_id=str(i))
        for i in range(3)
    ]
    outcomes = {outcome.key: outcome for outcome in sweep(Diverging(), rows)}
    expected = {outcome.key: outcome for outcome in sweep(HashDenoiser(), rows)}
    assert outcomes[1].error.kind == "model_error"
    assert "the denoiser gave logits that are not finite" in str(outcomes[1].error)
    assert {key: outcomes[key] for key in (0, 2)} == {key: expected[key] for key in (0, 2)}


def test_a_given_token_that_no_answer_has_is_verified_with_probability_0():
    """A template fixed 3, which the support lacks; of the second token 1 of 3 answers says otherwise."""
    tokenizer = PieceTokenizer()
    model = Ideal(tokenizer, mask_id=MASK_ID, eos_id=EOS_ID, vocab_size=200)
    ids = np.array([[4, 5, 6], [4, 5, 7], [8, 9, 6]])
    answers = TokenAnswers(ids=ids, weights=np.ones(3, dtype=np.float32), support=np.unique(ids))
    for given, verified in ((3, 0.0), (4, 2 / 3)):
        row = Row(
            key=0,
            prompt_ids=(),
            gen_length=3,
            setting=Setting(method=WINO()),
            template_ids=(given, MASK_ID, MASK_ID),
            context=answers,
        )
        slots, _ = settle(admit([row], model, 0), model)
        found = interpret(slots, listen(slots, model), unbiased=True)
        assert found.verified[0].sigmoid().tolist() == pytest.approx([verified, 0.0, 0.0])
        assert found.usable.all()


@dataclass(frozen=True, kw_only=True)
class Standing(Needy):
    """Keeps what it was told at every step."""

    scope: ClassVar[str] = "whole_block"
    told: list = field(default_factory=list, compare=False, hash=False)

    def step(self, view, memory):
        self.told.append((view.standing_log_odds, view.tokens, view.probs, view.eligible, view.served))
        return TopK.step(self, view, memory)


def test_a_method_sees_how_sure_the_model_is_of_the_tokens_that_stand_and_which_rows_it_serves():
    method = Standing()
    rows = [
        Row(key=i, prompt_ids=(3 + i,), gen_length=6, setting=Setting(method=method, k=2), sample_id=str(i))
        for i in range(3)
    ]
    list(sweep(HashDenoiser(), rows))
    n_standing = 0
    for log_odds, tokens, probs, eligible, served in method.told:
        assert served == tuple(rows)
        of_token = probs.gather(2, tokens.unsqueeze(2)).squeeze(2)
        assert log_odds[eligible].eq(float("-inf")).all()
        torch.testing.assert_close(log_odds[~eligible].sigmoid().float(), of_token[~eligible])
        n_standing += int((~eligible).sum())
    assert n_standing == 3 * (2 + 4)
