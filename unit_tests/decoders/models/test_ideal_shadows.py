"""The exact model judges a visible token by the law of the answers given all other tokens."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.models.ideal import Ideal
from decoders.testing import check_denoiser
from decoders.text.tokenizer import EOS_ID, MASK_ID, PieceTokenizer
from decoders.theory import marginals
from decoders.theory.answer_sets import TokenAnswers, enumerated, permutations

TOKENIZER = PieceTokenizer()


def ideal():
    return Ideal(TOKENIZER, mask_id=MASK_ID, eos_id=EOS_ID, vocab_size=len(TOKENIZER))


def token_answers(answers, weights):
    ids = np.array(answers)
    weight = np.array(weights, dtype=np.float32)
    return TokenAnswers(ids=ids, weights=weight / weight.max(), support=np.unique(ids))


def orders(items, exclude_input=False):
    return permutations(
        TOKENIZER,
        list(items),
        opening="(",
        separator=",",
        closing=")",
        exclude_input=exclude_input,
        gen_length=2 * len(items) + 2,
        eos_id=EOS_ID,
        sample="s",
    )


@st.composite
def batches(draw):
    """Listed answers and permutations in one batch, with canvases that may contradict them."""
    length = 8
    row = st.lists(st.integers(2, 5), min_size=length, max_size=length).map(tuple)
    contexts = [orders("abc"), orders("abc", exclude_input=True)]
    for _ in range(2):
        answers = draw(st.lists(row, min_size=1, max_size=6, unique=True))
        contexts.append(token_answers(answers, [draw(st.integers(1, 4)) for _ in answers]))
    letters = [TOKENIZER.encode(letter)[0] for letter in "abc"]
    drawn, canvases = [], []
    for _ in range(draw(st.integers(1, 5))):
        context = draw(st.sampled_from(contexts))
        own = letters if not isinstance(context, TokenAnswers) else [2, 3, 4, 5, 99]
        tokens = st.sampled_from([MASK_ID, *own])
        canvases.append(draw(st.lists(tokens, min_size=length, max_size=length)))
        drawn.append(context)
    return drawn, torch.tensor(canvases)


@given(batch=batches(), at_once=st.sampled_from([1, 3, 1024]))
@settings(deadline=None)
def test_a_shadow_is_what_a_plain_call_says_with_that_token_alone_hidden(batch, at_once):
    contexts, canvas = batch
    attend, model = torch.ones_like(canvas, dtype=torch.bool), ideal()
    query, judged = (canvas == MASK_ID).nonzero(), (canvas != MASK_ID).nonzero()
    blocks = [(0, canvas.shape[1])] * len(canvas)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(marginals, "HIDDEN_AT_ONCE", at_once)
        logits, found = model.with_shadows(canvas, attend, query, blocks, judged, contexts)
    assert torch.equal(logits, model(canvas, attend, query, contexts))
    for pair, line in zip(judged, found, strict=True):
        row, position = pair.tolist()
        hidden = canvas.clone()
        hidden[row, position] = MASK_ID
        alone = model(hidden, attend, pair.unsqueeze(0), contexts)[0]
        torch.testing.assert_close(line[: len(alone)].exp(), alone.exp(), atol=1e-6, rtol=0.0)


def test_shadows_of_copy_are_certain_and_of_shuffle_follow_from_what_is_left():
    """Given all but one of 3 names, the law of all orders leaves one name; a copy always does."""
    texts = ["".join(order) for order in itertools.permutations("abc")]
    give = {"gen_length": 3, "eos_id": EOS_ID, "sample": "s"}
    shuffle = enumerated(TOKENIZER, texts, [1.0] * 6, **give)
    copy = enumerated(TOKENIZER, ["abc"], [1.0], **give)
    ids = {letter: TOKENIZER.encode(letter)[0] for letter in "abc"}
    canvas = torch.tensor(
        [[ids["a"], MASK_ID, MASK_ID], [ids["a"], ids["b"], MASK_ID], [ids["a"], MASK_ID, ids["b"]]]
    )
    judged = torch.tensor([[0, 0], [1, 0], [1, 1], [2, 0]])
    query = torch.tensor([[0, 1]])
    seen = torch.ones(3, 3, dtype=torch.bool)
    _, found = ideal().with_shadows(canvas, seen, query, [(0, 3)] * 3, judged, [shuffle, shuffle, copy])
    support = shuffle.support.tolist()
    standing = [found[i].exp()[support.index(ids[letter])].item() for i, letter in enumerate("aab")]
    assert standing == pytest.approx([1 / 3, 1 / 2, 1 / 2])
    assert found[3].exp()[copy.support.tolist().index(ids["a"])].item() == pytest.approx(1.0)


def test_the_exact_model_obeys_the_rules_of_shadows():
    contexts = [orders("abc"), token_answers([(2, 3, 4, 5, 2, 3, 4, EOS_ID)], [1.0])]
    check_denoiser(ideal(), contexts=contexts)
