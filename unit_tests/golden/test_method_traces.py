"""Decode traces of further published methods, stored as numbers, against our loop, methods and loader.

What is compared is the canvas of every forward: it holds the prompt, every commit and every re-mask so far.
"""

from pathlib import Path

import pytest
import torch

from decoders.loop.batching import sweep
from decoders.rows import Decoded, Row, Setting
from decoders.text.frequencies import read_counts
from decoders.unmasking.dus import DUS
from decoders.unmasking.eb import EB
from decoders.unmasking.pc_sampler import PCSampler
from decoders.unmasking.rcr import RCR
from decoders.unmasking.remdm import ReMDM
from decoders.unmasking.slowfast import SlowFast
from unit_tests.golden.replay import cases_of, models_of

torch.set_num_threads(1)

GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden"
TRACES = GOLDEN / "traces"
DEFERRAL_FAULT = "deferral fault: leftover masks"
TRUNCATION = "suffix truncation active"
IDLE_STEPS = "useless slow-phase forwards"

pytestmark = pytest.mark.skipif(
    not (TRACES / "dus.json").is_file(), reason="the golden traces are development data not present here"
)


def dus(given, flags):
    tau, order = given["confidence_threshold"], given["scheduler"]
    return DUS(tau=tau, order=order, upstream_exact=DEFERRAL_FAULT in flags)


def slowfast(given, flags):
    return SlowFast(
        tau=given["high_confidence_threshold"],
        length_tau=given["cycle_len_confidence_threshold"],
        explore_steps=given["k_exploration_steps"],
        upstream_exact=IDLE_STEPS in flags,
    )


def pc_sampler(given, flags):
    table = str(TRACES / "token_frequency.json")
    return PCSampler(table=table, decay=given["lambd"], alpha=given["alpha"])


def remdm(given, flags):
    return ReMDM(kappa=given["remdm_number"], revisions=given["remdm_steps"])


METHOD_OF = {
    "dus": dus,
    "slowfast": slowfast,
    "eb_bits_blocks": lambda given, flags: EB(gamma=given["gamma"], unit="bits"),
    "eb_nats": lambda given, flags: EB(gamma=given["gamma"]),
    "pc_sampler": pc_sampler,
    "rcr": lambda given, flags: RCR(upstream_exact=True),
    "remdm": remdm,
}
N_CASES = {
    "dus": 60,
    "slowfast": 30,
    "eb_bits_blocks": 48,
    "eb_nats": 48,
    "pc_sampler": 54,
    "rcr": 24,
    "remdm": 30,
}

N_NOT_WHOLE = {"slowfast": 18}
N_TIED = {"pc_sampler": 6}


@pytest.fixture(scope="module")
def models():
    return models_of("llada")


class Recording:
    """A denoiser that keeps the canvases it is called on, under the row's context."""

    def __init__(self, inner):
        self.inner = inner
        self.canvases = {}

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def __call__(self, canvas, attend, query, contexts):
        for tokens, is_real, context in zip(canvas, attend, contexts, strict=True):
            self.canvases.setdefault(context, []).append(tokens[is_real].tolist())
        return self.inner(canvas, attend, query, contexts)


def flags_of(case):
    return case.get("flags", [])


def whole(cases):
    """The cases whose published run has no truncated forward, which only an approximate cache reproduces."""
    return [case for case in cases if TRUNCATION not in flags_of(case)]


def two_of(cases):
    """One case of each kind of MASK logit, the later one with a published oddity if there is any."""
    as_is = [case for case in cases if case["mask_logit"] == "as_is"]
    suppressed = [case for case in cases if case["mask_logit"] == "neg_inf"]
    flagged = [case for case in suppressed if flags_of(case)]
    return [as_is[0], (flagged or suppressed)[-1]]


def decoded(models, cases, method_of):
    """Decode *cases* in one sweep per model; return {case id: (Decoded, canvas of every forward)}."""
    found = {}
    for kind, model in models.items():
        recording = Recording(model)
        rows = []
        for case in cases:
            if case["mask_logit"] != kind:
                continue
            given, method = case["params"], method_of(case["params"], flags_of(case))
            setting = Setting(
                method=method,
                max_steps=given["steps"] if method.takes_k else None,
                block_length=given.get("block_length"),
            )
            rows.append(
                Row(
                    key=case["id"],
                    prompt_ids=tuple(case["prompt"]),
                    gen_length=given["gen_length"],
                    setting=setting,
                    context=case["id"],
                )
            )
        for outcome in sweep(recording, rows):
            assert isinstance(outcome, Decoded), outcome
            found[outcome.key] = (outcome, recording.canvases[outcome.key])
    return found


def published_canvases(case, mask_id=310):
    """Return the canvas fed to every published forward, and the final row."""
    canvas = case["prompt"] + [mask_id] * case["params"]["gen_length"]
    canvases = []
    for step in case["steps"]:
        for position in step.get("remask_before", []):
            assert canvas[position] != mask_id
            canvas[position] = mask_id
        canvases.append(list(canvas))
        for position, token in step["commit"]:
            assert canvas[position] == mask_id
            canvas[position] = token
        for position in step.get("remask", []):
            canvas[position] = mask_id
    assert canvas == case["final_ids"]
    return canvases


def assert_same_trace(case, outcome, canvases):
    assert case["prompt"] + list(outcome.ids) == case["final_ids"]
    assert canvases == published_canvases(case)
    assert outcome.nfe == case["nfe"] == len(canvases)


def n_masked_again(case):
    return sum(len(step.get("remask", step.get("remask_before", []))) for step in case["steps"])


@pytest.mark.parametrize("name", METHOD_OF)
def test_two_cases_of_every_file_are_decoded_as_published(models, name):
    cases = two_of(whole(cases_of(name)))
    assert {case["mask_logit"] for case in cases} == {"as_is", "neg_inf"}
    found = decoded(models, cases, METHOD_OF[name])
    for case in cases:
        assert_same_trace(case, *found[case["id"]])
        assert found[case["id"]][0].remasks == n_masked_again(case)
        assert decoded(models, [case], METHOD_OF[name]) == {case["id"]: found[case["id"]]}


@pytest.mark.slow
@pytest.mark.parametrize("name", METHOD_OF)
def test_every_case_is_decoded_as_published(models, name):
    """All cases of a file share batches: prompts, lengths, blocks and parameters are mixed."""
    cases = cases_of(name)
    assert len(cases) == N_CASES[name]
    found = decoded(models, whole(cases), METHOD_OF[name])
    assert len(found) == len(cases) - N_NOT_WHOLE.get(name, 0)
    tied = []
    for case in whole(cases):
        outcome, canvases = found[case["id"]]
        if name == "pc_sampler" and canvases != published_canvases(case):
            assert_parted_at_a_tie(models, case, canvases)
            tied.append(case)
        else:
            assert_same_trace(case, outcome, canvases)
            assert outcome.remasks == n_masked_again(case)
    assert len(tied) == N_TIED.get(name, 0)


def assert_parted_at_a_tie(models, case, canvases):
    """Without decay all that reaches alpha is worth the same, and published ties have no order."""
    given, published = case["params"], published_canvases(case)
    assert given["lambd"] == 0.0
    parted = next(
        t for t, (ours, theirs) in enumerate(zip(canvases, published, strict=True)) if ours != theirs
    )
    before = torch.tensor([published[parted - 1]])
    position = [i for i, (a, b) in enumerate(zip(canvases[parted], published[parted], strict=True)) if a != b]
    query = torch.tensor([[0, i] for i in position])
    logits = models[case["mask_logit"]](before, torch.ones_like(before).bool(), query, [None])
    best = logits.softmax(dim=1).max(dim=1)
    counts = read_counts(TRACES / "token_frequency.json")
    frequency = torch.tensor([counts.counts.get(token, 1) / counts.total for token in best.indices.tolist()])
    assert (-best.values * (frequency + 1e-9).log() >= given["alpha"]).all()


def assert_same_until_a_truncated_forward(case, canvases):
    width = case["prompt_len"] + case["params"]["gen_length"]
    truncated = next(t for t, (_, end) in enumerate(case["windows"]) if end < width)
    assert truncated > 0
    assert canvases[: truncated + 1] == published_canvases(case)[: truncated + 1]


def truncated_slowfast():
    return [case for case in cases_of("slowfast") if TRUNCATION in flags_of(case)]


def test_slowfast_agrees_up_to_the_first_forward_that_an_approximate_cache_truncates(models):
    cases = two_of(truncated_slowfast())
    found = decoded(models, cases, slowfast)
    for case in cases:
        assert_same_until_a_truncated_forward(case, found[case["id"]][1])


@pytest.mark.slow
def test_slowfast_agrees_up_to_the_first_truncated_forward_in_every_case(models):
    cases = truncated_slowfast()
    assert len(cases) == N_NOT_WHOLE["slowfast"]
    found = decoded(models, cases, slowfast)
    for case in cases:
        assert_same_until_a_truncated_forward(case, found[case["id"]][1])


@pytest.mark.slow
def test_slow_steps_on_a_complete_block_are_left_out_by_default(models):
    """The same canvases in the same order, without the forwards whose block had no mask left."""
    cases = [case for case in whole(cases_of("slowfast")) if IDLE_STEPS in flags_of(case)]
    found = decoded(models, cases, lambda given, flags: slowfast(given, []))
    for case in cases:
        both = zip(published_canvases(case), case["steps"], strict=True)
        useful = [canvas for canvas, step in both if step["commit"]]
        assert found[case["id"]][1] == useful
        assert len(useful) < case["nfe"]


@pytest.mark.slow
def test_deferred_positions_are_filled_by_default(models):
    """As many forwards as published, and the same canvas until the first deferred position comes back."""
    cases = [case for case in cases_of("dus") if DEFERRAL_FAULT in flags_of(case)]
    assert len(cases) == 14
    found = decoded(models, cases, lambda given, flags: dus(given, []))
    for case in cases:
        outcome, canvases = found[case["id"]]
        assert case["leftover_masks"]
        assert 310 not in outcome.ids
        assert outcome.nfe == case["nfe"]
        assert canvases[:2] == published_canvases(case)[:2]


@pytest.mark.slow
def test_the_schedule_of_rcr_differs_from_the_published_one_only_where_that_slips(models):
    cases = cases_of("rcr")
    found = decoded(models, cases, lambda given, flags: RCR())
    same = {case["id"] for case in cases if found[case["id"]][1] == published_canvases(case)}
    assert same == {case["id"] for case in cases if case["params"]["steps"] != 12}
