"""Caches in the loop: windows, counts, and results that stay when nothing that was left out has changed.

`HashDenoiser` with a cache reads, in every column, the token it was last shown there.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.budget import Budget
from decoders.loop.batching import sweep
from decoders.rows import Decoded, Row, Setting
from decoders.testing.hash_denoiser import HashDenoiser
from decoders.unmasking.factor import Factor
from decoders.unmasking.klass import KLASS
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import confidence, left_to_right

METHODS = [confidence(), left_to_right(), Threshold(gamma=0.3), Factor(f=1.3), KLASS(tau=0.1, eps=5.0)]


class Windows(HashDenoiser):
    """Keeps the windows of every forward by row, None for all columns; *margin* columns come with a query."""

    def __init__(self, margin=0):
        super().__init__()
        self.window_margin = margin
        self.seen = {}

    def with_cache(self, canvas, attend, query, contexts, cache, rows, window):
        for context, bounds in zip(contexts, window or [None] * len(canvas), strict=True):
            self.seen.setdefault(context, []).append(bounds)
        for row, position in query.tolist():
            start, end = (window or [(0, canvas.shape[1])] * len(canvas))[row]
            assert start <= position - self.window_margin or position == 0
            assert position < end
        return super().with_cache(canvas, attend, query, contexts, cache, rows, window)


@st.composite
def mixtures(draw):
    rows = []
    for index in range(draw(st.integers(1, 7))):
        method = draw(st.sampled_from(METHODS))
        length = draw(st.sampled_from([4, 8]))
        setting = {
            "method": method,
            "k": draw(st.integers(1, 4)) if method.takes_k else None,
            "block_length": draw(st.sampled_from([None, 2, 4])),
            "temperature": draw(st.sampled_from([0.0, 0.0, 0.8])),
        }
        ids = st.lists(st.sampled_from([0, 0, 1, 5]), min_size=length, max_size=length).map(tuple)
        row = {
            "key": index,
            "prompt_ids": tuple(draw(st.lists(st.integers(1, 22), max_size=40))),
            "gen_length": length,
            "sample_id": str(index),
            "template_ids": draw(st.none() | ids),
            "context": index,
        }
        rows.append((row, setting))
    return rows


BUDGETS = st.builds(Budget, tokens=st.integers(1, 300), max_rows=st.none() | st.integers(1, 4))


@given(drawn=mixtures(), cache=st.sampled_from(["prefix", "dual"]), budget=BUDGETS, margin=st.integers(0, 1))
@settings(deadline=None)
def test_a_cache_that_loses_nothing_changes_only_what_is_evaluated(drawn, cache, budget, margin):
    """Within a block only its own tokens change, so tokens last seen elsewhere are those that stand there."""
    plain = [Row(**row, setting=Setting(**setting)) for row, setting in drawn]
    cached = [Row(**row, setting=Setting(**setting, cache=cache)) for row, setting in drawn]
    expected = {outcome.key: outcome for outcome in sweep(HashDenoiser(), plain)}
    denoiser = Windows(margin)
    for outcome in sweep(denoiser, cached, budget=budget):
        assert isinstance(outcome, Decoded), outcome
        same = expected[outcome.key]
        assert (outcome.ids, outcome.commit_step, outcome.nfe) == (same.ids, same.commit_step, same.nfe)
        row = cached[outcome.key]
        width = len(row.prompt_ids) + row.gen_length
        bounds = denoiser.seen.get(outcome.key, [])
        assert len(bounds) == outcome.nfe
        assert outcome.evaluated_positions == sum(b[1] - b[0] if b else width for b in bounds)


def decode_one(cache, method=None, *, margin=0, prompt=(3, 4, 5), k=1):
    denoiser = Windows(margin)
    setting = Setting(method=method or left_to_right(), k=k, block_length=2, cache=cache)
    row = Row(key=0, prompt_ids=prompt, gen_length=6, setting=setting, context=0)
    (outcome,) = sweep(denoiser, [row])
    return outcome, denoiser.seen[0]


def test_every_block_starts_with_all_columns_and_goes_on_with_its_window():
    """A prompt of 3 is padded to 32, so the generated columns are 32 to 37."""
    outcome, windows = decode_one("prefix")
    assert windows == [None, (32, 38), None, (34, 38), None, (36, 38)]
    assert outcome.evaluated_positions == 3 * 9 + 6 + 4 + 2
    outcome, windows = decode_one("dual")
    assert windows == [None, (32, 34), None, (34, 36), None, (36, 38)]
    assert outcome.evaluated_positions == 3 * 9 + 3 * 2
    assert (outcome.nfe, outcome.nfe_other) == (6, 0)


def test_columns_that_the_model_asks_for_before_the_block_are_evaluated():
    assert decode_one("dual", margin=1)[1] == [None, (31, 34), None, (33, 36), None, (35, 38)]


def test_padding_is_not_evaluated_for_a_margin():
    assert decode_one("dual", margin=1, prompt=())[1] == [None, (0, 2), None, (1, 4), None, (3, 6)]


def test_a_block_that_its_full_pass_completes_costs_one_forward():
    assert decode_one("dual", k=2)[1] == [None, None, None]


def test_a_cache_that_is_not_renewed_at_block_entry_gives_other_tokens():
    """The first test can fail: here the full passes but the first are dropped."""

    class NoRefresh(HashDenoiser):
        calls = 0

        def with_cache(self, canvas, attend, query, contexts, cache, rows, window):
            self.calls += 1
            if window is None and self.calls > 1:
                window = [(int(query[0, 1]), int(query[-1, 1]) + 1)]
            return super().with_cache(canvas, attend, query, contexts, cache, rows, window)

    def ids(denoiser, cache):
        setting = Setting(method=confidence(), k=2, block_length=2, cache=cache)
        rows = [Row(key=0, prompt_ids=(3, 4), gen_length=8, setting=setting)]
        (outcome,) = sweep(denoiser, rows)
        return outcome.ids

    assert ids(HashDenoiser(), "dual") == ids(HashDenoiser(), "none") != ids(NoRefresh(), "dual")


class Small(HashDenoiser):
    """Has no room for more than two rows."""

    def with_cache(self, canvas, attend, query, contexts, cache, rows, window):
        if len(canvas) > 2:
            raise torch.OutOfMemoryError("tried to allocate")
        return super().with_cache(canvas, attend, query, contexts, cache, rows, window)


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_running_out_of_memory_splits_the_cache_with_its_rows(cache):
    rows = [
        Row(
            key=i,
            prompt_ids=(2 + i,),
            gen_length=6,
            setting=Setting(method=confidence(), k=1 + i % 3, block_length=(2, 3)[i % 2], cache=cache),
            sample_id=str(i),
        )
        for i in range(9)
    ]
    expected = {outcome.key: outcome for outcome in sweep(HashDenoiser(), rows)}
    assert {outcome.key: outcome for outcome in sweep(Small(), rows)} == expected


class FullOnce(HashDenoiser):
    """Runs out of memory once, at its call number *at*."""

    def __init__(self, at):
        super().__init__()
        self.left = at

    def with_cache(self, canvas, attend, query, contexts, cache, rows, window):
        self.left -= 1
        if self.left == 0:
            raise torch.OutOfMemoryError("tried to allocate")
        return super().with_cache(canvas, attend, query, contexts, cache, rows, window)


@pytest.mark.parametrize("at", range(1, 16))
def test_rows_that_just_entered_are_split_from_those_with_a_cache(at):
    """Rows of 4 and of 1 step leave and enter at different times; the split may fall anywhere."""
    rows = [
        Row(
            key=i,
            prompt_ids=(2 + i, 3),
            gen_length=8,
            setting=Setting(method=left_to_right(), k=(1, 4, 2)[i % 3], block_length=4, cache="dual"),
            sample_id=str(i),
        )
        for i in range(10)
    ]
    expected = {outcome.key: outcome for outcome in sweep(HashDenoiser(), rows)}
    budget = Budget(tokens=1000, max_rows=5)
    assert {outcome.key: outcome for outcome in sweep(FullOnce(at), rows, budget=budget)} == expected
