"""FreeDave: the tokens of one step at a time on every model, the work it says it did, and what it refuses."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.budget import Budget
from decoders.loop.batching import decode, sweep
from decoders.models.ideal import Ideal
from decoders.models.tiny import load as load_tiny
from decoders.protocols import ModelRequest
from decoders.rows import Row, Setting
from decoders.testing import HashDenoiser, check_method
from decoders.text.tokenizer import EOS_ID, MASK_ID, PieceTokenizer
from decoders.theory.answer_sets import enumerated
from decoders.unmasking.freedave import FreeDave
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import TopK

PROMPTS = [(3,), (4, 5), (6, 7, 8)]


@pytest.mark.parametrize("method", [FreeDave(), FreeDave(draft_steps=1), FreeDave(gamma=0.4)])
def test_the_rules_are_obeyed(method):
    check_method(method)


def test_every_default_sweep_can_be_built():
    assert [FreeDave(**params).draft_steps for params in FreeDave.sweep] == [2, 4, 8]


@given(
    draft_steps=st.integers(1, 9),
    order=st.sampled_from(["confidence", "left_to_right"]),
    block_length=st.sampled_from([1, 4, 6, 12]),
    sharpness=st.sampled_from([1.0, 6.0, 40.0]),
    cache=st.sampled_from(["none", "prefix", "dual"]),
    data=st.data(),
)
@settings(deadline=None, max_examples=40)
def test_the_tokens_are_those_of_one_step_at_a_time(draft_steps, order, block_length, sharpness, cache, data):
    template = st.lists(st.sampled_from([0, 0, 0, 5]), min_size=12, max_size=12)
    knobs = {
        "gen_length": 12,
        "block_length": block_length,
        "cache": cache,
        "templates": [data.draw(template) for _ in PROMPTS],
    }
    model = HashDenoiser(sharpness=sharpness)
    one_by_one = decode(model, PROMPTS, TopK(score=order), k=1, **knobs)
    drafted = decode(model, PROMPTS, FreeDave(draft_steps=draft_steps, order=order), **knobs)
    for ours, expected in zip(drafted, one_by_one, strict=True):
        assert ours.ids == expected.ids
        assert ours.nfe <= expected.nfe
        assert ours.nfe == ours.forwards
        assert ours.nfe <= ours.evaluated_canvases <= draft_steps * ours.nfe


@pytest.fixture(scope="module")
def answers():
    tokenizer = PieceTokenizer()
    model = Ideal(tokenizer, mask_id=MASK_ID, eos_id=EOS_ID, vocab_size=len(tokenizer))
    texts = ["abcdef", "abfedc", "fedcba", "badcfe", "cdabef"]
    give = {"gen_length": 6, "eos_id": EOS_ID, "sample": "s"}
    return model, enumerated(tokenizer, texts, [1.0] * 5, **give)


@pytest.mark.parametrize("draft_steps", [2, 4])
def test_on_the_exact_model_every_answer_is_one_and_ties_are_broken_alike(answers, draft_steps):
    """Its ties are random, and keyed by the canvas, so that a draft meets those of one step at a time."""
    model, context = answers
    rows = [
        Row(
            key=(method.name, i),
            prompt_ids=(),
            gen_length=6,
            sample_id=str(i),
            setting=setting,
            context=context,
        )
        for method in (FreeDave(draft_steps=draft_steps), TopK(score="confidence"))
        for setting in [Setting(method=method, k=1 if method.takes_k else None)]
        for i in range(60)
    ]
    found = {outcome.key: outcome for outcome in sweep(model, rows)}
    pairs = [(found["freedave", i], found["confidence", i]) for i in range(60)]
    assert [ours.ids for ours, _ in pairs] == [expected.ids for _, expected in pairs]
    assert len({ours.ids for ours, _ in pairs}) > 1
    assert sum(ours.nfe for ours, _ in pairs) < sum(expected.nfe for _, expected in pairs)


def test_on_a_trained_network_it_saves_forwards_and_no_token_changes():
    model = load_tiny(ModelRequest(name="tiny", device="cpu"))
    prompts = [list(range(10, 10 + n)) for n in (8, 12, 15)]
    expected = decode(model, prompts, TopK(score="confidence"), k=1, gen_length=32, block_length=8)
    ours = decode(model, prompts, FreeDave(), gen_length=32, block_length=8)
    assert [row.ids for row in ours] == [row.ids for row in expected]
    assert sum(row.nfe for row in ours) < sum(row.nfe for row in expected)


def test_a_threshold_never_needs_more_forwards_than_threshold_and_its_first_forwards():
    knobs = {"gen_length": 12, "block_length": 6}
    model = HashDenoiser(sharpness=10.0)
    plain = decode(model, PROMPTS, Threshold(gamma=0.5), **knobs)
    drafted = decode(model, PROMPTS, FreeDave(gamma=0.5, draft_steps=1), **knobs)
    for ours, expected in zip(drafted, plain, strict=True):
        assert ours.ids == expected.ids
        assert expected.nfe - 1 <= ours.nfe <= expected.nfe + 2


def test_a_forward_holds_as_many_canvases_as_the_budget_lets_it():
    class Counting(HashDenoiser):
        most = 0

        def __call__(self, canvas, attend, query, contexts):
            self.most = max(self.most, canvas.numel())
            return super().__call__(canvas, attend, query, contexts)

    model, prompts = Counting(), [(3 + i % 9,) for i in range(20)]
    expected = decode(HashDenoiser(), prompts, FreeDave(), gen_length=12)
    tokens = 44 * 4 * 3
    assert decode(model, prompts, FreeDave(), gen_length=12, budget=Budget(tokens=tokens)) == expected
    assert 44 * 4 < model.most <= tokens


REFUSED = {
    "draft_steps": ({"draft_steps": 0}, "draft_steps must be a whole number of at least 1, got 0; 4 is the"),
    "order": ({"order": "best"}, "order must be one of confidence, left_to_right, got 'best'; choose one"),
    "gamma": ({"gamma": 0.0}, r"gamma must be None or in \(0, 1\], got 0\.0; None is lossless"),
}


@pytest.mark.parametrize(("given_", "message"), REFUSED.values(), ids=REFUSED)
def test_a_parameter_out_of_range_is_refused(given_, message):
    with pytest.raises(ValueError, match=message):
        FreeDave(**given_)


def test_drafts_fill_the_most_confident_first():
    """The canvases of the second forward are those of 1, 2 and 3 more tokens."""
    seen = []

    class Keeping(HashDenoiser):
        def __call__(self, canvas, attend, query, contexts):
            seen.append((canvas[:, -8:] == 0).sum(dim=1).tolist())
            return super().__call__(canvas, attend, query, contexts)

    decode(Keeping(), [(3,)], FreeDave(draft_steps=3), gen_length=8)
    assert seen[:2] == [[8], [7, 6, 5]]
    assert torch.tensor([min(masks) >= 1 for masks in seen]).all()
