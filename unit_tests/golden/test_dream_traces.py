"""Decode traces of published Dream code, and of left-padded batches, stored as numbers, against our loop."""

from pathlib import Path

import pytest
import torch

from decoders.rows import Row, Setting
from decoders.unmasking.dream_schedule import DreamSchedule
from decoders.unmasking.factor import Factor
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import confidence
from unit_tests.golden.replay import (
    cases_of,
    commits_of,
    decoded,
    models_by_family,
    models_of,
    our_canvases,
    outcomes,
    published_canvases,
)

torch.set_num_threads(1)

GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden"
TRACES = GOLDEN / "traces"
TOP_K_FILES = {"pb_dream_topk": 54, "dream_official": 72, "dream_official_eps": 36}
TOP_K = {"maskgit_plus": "confidence", "topk_margin": "margin", "entropy": "entropy"}

pytestmark = pytest.mark.skipif(
    not (TRACES / "pb_dream_topk.json").is_file(),
    reason="the golden traces are development data not present here",
)


@pytest.fixture(scope="module")
def models():
    return models_by_family(("dream", "llada"))


def two_of(cases):
    return [cases[0], cases[-1]]


def assert_same_trace(case, outcome):
    start = len(case["final_ids"]) - len(outcome.ids)
    published = [step["commit"] for step in case["steps"]]
    assert case["final_ids"][start:] == list(outcome.ids)
    assert commits_of(outcome, start) == published
    assert outcome.nfe == len(published)


def check(models, family, cases, row_of):
    for kind in ("as_is", "neg_inf"):
        chosen = [case for case in cases if case["mask_logit"] == kind]
        model = models[family, kind]
        found = outcomes(model, [row_of(case, model) for case in chosen])
        for case in chosen:
            yield case, found[case["id"]]


def dream_row(method_of):
    def row(case, model):
        given, method = case["params"], method_of(case)
        setting = Setting(
            method=method,
            max_steps=given["steps"] if method.takes_k else None,
            block_length=given.get("block_length"),
        )
        return Row(
            key=case["id"],
            prompt_ids=tuple(case["prompt"]),
            gen_length=given["gen_length"],
            setting=setting,
        )

    return row


def dream_threshold(models, cases):
    method_of = dream_row(lambda case: Threshold(gamma=case["params"]["threshold"]))
    for case, outcome in check(models, "dream", cases, method_of):
        assert_same_trace(case, outcome)


def test_two_dream_threshold_decodes_are_as_published(models):
    dream_threshold(models, two_of(cases_of("pb_dream_threshold")))


@pytest.mark.slow
def test_every_dream_threshold_decode_is_as_published(models):
    cases = cases_of("pb_dream_threshold")
    assert len(cases) == 36
    dream_threshold(models, cases)


def cached(case):
    given = case["params"]
    method = Threshold(gamma=given["threshold"], entry="first", upstream_exact=True)
    cache = "dual" if given["dual_cache"] else "prefix"
    return Setting(method=method, block_length=given["block_length"], cache=cache)


def test_every_dream_decode_with_a_cache_is_as_published_in_the_same_windows():
    models, cases = models_of("dream"), cases_of("fastdllm_dream_cache")
    assert len(cases) == 48
    found = decoded(models, cases, cached)
    for case in cases:
        outcome, canvases = found[case["id"]]
        assert our_canvases(case, outcome, canvases) == published_canvases(case, models["as_is"].mask_id)
        assert outcome.nfe == case["nfe"]
        assert outcome.evaluated_positions == sum(end - start for start, end in case["windows"])


def dream_factor(models, cases):
    method_of = dream_row(lambda case: Factor(f=case["params"]["factor"], upstream_exact=True))
    for case, outcome in check(models, "dream", cases, method_of):
        assert_same_trace(case, outcome)


def test_two_dream_factor_decodes_are_as_published(models):
    dream_factor(models, two_of(cases_of("pb_dream_factor")))


@pytest.mark.slow
def test_every_dream_factor_decode_is_as_published(models):
    cases = cases_of("pb_dream_factor")
    assert len(cases) == 36
    dream_factor(models, cases)


def scheduled(case):
    """Return the published method of *case*; ParallelBench's own copy of the loop sets eps to 0."""
    given = case["params"]
    return DreamSchedule(score=TOP_K[given["alg"]], eps=given.get("eps", 0.0))


def dream_top_k(models, cases):
    for case, outcome in check(models, "dream", cases, dream_row(scheduled)):
        assert_same_trace(case, outcome)


@pytest.mark.parametrize("name", TOP_K_FILES)
def test_two_dream_top_k_decodes_are_as_published(models, name):
    dream_top_k(models, two_of(cases_of(name)))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "n_cases"), TOP_K_FILES.items())
def test_every_dream_top_k_decode_is_as_published(models, name, n_cases):
    cases = cases_of(name)
    assert len(cases) == n_cases
    dream_top_k(models, cases)


def test_the_published_steps_are_not_even():
    """Cutting to whole numbers moves counts: 2, 1, 2, 2 ... 3 where ours are all 2."""
    for case in cases_of("pb_dream_topk"):
        counts = [len(step["commit"]) for step in case["steps"]]
        assert set(counts) - {sum(counts) // len(counts)}, case["id"]


def batch_rows(case, setting):
    """Return the rows of a padded batch, by their place in it."""
    rows = []
    for place, (ids, valid) in enumerate(zip(case["input_ids"], case["valid"], strict=True)):
        prompt = tuple(token for token, real in zip(ids, valid, strict=True) if real)
        rows.append(
            Row(key=place, prompt_ids=prompt, gen_length=case["params"]["gen_length"], setting=setting)
        )
    return rows


def assert_same_batch(case, found):
    start = len(case["input_ids"][0])
    for place, (final, steps) in enumerate(zip(case["final_ids"], case["steps_per_row"], strict=True)):
        assert list(found[place].ids) == final[start:]
        assert commits_of(found[place], start) == [step["commit"] for step in steps]
        assert found[place].nfe == case["nfe"]


def test_left_padded_batches_of_llada_are_as_published(models):
    for case in cases_of("llada_batch_left_padded"):
        given = case["params"]
        setting = Setting(method=confidence(), max_steps=given["steps"], block_length=given["block_length"])
        assert_same_batch(case, outcomes(models["llada", case["mask_logit"]], batch_rows(case, setting)))


def test_left_padded_batches_of_dream_are_as_published(models):
    for case in cases_of("dream_batch_left_padded"):
        setting = Setting(method=scheduled(case), max_steps=case["params"]["steps"])
        assert_same_batch(case, outcomes(models["dream", case["mask_logit"]], batch_rows(case, setting)))
