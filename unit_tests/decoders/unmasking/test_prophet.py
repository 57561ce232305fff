"""Prophet: a naive second implementation, what a row plans in all its blocks, and its limits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.loop.batching import decode
from decoders.testing import HashDenoiser, check_method, example_slots, example_view
from decoders.unmasking.prophet import Prophet
from decoders.unmasking.top_k import confidence

PROMPTS = [(3,), (4, 5), (6, 7, 8)]
NEVER = {"early": float("inf"), "middle": float("inf"), "late": float("inf")}


@pytest.mark.parametrize("method", [Prophet(), Prophet(early=2.0, middle=1.0, late=0.5), Prophet(late=0.0)])
def test_the_rules_are_obeyed(method):
    check_method(method)


def naively(model, prompt, length, block, k, method):
    """The rule, one row: ids, and the forward of each commit."""
    start, mask = len(prompt), model.mask_id
    canvas, commit_step = [*prompt, *[mask] * length], [-1] * length
    planned = length // block * -(-block // k)
    for forward in range(planned):
        row = torch.tensor([canvas])
        query = torch.tensor([[0, i] for i in range(start, start + length)])
        logits = model(row, torch.ones_like(row).bool(), query, [None]).double()
        masked = [i for i in range(length) if canvas[start + i] == mask]
        first = masked[0] // block * block
        top = logits.topk(2, dim=1).values
        last = length if method.answer_length is None else method.answer_start + method.answer_length
        gap = float((top[:, 0] - top[:, 1])[method.answer_start : last].mean())
        share = (forward + 1) / planned
        bound = method.early if share < 0.33 else method.middle if share < 0.67 else method.late
        p = logits.softmax(dim=1).max(dim=1).values
        of_block = sorted((i for i in masked if i < first + block), key=lambda i: (-float(p[i]), i))
        for i in masked if gap >= bound else of_block[:k]:
            canvas[start + i], commit_step[i] = int(logits[i].argmax()), forward
        if mask not in canvas:
            break
    return tuple(canvas[start:]), tuple(commit_step)


@given(
    early=st.sampled_from([0.5, 1.0, 9.0]),
    middle=st.sampled_from([0.4, 0.6, 0.8, 9.0]),
    late=st.sampled_from([0.3, 0.5, 9.0]),
    answer=st.sampled_from([(0, None), (0, 5), (6, 5), (3, 1)]),
    block=st.sampled_from([4, 8]),
    k=st.sampled_from([1, 2]),
)
@settings(deadline=None, max_examples=40)
def test_it_is_the_rule_written_down_naively(early, middle, late, answer, block, k):
    model = HashDenoiser()
    method = Prophet(early=early, middle=middle, late=late, answer_start=answer[0], answer_length=answer[1])
    for prompt, row in zip(
        PROMPTS, decode(model, PROMPTS, method, gen_length=8, k=k, block_length=block), strict=True
    ):
        assert (row.ids, row.commit_step) == naively(model, prompt, 8, block, k, method)


def test_bounds_above_every_gap_leave_top_k():
    shape = {"gen_length": 12, "k": 3, "block_length": 4}
    assert decode(HashDenoiser(), PROMPTS, Prophet(**NEVER), **shape) == decode(
        HashDenoiser(), PROMPTS, confidence(), **shape
    )


def test_bounds_of_0_fill_all_blocks_at_once():
    for row in decode(HashDenoiser(), PROMPTS, Prophet(early=0.0), gen_length=12, k=1, block_length=4):
        assert row.nfe == 1
        assert set(row.commit_step) == {0}


def test_published_steps_without_a_quota_end_with_the_answer():
    """Five masks in eight steps: three idle ones, unless the gap of the last third is reached."""
    fixed = [(5, 5, 5, *[0] * 5)] * 3
    common = {"gen_length": 8, "max_steps": 8, "templates": fixed}
    idle = Prophet(**NEVER, upstream_exact=True)
    assert {row.nfe for row in decode(HashDenoiser(), PROMPTS, idle, **common)} == {8}
    assert {row.nfe for row in decode(HashDenoiser(), PROMPTS, Prophet(**NEVER), **common)} == {5}
    settled = Prophet(**NEVER | {"middle": 0.0}, upstream_exact=True)
    assert {row.nfe for row in decode(HashDenoiser(), PROMPTS, settled, **common)} == {3}


def test_the_whole_generated_region_is_evaluated_and_planned():
    """Twelve positions, blocks of 12 and 6, k from 1 to 4; odd rows have a template with some fixed."""
    slots = example_slots(Prophet())
    view = example_view(slots, range(4))
    assert view.evaluated.all()
    masks = slots.fillable.sum(dim=1).tolist()
    halves = [slots.fillable[:, :6].sum(dim=1).tolist(), slots.fillable[:, 6:].sum(dim=1).tolist()]
    expected = [masks[0], -(-halves[0][1] // 2) - (-halves[1][1] // 2), -(-masks[2] // 3)]
    expected.append(-(-halves[0][3] // 4) - (-halves[1][3] // 4))
    assert view.planned.tolist() == expected
    assert view.forwards.tolist() == [0] * 4


REFUSED = {
    "early": ({"early": -1.0}, r"early must be at least 0, got -1\.0; 7\.5 is the published default"),
    "late": ({"late": float("nan")}, r"late must be at least 0, got nan; 2\.5 is the published default"),
    "start": ({"answer_start": -1}, "answer_start must be a whole number of at least 0, got -1; it counts"),
    "length": ({"answer_length": 0}, "answer_length must be a whole number of at least 1, got 0; it counts"),
}


@pytest.mark.parametrize(("given_", "message"), REFUSED.values(), ids=REFUSED)
def test_a_parameter_out_of_range_is_refused(given_, message):
    with pytest.raises(ValueError, match=message):
        Prophet(**given_)


def test_an_answer_behind_the_generated_region_is_named():
    with pytest.raises(RuntimeError, match="answer_start must be below the 8 generated positions, got 8; 0"):
        decode(HashDenoiser(), PROMPTS, Prophet(answer_start=8), gen_length=8, k=1)
