"""Decode traces of published LLaDA decoding code, stored as numbers, against our loop and our loader."""

from pathlib import Path

import pytest
import torch

from decoders.loop.batching import sweep
from decoders.rows import Decoded, Row, Setting
from decoders.unmasking.factor import Factor
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import confidence, entropy, margin
from unit_tests.golden.replay import cases_of, models_of

torch.set_num_threads(1)

GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden"
TRACES = GOLDEN / "traces"

pytestmark = pytest.mark.skipif(
    not (TRACES / "llada_low_confidence.json").is_file(),
    reason="the golden traces are development data not present here",
)


def published_top_k(method):
    """The published loops of LLaDA run steps whose quota is 0; only cases with that flag have any."""
    return lambda case: method(upstream_exact="flags" in case)


METHOD_OF = {
    "llada_low_confidence": published_top_k(confidence),
    "topk_margin": published_top_k(margin),
    "topk_entropy": published_top_k(entropy),
    "fastdllm_topk": published_top_k(confidence),
    "fastdllm_threshold": lambda case: Threshold(gamma=case["params"]["threshold"]),
    "fastdllm_factor": lambda case: Factor(f=case["params"]["factor"], upstream_exact=True),
}
N_CASES = {
    "llada_low_confidence": 48,
    "topk_margin": 18,
    "topk_entropy": 18,
    "fastdllm_topk": 18,
    "fastdllm_threshold": 54,
    "fastdllm_factor": 48,
}


@pytest.fixture(scope="module")
def models():
    return models_of("llada")


def two_of(cases):
    """One case of each kind of MASK logit, the later one with a published oddity if there is any."""
    flagged = [case for case in cases if "flags" in case and case["mask_logit"] == "neg_inf"]
    suppressed = [case for case in cases if case["mask_logit"] == "neg_inf"]
    return [cases[0], (flagged or suppressed)[-1]]


def decoded(models, cases, method_of):
    """Decode *cases* in one sweep per model; return {case id: Decoded}."""
    found = {}
    for kind, model in models.items():
        rows = []
        for case in cases:
            if case["mask_logit"] != kind:
                continue
            given, method = case["params"], method_of(case)
            setting = Setting(
                method=method,
                max_steps=given["steps"] if method.takes_k else None,
                block_length=given["block_length"],
            )
            rows.append(
                Row(
                    key=case["id"],
                    prompt_ids=tuple(case["prompt"]),
                    gen_length=given["gen_length"],
                    setting=setting,
                )
            )
        found |= {outcome.key: outcome for outcome in sweep(model, rows)}
    assert all(isinstance(outcome, Decoded) for outcome in found.values()), found
    return found


def commits(case):
    """Return the published (position, token) commits of every forward, positions in the generated region."""
    start = len(case["prompt"])
    return [sorted((position - start, token) for position, token in step["commit"]) for step in case["steps"]]


def our_commits(outcome):
    steps = [[] for _ in range(outcome.nfe)]
    for position, (token, step) in enumerate(zip(outcome.ids, outcome.commit_step, strict=True)):
        steps[step].append((position, token))
    return steps


def assert_same_trace(case, outcome):
    assert case["prompt"] + list(outcome.ids) == case["final_ids"]
    assert our_commits(outcome) == commits(case)
    assert outcome.nfe == case["nfe"] == len(case["steps"])


@pytest.mark.parametrize("name", METHOD_OF)
def test_two_cases_of_every_file_are_decoded_as_published(models, name):
    cases = two_of(cases_of(name))
    assert {case["mask_logit"] for case in cases} == {"as_is", "neg_inf"}
    found = decoded(models, cases, METHOD_OF[name])
    for case in cases:
        assert_same_trace(case, found[case["id"]])
        assert decoded(models, [case], METHOD_OF[name]) == {case["id"]: found[case["id"]]}


@pytest.mark.slow
@pytest.mark.parametrize("name", METHOD_OF)
def test_every_case_is_decoded_as_published(models, name):
    """All cases of a file share batches: prompts, lengths, blocks and parameters are mixed."""
    cases = cases_of(name)
    assert len(cases) == N_CASES[name]
    found = decoded(models, cases, METHOD_OF[name])
    for case in cases:
        assert_same_trace(case, found[case["id"]])


def assert_same_until_the_fault(cases, found):
    for case in cases:
        first_fault = case["off_by_one_steps"][0]
        ours, published = our_commits(found[case["id"]]), commits(case)
        assert ours[:first_fault] == published[:first_fault]
        assert len(ours[first_fault]) == len(published[first_fault]) - 1, "the failing rank is left out"
        assert set(ours[first_fault]) < set(published[first_fault])


def test_factor_without_the_published_fault_agrees_up_to_its_first_occurrence(models):
    cases = two_of(cases_of("fastdllm_factor"))
    assert_same_until_the_fault(
        cases, decoded(models, cases, lambda case: Factor(f=case["params"]["factor"]))
    )


@pytest.mark.slow
def test_factor_without_the_published_fault_agrees_up_to_its_first_occurrence_in_every_case(models):
    cases = cases_of("fastdllm_factor")
    assert_same_until_the_fault(
        cases, decoded(models, cases, lambda case: Factor(f=case["params"]["factor"]))
    )


@pytest.mark.slow
def test_empty_published_steps_are_left_out_by_default(models):
    """The same tokens in the same order, in as many forwards as commit something."""
    cases = [case for case in cases_of("llada_low_confidence") if "flags" in case]
    found = decoded(models, cases, lambda case: confidence())
    assert len(cases) == 6
    for case in cases:
        useful = [step for step in commits(case) if step]
        assert our_commits(found[case["id"]]) == useful
        assert len(useful) < case["nfe"]


@pytest.mark.slow
def test_the_top_k_rules_of_klass_are_reproduced_but_for_the_sign_of_its_entropy(models):
    """Its code unmasks the least certain positions first where entropy is asked for."""
    rules = {"default": confidence, "topk_margin": margin, "entropy": entropy}
    cases = cases_of("klass_repo_topk")
    found = decoded(models, cases, lambda case: rules[case["params"]["alg"]]())
    assert len(cases) == 36
    for case in cases:
        if case["params"]["alg"] == "entropy":
            assert case["flags"] == ["entropy sign fault"]
            assert our_commits(found[case["id"]]) != commits(case)
        else:
            assert_same_trace(case, found[case["id"]])
