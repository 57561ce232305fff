"""Decode traces of methods published by several groups on LLaDA, stored as numbers, against our methods."""

from dataclasses import replace

import pytest
import torch

from decoders.rows import Setting
from decoders.unmasking.adablock import AdaBlock
from decoders.unmasking.factor import Factor
from decoders.unmasking.pc_sampler import PCSampler
from decoders.unmasking.prophet import Prophet
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import confidence
from unit_tests.golden.replay import (
    TRACES,
    cases_of,
    decoded,
    flags_of,
    models_of,
    our_canvases,
    published_canvases,
)

torch.set_num_threads(1)

MASK = 310

pytestmark = pytest.mark.skipif(
    not (TRACES / "prophet.json").is_file(), reason="the golden traces are development data not present here"
)


def prophet(given):
    bounds = given.get("early_exit_thresholds", {"early": 7.5, "mid": 5.0, "late": 2.5})
    return Prophet(
        early=bounds["early"],
        middle=bounds["mid"],
        late=bounds["late"],
        answer_start=given["answer_start"],
        answer_length=5,
        upstream_exact=True,
    )


def adablock(given):
    return AdaBlock(
        gamma=given["threshold"],
        length=given["init_block_length"],
        delimiter_gamma=given.get("delimiter_threshold", 1.0),  # absent: never, and none is certain here
        delimiters=" ".join(map(str, given["delimiter_ids"])),
    )


def linear_position(given):
    table = str(TRACES / "token_frequency.json")
    return PCSampler(
        table=table, decay=given["lambd"], alpha=given["alpha"], position="linear", upstream_exact=True
    )


def later_fast_dllm(given):
    """The code of August 2025, which tests whether a block is complete before it runs a cached forward."""
    if given.get("factor") is not None:
        return Factor(f=given["factor"], upstream_exact=True)
    return confidence() if given.get("threshold") is None else Threshold(gamma=given["threshold"])


METHOD_OF = {
    "fastdllm_prefix_cache_aug": later_fast_dllm,
    "fastdllm_dual_cache_aug": later_fast_dllm,
    "llada_cfg": lambda given: confidence(cfg=given["cfg_scale"]),
    "pc_linear_position": linear_position,
    "prophet": prophet,
    "adablock": adablock,
    "adablock_prefix": adablock,
    "adablock_dual": adablock,
}
N_CASES = {
    "fastdllm_prefix_cache_aug": 44,
    "fastdllm_dual_cache_aug": 44,
    "llada_cfg": 6,
    "pc_linear_position": 18,
    "prophet": 48,
    "adablock": 48,
    "adablock_prefix": 36,
    "adablock_dual": 36,
}


@pytest.fixture(scope="module")
def models():
    return models_of("llada")


def setting_of(name):
    def setting(case):
        given = case["params"]
        method = METHOD_OF[name](given)
        max_steps = given["steps"] if method.takes_k else None
        cache = next((cache for cache in ("prefix", "dual") if f"_{cache}" in name), "none")
        return Setting(
            method=method, max_steps=max_steps, block_length=given.get("block_length"), cache=cache
        )

    return setting


def assert_same_trace(case, outcome, canvases):
    if outcome.evaluated_canvases is not None:  # guided: the second canvas of a forward is without the prompt
        n_prompt = case["prompt_len"]
        assert outcome.evaluated_canvases == len(canvases) == 2 * outcome.nfe
        assert canvases[1::2] == [[MASK] * n_prompt + canvas[n_prompt:] for canvas in canvases[::2]]
        canvases = canvases[::2]
    assert our_canvases(case, outcome, canvases) == published_canvases(case, MASK)
    assert outcome.nfe == case["nfe"]
    if "windows" in case:
        assert outcome.evaluated_positions == sum(end - start for start, end in case["windows"])


@pytest.mark.parametrize("name", METHOD_OF)
def test_some_cases_of_every_file_are_decoded_as_published_alone_and_together(models, name):
    cases = cases_of(name)
    some = [cases[0], *([case for case in cases[1:] if flags_of(case)] or cases)[-1:], cases[len(cases) // 2]]
    found = decoded(models, some, setting_of(name))
    for case in some:
        assert_same_trace(case, *found[case["id"]])
        assert decoded(models, [case], setting_of(name)) == {case["id"]: found[case["id"]]}


def with_ends(models, case):
    """Return the models with the ends of the case: only the first of them is suppressed in the logits."""
    given, ends = case["params"], {case["params"]["eos_id"]}
    if given["confidence_eos_eot_inf"]:
        ends.add(given["eot_id"])
    return {kind: replace(model, eos_ids=frozenset(ends)) for kind, model in models.items()}


def eos_setting(case):
    given = case["params"]
    method = confidence(eos="last" if given["confidence_eos_eot_inf"] else "never")
    return Setting(method=method, max_steps=given["steps"], block_length=given["block_length"])


@pytest.mark.slow
def test_the_published_switches_for_ends_of_text_are_reproduced_one_at_a_time(models):
    """Both at once mean different sets of tokens, which ours cannot tell apart."""
    cases = cases_of("llada_eos_options")
    single = [c for c in cases if c["params"]["logits_eos_inf"] != c["params"]["confidence_eos_eot_inf"]]
    assert (len(cases), len(single)) == (18, 12)
    apart = []
    for case in single:
        found = decoded(with_ends(models, case), [case], eos_setting)
        outcome, canvases = found[case["id"]]
        ours, published = our_canvases(case, outcome, canvases), published_canvases(case, MASK)
        if ours != published:
            assert_parted_at_ends(case, ours, published)
            apart.append(case)
    assert len(apart) == 1


def assert_parted_at_ends(case, ours, published):
    """Ends that come last are worth the same, and the published choice among them has no order."""
    step = next(t for t, (one, other) in enumerate(zip(ours, published, strict=True)) if one != other)
    ends = {case["params"]["eos_id"], case["params"]["eot_id"]}
    pairs = [pair for pair in zip(ours[step], published[step], strict=True) if pair[0] != pair[1]]
    assert pairs
    assert all(set(pair) <= ends | {MASK} for pair in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHOD_OF)
def test_every_case_is_decoded_as_published(models, name):
    """All cases of a file share batches: prompts, lengths, blocks and parameters are mixed."""
    cases = cases_of(name)
    assert len(cases) == N_CASES[name]
    found = decoded(models, cases, setting_of(name))
    for case in cases:
        assert_same_trace(case, *found[case["id"]])
