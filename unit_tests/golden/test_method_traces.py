"""Decode traces of further published methods, stored as numbers, against our loop, methods and loader.

What is compared is the canvas of every forward: it holds the prompt, every commit and every re-mask so far.
"""

import json
from pathlib import Path

import pytest
import torch

from decoders.batching import sweep
from decoders.models.llada import load
from decoders.protocols import ModelRequest
from decoders.state import Decoded, Row, Setting
from decoders.unmasking.dus import DUS
from decoders.unmasking.eb import EB
from decoders.unmasking.pc_sampler import PCSampler
from decoders.unmasking.rcr import RCR
from decoders.unmasking.remdm import ReMDM
from decoders.unmasking.slowfast import SlowFast

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
    return DUS(
        tau=given["confidence_threshold"],
        order=given["scheduler"],
        upstream_exact=DEFERRAL_FAULT in flags,
    )


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


@pytest.fixture(scope="module")
def models():
    """Return our model by how the published code saw the logit of MASK."""
    source = str(GOLDEN / "checkpoints" / "llada")
    request = ModelRequest(name="llada", source=source, dtype="float32", device="cpu")
    plain, suppressed = load(request), load(request)
    plain.suppressed_ids = ()
    assert suppressed.suppressed_ids == (suppressed.mask_id,)
    return {"as_is": plain, "neg_inf": suppressed}


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


def cases_of(name):
    return json.loads((TRACES / f"{name}.json").read_text(encoding="utf-8"))["cases"]


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
    """Decode *cases* in one sweep per model; return {case id: (Decoded or Failed, canvas of every forward)}."""
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
    assert len(found) == len(cases) - 18 * (name == "slowfast")
    for case in whole(cases):
        assert_same_trace(case, *found[case["id"]])
        assert found[case["id"]][0].remasks == n_masked_again(case)
