"""Decode traces of Fast-dLLM v2 and Stable-DiffCoder, stored as numbers, against our loop and loaders."""

from dataclasses import replace

import pytest
import torch

from decoders.loop.block_grid import grids_of
from decoders.rows import Row, Setting
from decoders.unmasking.sub_blocks import SubBlocks
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import confidence
from unit_tests.golden.replay import (
    TRACES,
    cases_of,
    decoded,
    flags_of,
    gen_length,
    models_of,
    our_canvases,
    published_canvases,
)

torch.set_num_threads(1)

MASKS = {"fast_dllm_v2": 306, "stable_diffcoder": 5}
N_CASES = {"fast_dllm_v2": (50, 8), "stable_diffcoder": (64, 8)}
"""File: cases, those that stop at an end of text."""

END_OF_TEXT = 300
"""Of the configuration of fast_dllm_v2; cases of the other file name theirs."""

BLOCKS = {"fast_dllm_v2": ("block_size", 32), "stable_diffcoder": ("block_length", 4)}
"""Parameter of the published block, and its default."""

pytestmark = pytest.mark.skipif(
    not (TRACES / "fast_dllm_v2.json").is_file(),
    reason="the golden traces are development data not present here",
)


@pytest.fixture(scope="module")
def models():
    return {family: models_of(family) for family in MASKS}


def fast_dllm_v2(case, model):
    given = case["params"]
    gamma, size = given.get("threshold", 1), given.get("small_block_size", 8)
    return Setting(method=SubBlocks(gamma=float(gamma), size=size, upstream_exact=True))


def stable_diffcoder(case, model):
    """Steps are shared out among the blocks of the generated length, ours among those of the row's grid."""
    given = case["params"]
    threshold = given.get("threshold", 0.95)
    if threshold is not None:
        return Setting(method=Threshold(gamma=threshold))
    row = Row(
        key=0,
        prompt_ids=tuple(case["prompt"]),
        gen_length=gen_length(case),
        setting=Setting(method=confidence(), k=1),
    )
    per_block = given["steps"] // (given["gen_length"] // model.block_length)
    return Setting(method=confidence(), max_steps=per_block * grids_of(model, [row])[0].n_blocks)


SETTING_OF = {"fast_dllm_v2": fast_dllm_v2, "stable_diffcoder": stable_diffcoder}


def decode(models, family, cases):
    parameter, default = BLOCKS[family]
    by_block, found = {}, {}
    for case in cases:
        by_block.setdefault(case["params"].get(parameter, default), []).append(case)
    for block, members in by_block.items():
        of_block = {kind: replace(model, block_length=block) for kind, model in models[family].items()}
        found |= decoded(
            of_block, members, lambda case, of=of_block: SETTING_OF[family](case, of[case["mask_logit"]])
        )
    return found


def assert_same_trace(family, case, outcome, canvases):
    """Forwards that only fill the published cache commit nothing and have no counterpart.

    Where the published code stopped at an end of text, it cut the row there, or filled the block up with it;
    ours goes on.
    """
    *fed, final = published_canvases(case, MASKS[family])
    steps = list(zip(fed, case["kinds"], (step["commit"] for step in case["steps"]), strict=True))
    assert all(commit or kind == "store" for _, kind, commit in steps)
    useful = [canvas for canvas, _, commit in steps if commit]
    ours = our_canvases(case, outcome, canvases)
    if not flags_of(case):
        assert ours == [*useful, final]
        return
    assert ours[: len(useful)] == useful
    cut, given = case["final_ids"], case["params"]
    end_of_text = given.get("stop_token", given.get("eos_id", END_OF_TEXT))
    kept = cut.index(end_of_text, case["prompt_len"]) + 1
    assert ours[len(useful)][:kept] == cut[:kept]
    assert set(cut[kept:]) <= {end_of_text}


@pytest.mark.parametrize("family", MASKS)
def test_some_cases_of_every_file_are_decoded_as_published_alone_and_together(models, family):
    cases = cases_of(family)
    some = [cases[0], cases[-1], next(case for case in cases if flags_of(case))]
    found = decode(models, family, some)
    for case in some:
        assert_same_trace(family, case, *found[case["id"]])
        assert decode(models, family, [case]) == {case["id"]: found[case["id"]]}


@pytest.mark.slow
@pytest.mark.parametrize("family", MASKS)
def test_every_case_is_decoded_as_published(models, family):
    cases = cases_of(family)
    assert (len(cases), sum(bool(flags_of(case)) for case in cases)) == N_CASES[family]
    found = decode(models, family, cases)
    for case in cases:
        assert_same_trace(family, case, *found[case["id"]])
