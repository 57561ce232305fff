"""Ends of text in top-k by confidence: never proposed, or committed after all else."""

import numpy as np
import pytest
import torch

from decoders.loop.batching import decode
from decoders.models.ideal import Ideal
from decoders.testing import HashDenoiser, check_method
from decoders.text.tokenizer import EOS_ID, MASK_ID, PieceTokenizer
from decoders.theory.answer_sets import TokenAnswers
from decoders.unmasking import top_k
from decoders.unmasking.top_k import TopK

PROMPTS = [(3,), (4, 5), (6, 7, 8), (9,), (10, 11)]
ENDS = {1, 2, 3, 4}


class Ending(HashDenoiser):
    """Four of its 22 tokens end a text."""

    eos_ids = frozenset(ENDS)


@pytest.mark.parametrize("eos", ["never", "last"])
def test_the_rules_are_obeyed(eos):
    check_method(TopK(score="confidence", eos=eos))


def naively(model, prompt, length, eos):
    """One token per step, as LLaDA's published switches do; an end that comes last is taken by position."""
    canvas = [*prompt, *[model.mask_id] * length]
    for _ in range(length):
        masked = [i for i in range(len(canvas)) if canvas[i] == model.mask_id]
        row = torch.tensor([canvas])
        query = torch.tensor([[0, i] for i in masked])
        logits = model(row, torch.ones_like(row).bool(), query, [None]).double()
        rest = logits.clone()
        rest[:, sorted(ENDS)] = float("-inf")
        token = (rest if eos == "never" else logits).argmax(dim=1)
        p = rest.softmax(dim=1).gather(1, token.unsqueeze(1)).squeeze(1)
        at = int(p.argmax())
        canvas[masked[at]] = int(token[at])
    return tuple(canvas[len(prompt) :])


@pytest.mark.parametrize("eos", ["never", "last"])
def test_it_is_the_rule_written_down_naively(eos):
    found = decode(Ending(), PROMPTS, top_k.confidence(eos=eos), gen_length=8, k=1)
    assert [row.ids for row in found] == [naively(Ending(), prompt, 8, eos) for prompt in PROMPTS]
    free = decode(Ending(), PROMPTS, top_k.confidence(), gen_length=8, k=1)
    assert any(ENDS & set(row.ids) for row in free)
    if eos == "never":
        assert not any(ENDS & set(row.ids) for row in found)


@pytest.mark.parametrize("eos", ["never", "last"])
def test_an_end_that_alone_is_possible_is_proposed_and_comes_last(eos):
    answers = TokenAnswers(
        ids=np.array([[EOS_ID, 5, 6, EOS_ID]]),
        weights=np.ones(1, dtype=np.float32),
        support=np.array([EOS_ID, 5, 6]),
    )
    model = Ideal(PieceTokenizer(), mask_id=MASK_ID, eos_id=EOS_ID, vocab_size=200)
    (row,) = decode(model, [()], top_k.confidence(eos=eos), gen_length=4, k=2, contexts=[answers])
    assert row.ids == (EOS_ID, 5, 6, EOS_ID)
    assert row.commit_step == (1, 0, 0, 1)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"score": "confidence", "eos": "no"}, "eos must be one of free, never, last, got 'no'; choose one"),
        ({"score": "margin", "eos": "last"}, "eos must be free for score=margin, got 'last'; order by conf"),
    ],
)
def test_a_parameter_out_of_range_is_refused(given_, message):
    with pytest.raises(ValueError, match=message):
        TopK(**given_)
