"""Decodes of Fast-dLLM v2 with its cache within a block, and of its batches, against our loop and network.

That cache is approximate and no part of the product, whose ``cache=block`` is exact: between forwards of the
whole block only a stretch is evaluated, against keys that the rest of the block had before. Here it is put
around our network, and everything else is ours.
"""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from decoders.loop.batching import sweep
from decoders.rows import Decoded, Row, Setting
from decoders.unmasking.sub_blocks import SubBlocks
from unit_tests.golden.replay import (
    TRACES,
    Recording,
    cases_of,
    flags_of,
    gen_length,
    models_of,
    our_canvases,
    published_canvases,
)

torch.set_num_threads(1)

MASK, END_OF_TEXT = 306, 300

pytestmark = pytest.mark.skipif(
    not (TRACES / "fast_dllm_v2_batch.json").is_file(),
    reason="the golden traces are development data not present here",
)


@pytest.fixture(scope="module")
def models():
    return models_of("fast_dllm_v2")


class StaleBlock:
    """A model with the published cache, which keeps keys and values by the row's context.

    ``kinds`` are those of the forwards: of the position that the published code takes from a finished block
    (lead), of the whole block (denoise) or a stretch of it (sub).
    """

    def __init__(self, inner, size):
        self.inner, self.size, self.caches, self.kinds = inner, size, {}, {}

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def __call__(self, canvas, attend, query, contexts):
        logits = torch.zeros(len(query), self.vocab_size)
        for row, (tokens, is_real, context) in enumerate(zip(canvas, attend, contexts, strict=True)):
            of_row = query[:, 0] == row
            asked = query[of_row, 1] - int((~is_real).sum())
            logits[of_row] = self._one(tokens[is_real], asked, context)
        return logits

    def _one(self, tokens, asked, context):
        first = tokens.tolist().index(MASK)
        start = first // self.block_length * self.block_length
        stretch = start + (first - start) // self.size * self.size
        canvas, attend = tokens.unsqueeze(0), torch.ones(1, len(tokens), dtype=torch.bool)
        pairs = torch.stack([asked * 0, asked], dim=1)
        kinds = self.kinds.setdefault(context, [])
        if first == start and self.caches.get(context, (-1,))[0] != start:
            kinds.append("lead")
            self.caches[context] = (start, None)
            return self.inner(canvas, attend, pairs, [context])
        of_block, cache = self.caches.get(context, (-1, None))
        whole = of_block != start or cache is None or first == stretch
        kinds.append("denoise" if whole else "sub")
        if whole:
            cache = self.inner.new_cache(1, len(tokens))
            self.caches[context] = (start, cache)
        window = None if whole else [(stretch, min(stretch + self.size, len(tokens)))]
        told = torch.ones_like(asked, dtype=torch.bool)
        if window is not None:
            told = (asked > stretch) & (asked < window[0][1])
        logits = torch.zeros(len(asked), self.vocab_size)
        logits[told] = self.inner.with_cache(
            canvas, attend, pairs[told], [context], cache, torch.zeros(1, dtype=torch.long), window
        )
        return logits


def method_of(given):
    gamma, size = given.get("threshold", 1), given.get("small_block_size", 8)
    return SubBlocks(gamma=float(gamma), size=size, upstream_exact=True)


def row_of(key, prompt, length, given, cache):
    setting = Setting(method=method_of(given), cache=cache)
    return Row(
        key=key, prompt_ids=tuple(prompt), gen_length=length, setting=setting, context=key, history=True
    )


def cached(models, case):
    """Return what our loop decodes with the published cache: outcome, canvases and kinds of the forwards."""
    given = case["params"]
    inner = replace(models[case["mask_logit"]], block_length=given.get("block_size", 32))
    stale = StaleBlock(inner, given.get("small_block_size", 8))
    recording = Recording(stale)
    (outcome,) = sweep(recording, [row_of(0, case["prompt"], gen_length(case), given, "none")])
    assert isinstance(outcome, Decoded), outcome
    return outcome, our_canvases(case, outcome, recording.canvases[0]), stale.kinds[0]


def assert_cached_as_published(models, case):
    """A forward that stores a block and says its next token is one that takes this token alone here."""
    *fed, final = published_canvases(case, MASK)
    kinds_of = list(zip(fed, case["kinds"], (step["commit"] for step in case["steps"]), strict=True))
    useful = [(canvas, kind) for canvas, kind, commit in kinds_of if commit]
    _, ours, kinds = cached(models, case)
    assert ours[: len(useful)] == [canvas for canvas, _ in useful]
    assert kinds[: len(useful)] == ["lead" if kind == "store" else kind for _, kind in useful]
    if not flags_of(case):
        assert ours[len(useful) :] == [final]
        return
    cut = case["final_ids"]
    kept = cut.index(case["params"].get("stop_token", END_OF_TEXT), case["prompt_len"]) + 1
    assert ours[len(useful)][:kept] == cut[:kept] == cut


def exactly(models, case):
    """Return the canvases of our loop with cache=block."""
    given = case["params"]
    inner = replace(models[case["mask_logit"]], block_length=given.get("block_size", 32))
    (outcome,) = sweep(inner, [row_of(0, case["prompt"], gen_length(case), given, "block")])
    canvas, found = case["prompt"] + [MASK] * gen_length(case), []
    for step in outcome.history:
        found.append(list(canvas))
        for position, token in step.committed:
            canvas[case["prompt_len"] + position] = token
    return [*found, canvas]


def test_some_cases_are_decoded_as_published_with_the_published_cache(models):
    cases = cases_of("fast_dllm_v2_block_cache")
    for case in (cases[0], cases[-1], cases[30]):
        assert_cached_as_published(models, case)


@pytest.mark.slow
def test_every_case_is_decoded_as_published_with_the_published_cache(models):
    cases = cases_of("fast_dllm_v2_block_cache")
    assert (len(cases), sum(bool(flags_of(case)) for case in cases)) == (50, 10)
    for case in cases:
        assert_cached_as_published(models, case)


@pytest.mark.slow
def test_the_exact_cache_parts_from_the_published_one_only_where_keys_are_stale(models):
    """Keys are stale in a forward of a stretch that is not the whole block; before it all is as published."""
    parted = Counter()
    for case in cases_of("fast_dllm_v2_block_cache"):
        given = case["params"]
        size, block = given.get("small_block_size", 8), given.get("block_size", 32)
        steps = list(zip(published_canvases(case, MASK), case["kinds"], case["steps"], strict=False))
        useful = [(canvas, kind) for canvas, kind, step in steps if step["commit"]]
        is_stale = [kind == "sub" and size < block for _, kind in useful]
        until = is_stale.index(True) + 1 if True in is_stale else len(useful)
        ours = exactly(models, case)
        assert ours[:until] == [canvas for canvas, _ in useful[:until]]
        parted[ours[: len(useful)] == [canvas for canvas, _ in useful], size < block] += 1
    assert parted == {(True, False): 12, (True, True): 2, (False, True): 36}


def alone(models, case, index):
    """Return what our loop decodes for one row of a batch, and the published row, up to its first end."""
    given, prompt, published = case["params"], case["prompts"][index], case["final_ids"][index]
    inner = replace(models[case["mask_logit"]], block_length=given.get("block_size", 32))
    cached = given.get("use_block_cache", False)
    model = StaleBlock(inner, given.get("small_block_size", 8)) if cached else inner
    row = row_of(0, prompt, len(published) - len(prompt), given, "none" if cached else "block")
    (outcome,) = sweep(model, [row])
    assert isinstance(outcome, Decoded), outcome
    return outcome, prompt + list(outcome.ids)


def ends_at(ids, prompt_len, given):
    """Return the columns of *ids* up to the first end of text that the published code notices.

    It does not notice one that is the first token of a block, which a finished block says.
    """
    stop, block = given.get("stop_token", END_OF_TEXT), given.get("block_size", 32)
    noticed = [at for at in range(prompt_len, len(ids)) if ids[at] == stop and at % block]
    return noticed[0] + 1 if noticed else len(ids)


def n_denoised(case, outcomes):
    """Return the forwards of the batch: of each stretch as many as the row that needs most of them."""
    given, n = case["params"], Counter()
    block, size = given.get("block_size", 32), given.get("small_block_size", 8)
    for prompt, (outcome, ids) in zip(case["prompts"], outcomes, strict=True):
        end = ends_at(ids, len(prompt), given)
        last = (end - 1) // block if end < len(ids) else len(ids)
        per_stretch = Counter()
        for step in outcome.history:
            at = len(prompt) + step.committed[0][0]
            is_lead = at % block == 0 and len(step.committed) == 1
            if at // block <= last and not is_lead:
                per_stretch[at // block, at % block // size] += 1
        n |= per_stretch
    return n.total()


def batch_cases(*, cached):
    return [
        case
        for case in cases_of("fast_dllm_v2_batch")
        if case["params"].get("use_block_cache", False) == cached
    ]


def assert_batch_as_published(models, case):
    outcomes = [alone(models, case, index) for index in range(len(case["prompts"]))]
    for (_, ids), prompt, published in zip(outcomes, case["prompts"], case["final_ids"], strict=True):
        end = ends_at(ids, len(prompt), case["params"])
        assert ids[:end] == published[:end]
        assert set(published[end:]) <= {case["pad_id"]}
    assert n_denoised(case, outcomes) == Counter(case["kinds"])["denoise"]


def test_some_rows_of_batches_are_decoded_alone_as_published(models):
    cases = batch_cases(cached=False)
    for case in (cases[0], cases[-1]):
        assert_batch_as_published(models, case)


@pytest.mark.slow
def test_every_row_of_a_batch_without_the_published_cache_is_decoded_alone_as_published(models):
    cases = batch_cases(cached=False)
    assert (len(cases), sum(len(case["prompts"]) for case in cases)) == (36, 60)
    for case in cases:
        assert_batch_as_published(models, case)


@pytest.mark.slow
def test_rows_that_share_the_published_cache_change_each_other(models):
    """They take the stretches together, and a block is evaluated anew for all where one begins a stretch."""
    same, n_whole = Counter(), 0
    for case in batch_cases(cached=True):
        is_shared, found = len(case["prompts"]) > 1, []
        for index, (prompt, published) in enumerate(zip(case["prompts"], case["final_ids"], strict=True)):
            _, ids = alone(models, case, index)
            end = ends_at(ids, len(prompt), case["params"])
            found.append(ids[:end] == published[:end])
        same += Counter((is_shared, is_same) for is_same in found)
        n_whole += is_shared and all(found)
    assert same == {(False, True): 6, (True, True): 6, (True, False): 8}
    assert n_whole == 2, "batches of several rows with all of them as alone"
