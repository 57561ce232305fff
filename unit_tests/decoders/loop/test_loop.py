"""The loop writes what methods ask for, only where they may, and counts what it did."""

import itertools
from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.budget import Budget
from decoders.loop.batching import decode, sweep
from decoders.loop.loop import advance, settle
from decoders.loop.slots import admit
from decoders.loop.view import quota
from decoders.rows import Row, Setting
from decoders.testing import HashDenoiser
from decoders.theory.closed_forms import quotas
from decoders.unmasking.factor import Factor
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import TopK, confidence, left_to_right

MASK = HashDenoiser.mask_id
SCORES = ("random", "left_to_right", "confidence", "margin", "entropy")
METHODS = [*[TopK(score=score) for score in SCORES], Threshold(gamma=0.5), Factor(f=1.3)]


class Watched(HashDenoiser):
    """Keeps every canvas it was shown, by the first id of the prompt."""

    def __init__(self):
        super().__init__()
        self.seen = {}

    def __call__(self, canvas, attend, query, contexts):
        for row, mask in zip(canvas.tolist(), attend.tolist(), strict=True):
            real = [token for token, shown in zip(row, mask, strict=True) if shown]
            self.seen.setdefault(real[0], []).append(real)
        return super().__call__(canvas, attend, query, contexts)


def settings_of(method, length):
    blocks = st.sampled_from([None, *[b for b in range(1, length + 1) if length % b == 0]])
    k = st.integers(1, length + 2) if method.takes_k else st.none()
    heat = st.sampled_from([0.0, 0.0, 0.7])
    return st.builds(Setting, method=st.just(method), k=k, block_length=blocks, temperature=heat)


@st.composite
def row_lists(draw):
    rows = []
    for index in range(draw(st.integers(1, 5))):
        length = draw(st.sampled_from([1, 4, 6, 12]))
        setting = draw(st.sampled_from(METHODS).flatmap(lambda method, n=length: settings_of(method, n)))
        ids = st.lists(st.sampled_from([MASK, MASK, 1, 5]), min_size=length, max_size=length)
        template = draw(st.none() | ids.map(tuple))
        prompt = (index + 2, *draw(st.lists(st.integers(1, 22), max_size=40)))
        rows.append(
            Row(
                key=index,
                prompt_ids=prompt,
                gen_length=length,
                setting=setting,
                template_ids=template,
                sample_id=str(index),
            )
        )
    return rows


@given(rows=row_lists())
@settings(deadline=None)
def test_prompt_and_template_stay_and_every_mask_is_filled_once(rows):
    denoiser = Watched()
    for outcome in sweep(denoiser, rows):
        row = rows[outcome.key]
        template = row.template_ids or (MASK,) * row.gen_length
        assert MASK not in outcome.ids
        for given_id, final, step in zip(template, outcome.ids, outcome.commit_step, strict=True):
            assert (step == -1) == (given_id != MASK)
            assert given_id in (MASK, final)
        canvases = denoiser.seen.get(row.prompt_ids[0], [])
        assert len(canvases) == outcome.nfe, "a finished row is not forwarded again"
        assert all(tuple(canvas[: -row.gen_length]) == row.prompt_ids for canvas in canvases)
        for step, canvas in enumerate(canvases):
            shown = [
                final if at < step else MASK
                for final, at in zip(outcome.ids, outcome.commit_step, strict=True)
            ]
            assert canvas[-row.gen_length :] == shown, "what is committed stays"


@given(rows=row_lists())
@settings(deadline=None)
def test_a_block_is_complete_before_the_next_one_starts(rows):
    for outcome in sweep(HashDenoiser(), rows):
        row = rows[outcome.key]
        size = row.setting.block_length or row.gen_length
        steps = [
            [step for step in outcome.commit_step[start : start + size] if step >= 0]
            for start in range(0, row.gen_length, size)
        ]
        used = [block for block in steps if block]
        assert all(max(before) < min(after) for before, after in itertools.pairwise(used))
        assert sorted({step for block in used for step in block}) == list(range(outcome.nfe))
        if row.setting.k is not None:
            expected = [n for block in used for n in quotas(len(block), row.setting.k)]
            counts = Counter(step for block in used for step in block)
            assert [counts[step] for step in range(outcome.nfe)] == expected
        assert outcome.evaluated_positions == outcome.nfe * (len(row.prompt_ids) + row.gen_length)


@given(n=st.integers(1, 40), k=st.integers(1, 45))
@settings(deadline=None)
def test_the_quota_of_the_view_equals_the_closed_form(n, k):
    row = Row(key=0, prompt_ids=(), gen_length=n, setting=Setting(method=confidence(), k=k))
    slots, _ = settle(admit([row], HashDenoiser(), 0), HashDenoiser())
    shown = [int(quota(replace(slots, step=slots.step + step))[0]) for step in range(int(slots.steps[0]))]
    assert tuple(shown) == quotas(n, k)


@pytest.mark.parametrize(("method", "after"), [(confidence(), 1), (confidence(upstream_exact=True), 0)])
def test_behind_the_schedule_the_quota_is_one_unless_published_steps_may_be_empty(method, after):
    row = Row(key=0, prompt_ids=(), gen_length=3, setting=Setting(method=method, max_steps=6))
    slots, _ = settle(admit([row], HashDenoiser(), 0), HashDenoiser())
    shown = [int(quota(replace(slots, step=slots.step + step))[0]) for step in range(6)]
    assert shown == [1, 1, 1, after, after, after]


def one(method, *, gen_length, template=None, **setting):
    """Decode one row."""
    templates = None if template is None else [template]
    return decode(HashDenoiser(), [(3, 4)], method, gen_length=gen_length, templates=templates, **setting)[0]


@pytest.mark.parametrize(
    ("n", "k", "expected"), [(10, 4, [4, 3, 3]), (32, 7, [7, 7, 6, 6, 6]), (5, 8, [5]), (6, 3, [3, 3])]
)
def test_k_splits_the_masks_remainder_first(n, k, expected):
    done = one(confidence(), gen_length=n, k=k)
    assert [done.commit_step.count(step) for step in range(done.nfe)] == expected


def test_max_steps_splits_the_masks_of_each_block_remainder_first():
    done = one(confidence(), gen_length=24, block_length=12, max_steps=10)
    assert [done.commit_step.count(step) for step in range(done.nfe)] == [3, 3, 2, 2, 2] * 2
    infilled = one(confidence(), gen_length=8, block_length=4, max_steps=4, template=[5, 0, 0, 0, 5, 5, 5, 0])
    assert [infilled.commit_step.count(step) for step in range(infilled.nfe)] == [2, 1, 1]


def test_a_budget_above_the_masks_is_not_spent_unless_published_steps_are_asked_for():
    assert one(confidence(), gen_length=3, max_steps=6).nfe == 3
    published = one(confidence(upstream_exact=True), gen_length=3, max_steps=6)
    assert published.nfe == 6
    assert sorted(published.commit_step) == [0, 1, 2]


def test_empty_published_steps_are_spent_in_every_block():
    done = one(confidence(upstream_exact=True), gen_length=8, block_length=4, max_steps=12)
    assert done.nfe == 12
    assert sorted(done.commit_step) == [0, 1, 2, 3, 6, 7, 8, 9]


def test_published_steps_change_nothing_where_none_is_empty():
    for setting in ({"k": 3}, {"max_steps": 4}):
        assert one(confidence(upstream_exact=True), gen_length=10, **setting) == one(
            confidence(), gen_length=10, **setting
        )


def test_a_complete_block_costs_no_forward():
    done = one(confidence(), gen_length=8, block_length=4, k=1, template=[5, 6, 7, 8, 0, 0, 9, 9])
    assert done.nfe == 2
    assert done.ids[:4] == (5, 6, 7, 8)
    assert done.commit_step[:4] == (-1, -1, -1, -1)


def test_a_complete_template_costs_no_forward_at_all():
    denoiser = Watched()
    done = decode(denoiser, [(3,)], confidence(), gen_length=3, k=1, templates=[(5, 6, 7)])[0]
    assert (done.ids, done.nfe, done.evaluated_positions, denoiser.seen) == ((5, 6, 7), 0, 0, {})


def test_a_gap_between_blocks_is_skipped():
    done = one(left_to_right(), gen_length=6, block_length=2, k=2, template=[0, 0, 5, 5, 0, 0])
    assert done.commit_step == (0, 0, -1, -1, 1, 1)


@pytest.mark.parametrize("method", METHODS[:5], ids=lambda method: method.name)
def test_block_equal_to_k_decodes_left_to_right(method):
    done = one(method, gen_length=12, k=4, block_length=4)
    assert done.commit_step == (0,) * 4 + (1,) * 4 + (2,) * 4


def test_left_to_right_in_one_block_commits_the_first_positions_first():
    assert one(left_to_right(), gen_length=7, k=3).commit_step == (0, 0, 0, 1, 1, 2, 2)


def test_nfe_is_counted_per_row():
    rows = [
        Row(key=k, prompt_ids=(3,), gen_length=12, setting=Setting(method=confidence(), k=k))
        for k in range(1, 14)
    ]
    assert {done.key: done.nfe for done in sweep(HashDenoiser(), rows)} == {
        k: max(1, -(-12 // k)) for k in range(1, 14)
    }


def test_one_call_of_advance_is_one_step_and_leaves_its_input_alone():
    row = Row(key=0, prompt_ids=(3, 4), gen_length=6, setting=Setting(method=confidence(), k=2))
    slots, finished = settle(admit([row], HashDenoiser(), 4), HashDenoiser())
    before = slots.canvas.clone()
    after, ended = advance(slots, HashDenoiser())
    assert (finished, ended) == ([], [])
    assert torch.equal(slots.canvas, before)
    assert (after.generated == MASK).sum() == 4
    assert (int(after.nfe[0]), int(after.step[0]), after.eligible_count) == (1, 1, (4,))


def test_a_step_of_rows_that_only_idle_asks_for_no_position():
    done = decode(
        HashDenoiser(),
        [(3,)] * 3,
        confidence(upstream_exact=True),
        gen_length=2,
        max_steps=4,
        budget=Budget(tokens=3),
    )
    assert [row.nfe for row in done] == [4, 4, 4]
