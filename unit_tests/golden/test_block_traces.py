"""Decode traces of published block-causal models, stored as numbers, against our loop and our generator."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from decoders.models import llada21
from decoders.protocols import ModelRequest
from decoders.rows import Row, Setting
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import confidence, left_to_right
from unit_tests.golden.replay import cases_of, commits_of, models_by_family, outcomes

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
    return models_by_family(("sdar", "llada2"))


def two_of(cases):
    return [cases[0], cases[-1]]


def row_of(case, *, length, setting):
    """Return the row of *case*; its blocks are those of the model, counted from the start of the prompt."""
    prompt = case["prompt"]
    return Row(key=case["id"], prompt_ids=tuple(prompt), gen_length=length - len(prompt), setting=setting)


def assert_same_trace(case, outcome, *, steps=None):
    start = len(case["final_ids"]) - len(outcome.ids)
    published = [step["commit"] for step in case["steps"]] if steps is None else steps
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


def at_least(block_length, steps):
    """Return what the published schedule asks for at a step: 8 / 3 is 3, 3, and the 2 that are left."""
    return -(-block_length // steps)


def llada2_row(case, model):
    given = case["params"]
    model.block_length = given["block_length"]
    each = at_least(given["block_length"], given["steps"])
    setting = Setting(method=Threshold(gamma=given["threshold"], at_least=each))
    return row_of(case, length=given["total_length"], setting=setting)


def llada2(models, cases):
    for case, outcome in check(models, "llada2", cases, llada2_row):
        assert_same_trace(case, outcome)


def test_two_llada2_decodes_are_as_published(models):
    llada2(models, two_of(cases_of("llada2_generate")))


@pytest.mark.slow
def test_every_llada2_decode_is_as_published(models):
    cases = cases_of("llada2_generate")
    assert len(cases) == 24
    llada2(models, cases)


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
        each = at_least(given["block_length"], given["denoising_steps"])
        return Threshold(gamma=given["confidence_threshold"], at_least=each), None
    method = left_to_right() if given["remasking_strategy"] == "sequential" else confidence()
    return method, given["block_length"] // given["denoising_steps"]


def sdar_row(case, model):
    method, k = sdar_method(case)
    setting = Setting(method=method, k=k)
    return row_of(case, length=len(case["final_ids"]), setting=setting)


def denoising(case):
    """Return the commits of the forwards that denoise; the others fill the cache, which ours do with it."""
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


class Compared:
    """A denoiser whose cached logits are compared with those without a cache, at every forward.

    It keeps the windows of a row, counted from the row's first token, under the row's context, and how many
    rows each forward had.
    """

    def __init__(self, inner):
        self.inner, self.name, self.block_length = inner, inner.name, inner.block_length
        self.mask_id, self.pad_id, self.vocab_size = inner.mask_id, inner.pad_id, inner.vocab_size
        self.window_margin, self.new_cache = inner.window_margin, inner.new_cache
        self.tokenizer, self.eos_ids = inner.tokenizer, inner.eos_ids
        self.windows, self.sizes = {}, []

    def __call__(self, canvas, attend, query, contexts):
        return self.inner(canvas, attend, query, contexts)

    def with_cache(self, canvas, attend, query, contexts, cache, rows, window):
        self.sizes.append(len(canvas))
        for bounds, is_real, context in zip(window, attend, contexts, strict=True):
            padding = int((~is_real).sum())
            self.windows.setdefault(context, []).append([column - padding for column in bounds])
        logits = self.inner.with_cache(canvas, attend, query, contexts, cache, rows, window)
        plain = self.inner(canvas, attend, query, contexts)
        torch.testing.assert_close(logits, plain, atol=1e-4, rtol=0.0)
        return logits


def check_block_cache(models, family, cases, row_of):
    """Yield every case with its decode and its windows; all of them share one batch, whatever their length.

    Rows shorter than the longest get more blocks to the right, which change nothing before them.
    """
    for kind in ("as_is", "neg_inf"):
        chosen = [case for case in cases if case["mask_logit"] == kind]
        longest = max(len(case["final_ids"]) - len(case["prompt"]) for case in chosen)
        plain = [replace(row_of(case, models[family, kind]), gen_length=longest) for case in chosen]
        cached = [replace(row, setting=replace(row.setting, cache="block"), context=row.key) for row in plain]
        model = Compared(models[family, kind])
        expected, found = outcomes(model, plain), outcomes(model, cached)
        assert model.sizes[0] == len(chosen)
        assert len({len(case["prompt"]) for case in chosen}) == 3
        for case in chosen:
            outcome, windows = found[case["id"]], model.windows[case["id"]]
            evaluated = sum(end - start for start, end in windows)
            assert outcome == replace(expected[case["id"]], evaluated_positions=evaluated)
            assert len(windows) == outcome.nfe
            shown = len(case["final_ids"]) - len(case["prompt"])
            steps = outcome.commit_step[:shown]
            yield (
                case,
                replace(outcome, ids=outcome.ids[:shown], commit_step=steps, nfe=max(steps) + 1),
                windows,
            )


def fused(case):
    """Return the published windows of the forwards that denoise, each with the storing ones before it."""
    found, pending = [], None
    for (start, end), kind in zip(case["windows"], case["kinds"], strict=True):
        pending = start if pending is None else pending
        if kind == "denoise":
            found.append([pending, end])
            pending = None
    return found


def test_every_sdar_decode_with_a_block_cache_is_as_published_in_fewer_forwards(models):
    cases = [case for case in cases_of("sdar_block_diffusion") if "flags" not in case]
    n_saved = []
    for case, outcome, windows in check_block_cache(models, "sdar", cases, sdar_row):
        assert_same_trace(case, outcome, steps=denoising(case))
        assert windows[: outcome.nfe] == fused(case)
        n_saved.append(case["nfe"] - outcome.nfe == case["kinds"].count("store"))
    assert n_saved == [True] * 28


def test_every_llada2_decode_with_a_block_cache_is_as_published_on_fewer_columns(models):
    n_decoded = 0
    for case, outcome, windows in check_block_cache(
        models, "llada2", cases_of("llada2_generate"), llada2_row
    ):
        assert_same_trace(case, outcome)
        ours = windows[: outcome.nfe]
        assert [end for _, end in ours] == [end for _, end in case["windows"]]
        block = case["params"]["block_length"]
        assert all(end - start in (block, 2 * block) for start, end in ours[1:])
        n_decoded += 1
    assert n_decoded == 24
