"""Decode traces of published block-causal models, stored as numbers, against our loop and our generator."""

import json
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from decoders.batching import sweep
from decoders.models import llada21
from decoders.protocols import ModelRequest
from decoders.state import Decoded, Row, Setting, StepUpdate
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import TopK, confidence, left_to_right

torch.set_num_threads(1)

GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden"
TRACES = GOLDEN / "traces"

pytestmark = pytest.mark.skipif(
    not (TRACES / "llada2_generate.json").is_file(),
    reason="the golden traces are development data not present here",
)


def request(family):
    source = str(GOLDEN / "checkpoints" / family)
    return ModelRequest(name=family, source=source, dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def models():
    """Return our models by family and by how the published code saw the logit of MASK."""
    found = {}
    for family in ("sdar", "llada2"):
        for kind in ("as_is", "neg_inf"):
            model = import_module(f"decoders.models.{family}").load(request(family))
            if kind == "as_is":
                model.suppressed_ids = ()
            found[family, kind] = model
    return found


def cases_of(name):
    return json.loads((TRACES / f"{name}.json").read_text(encoding="utf-8"))["cases"]


def two_of(cases):
    return [cases[0], cases[-1]]


def decode(model, rows):
    found = {outcome.key: outcome for outcome in sweep(model, rows)}
    assert all(isinstance(outcome, Decoded) for outcome in found.values()), found
    return found


def our_commits(outcome, start):
    """Return the (position, token) commits of every forward, positions in the row; fixed ones have none."""
    steps = [[] for _ in range(outcome.nfe)]
    for place, (token, step) in enumerate(zip(outcome.ids, outcome.commit_step, strict=True)):
        if step >= 0:
            steps[step].append([start + place, token])
    return steps


def row_of(case, *, length, setting):
    """Return the row of *case*; its blocks are those of the model, counted from the start of the prompt."""
    prompt = case["prompt"]
    return Row(key=case["id"], prompt_ids=tuple(prompt), gen_length=length - len(prompt), setting=setting)


def assert_same_trace(case, outcome, *, steps=None):
    start = len(case["final_ids"]) - len(outcome.ids)
    published = [step["commit"] for step in case["steps"]] if steps is None else steps
    assert case["final_ids"][start:] == list(outcome.ids)
    assert our_commits(outcome, start) == published
    assert outcome.nfe == len(published)


def check(models, family, cases, row_of):
    for kind in ("as_is", "neg_inf"):
        chosen = [case for case in cases if case["mask_logit"] == kind]
        model = models[family, kind]
        found = decode(model, [row_of(case, model) for case in chosen])
        for case in chosen:
            yield case, found[case["id"]]


def llada2_row(case, model):
    model.block_length = case["params"]["block_length"]
    setting = Setting(method=Threshold(gamma=case["params"]["threshold"]))
    return row_of(case, length=case["params"]["total_length"], setting=setting)


def one_per_step(case):
    """The published schedule asks for one token per step at least, as Threshold does."""
    return case["params"]["steps"] == case["params"]["block_length"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AtLeast(TopK):
    """The published rule: all that are surer than *gamma*, or the step's number if they are fewer."""

    gamma: float
    counts: tuple[int, ...]

    def step(self, view, memory):
        quota = torch.tensor(self.counts)[view.step].unsqueeze(1)
        sure = (view.confidence > self.gamma) & view.eligible
        enough = sure.sum(dim=1, keepdim=True) >= quota
        unmask = torch.where(enough, sure, view.by_confidence < quota)
        return StepUpdate(unmask=unmask, tokens=view.proposals), None


def llada2_scheduled_row(case, model):
    given = case["params"]
    model.block_length = given["block_length"]
    each, more = divmod(given["block_length"], given["steps"])
    counts = tuple(each + (step < more) for step in range(given["steps"]))
    method = AtLeast(score="confidence", gamma=given["threshold"], counts=counts)
    blocks = given["total_length"] // model.block_length - len(case["prompt"]) // model.block_length
    setting = Setting(method=method, max_steps=given["steps"] * blocks)
    return row_of(case, length=given["total_length"], setting=setting)


@pytest.mark.slow
def test_every_llada2_decode_is_as_published_under_the_published_rule(models):
    cases = cases_of("llada2_generate")
    assert len(cases) == 24
    for case, outcome in check(models, "llada2", cases, llada2_scheduled_row):
        assert_same_trace(case, outcome)


def llada2_threshold(models, cases):
    for case, outcome in check(models, "llada2", cases, llada2_row):
        assert_same_trace(case, outcome)


def test_two_llada2_decodes_are_as_published(models):
    llada2_threshold(models, two_of([case for case in cases_of("llada2_generate") if one_per_step(case)]))


@pytest.mark.slow
def test_every_llada2_decode_with_one_token_per_step_at_least_is_as_published(models):
    cases = [case for case in cases_of("llada2_generate") if one_per_step(case)]
    assert len(cases) == 12
    llada2_threshold(models, cases)


def edit(generator, case):
    generator.denoiser.block_length = case["params"]["block_length"]
    setting = Setting(method=SimpleNamespace(name="native", takes_k=False))
    row = Row(
        key=case["id"],
        prompt_ids=tuple(case["prompt"]),
        gen_length=case["params"]["gen_length"],
        setting=setting,
    )
    params = {name: case["params"][name] for name in llada21.DEFAULTS}
    return generator.generate([row], params)[0]


def last_writes(case):
    """Return the forward that wrote each generated position last."""
    written = {}
    for forward, step in enumerate(case["steps"]):
        written |= {position: forward for position, _ in [*step["commit"], *step.get("rewrite", [])]}
    return tuple(written[place] for place in range(len(case["prompt"]), len(case["final_ids"])))


def edits(cases):
    generators = {kind: llada21.load(request("llada2")) for kind in ("as_is", "neg_inf")}
    generators["as_is"].denoiser.suppressed_ids = ()
    for case in cases:
        outcome = edit(generators[case["mask_logit"]], case)
        assert case["prompt"] + list(outcome.ids) == case["final_ids"]
        assert outcome.nfe == case["nfe"]
        assert outcome.commit_step == last_writes(case)


def test_two_edited_decodes_are_as_published():
    edits(two_of(cases_of("llada21_edit_generate")))


@pytest.mark.slow
def test_every_edited_decode_is_as_published():
    cases = cases_of("llada21_edit_generate")
    assert len(cases) == 18
    edits(cases)


def sdar_method(case):
    given = case["params"]
    if given["remasking_strategy"] == "low_confidence_dynamic":
        return Threshold(gamma=given["confidence_threshold"]), None
    method = left_to_right() if given["remasking_strategy"] == "sequential" else confidence()
    return method, given["block_length"] // given["denoising_steps"]


def sdar_row(case, model):
    method, k = sdar_method(case)
    setting = Setting(method=method, k=k)
    return row_of(case, length=len(case["final_ids"]), setting=setting)


def denoising(case):
    """Return the commits of the forwards that denoise; the others fill the cache, which we do without."""
    return [
        step["commit"] for step, kind in zip(case["steps"], case["kinds"], strict=True) if kind == "denoise"
    ]


def sdar(models, cases):
    for case, outcome in check(models, "sdar", cases, sdar_row):
        assert_same_trace(case, outcome, steps=denoising(case))


def test_two_sdar_decodes_are_as_published(models):
    sdar(models, two_of(cases_of("sdar_block_diffusion")))


@pytest.mark.slow
def test_every_sdar_decode_but_those_that_overwrite_the_prompt_is_as_published(models):
    cases = [case for case in cases_of("sdar_block_diffusion") if "flags" not in case]
    assert len(cases) == 28
    sdar(models, cases)
