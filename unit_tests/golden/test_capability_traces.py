"""Traces of methods and caches that need more than logits: probabilities, shadow columns, stored keys."""

from pathlib import Path

import pytest
import torch

from decoders.budget import Budget
from decoders.loop.batching import sweep
from decoders.rows import Decoded, Row, Setting
from decoders.unmasking.klass import KLASS
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import confidence
from decoders.unmasking.wino import WINO
from unit_tests.golden.replay import cases_of, models_by_family

torch.set_num_threads(1)

GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden"
TRACES = GOLDEN / "traces"
MASKS = {"llada": 310, "dream": 306}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (TRACES / "klass.json").is_file(),
        reason="the golden traces are development data not present here",
    ),
]


def klass(given, *, upstream_exact=True):
    return KLASS(
        tau=given["conf_threshold"],
        eps=given["kl_threshold"],
        history=given["kl_history_length"],
        choose=given["unmask_strategy"],
        upstream_exact=upstream_exact,
    )


def klass_of_dream(given):
    """In one block and without a schedule the published code for Dream keeps to the rule as it is here."""
    return klass(given, upstream_exact=False)


def wino(given):
    return WINO(tau1=given["threshold"], tau2=given["threshold_back"])


def selection(given):
    return confidence() if given["threshold"] is None else Threshold(gamma=given["threshold"])


FILES = {
    "klass": (klass, "none", 78),
    "klass_dream": (klass_of_dream, "none", 34),
    "wino": (wino, "none", 72),
    "fastdllm_prefix_cache": (selection, "prefix", 36),
    "fastdllm_dual_cache": (selection, "dual", 36),
}
N_EXTRA = 6
"""Cases of each cache file with a forward on a block that the full pass had completed."""


class Recording:
    """A denoiser that keeps the canvases it is called on, under the row's context."""

    def __init__(self, inner):
        self.inner = inner
        self.canvases = {}
        self.mask_id, self.pad_id = inner.mask_id, inner.pad_id
        self.name, self.vocab_size, self.window_margin = inner.name, inner.vocab_size, inner.window_margin
        self.new_cache, self.tokenizer, self.eos_ids = inner.new_cache, inner.tokenizer, inner.eos_ids

    def keep(self, canvas, attend, contexts):
        for tokens, is_real, context in zip(canvas, attend, contexts, strict=True):
            self.canvases.setdefault(context, []).append(tokens[is_real].tolist())

    def __call__(self, canvas, attend, query, contexts):
        self.keep(canvas, attend, contexts)
        return self.inner(canvas, attend, query, contexts)

    def with_shadows(self, canvas, attend, query, blocks, judged, contexts):
        self.keep(canvas, attend, contexts)
        return self.inner.with_shadows(canvas, attend, query, blocks, judged, contexts)

    def with_cache(self, canvas, attend, query, contexts, cache, rows, window):
        self.keep(canvas, attend, contexts)
        return self.inner.with_cache(canvas, attend, query, contexts, cache, rows, window)


@pytest.fixture(scope="module")
def models():
    return models_by_family(("llada", "dream"))


def family_of(name):
    return "dream" if name.endswith("dream") else "llada"


def two_of(cases):
    """One case of each kind of MASK logit, one of them with an extra forward if there is any."""
    return [cases[0], next(case for case in reversed(cases) if case["mask_logit"] == "neg_inf")]


def decoded(models, name, cases, budget=None):
    """Decode *cases* in one sweep per model; return {case id: (Decoded, canvas of every forward)}."""
    method_of, cache, _ = FILES[name]
    found = {}
    for kind in ("as_is", "neg_inf"):
        recording, rows = Recording(models[family_of(name), kind]), []
        for case in cases:
            if case["mask_logit"] != kind:
                continue
            given, method = case["params"], method_of(case["params"])
            scheduled = method.takes_k or name == "klass"
            setting = Setting(
                method=method,
                max_steps=given["steps"] if scheduled else None,
                block_length=given.get("block_length"),
                cache=cache,
            )
            row = Row(
                key=case["id"],
                prompt_ids=tuple(case["prompt"]),
                gen_length=given["gen_length"],
                setting=setting,
                context=case["id"],
            )
            rows.append(row)
        for outcome in sweep(recording, rows, budget=budget):
            assert isinstance(outcome, Decoded), outcome
            found[outcome.key] = (outcome, recording.canvases[outcome.key])
    return found


def useful_steps(case):
    """The steps that changed the canvas: an extra forward on a complete block is not run here."""
    return [t for t, step in enumerate(case["steps"]) if step["commit"]]


def published_canvases(case, mask_id):
    """Return the canvas fed to every useful published forward, and the final one.

    Where the published quota is larger than the masks left, the last step of KLASS overwrites visible tokens
    with others. No rule asks for that, and here a visible token stays.
    """
    canvas = case["prompt"] + [mask_id] * case["params"]["gen_length"]
    canvases = []
    for t in useful_steps(case):
        canvases.append(list(canvas))
        for position, token in case["steps"][t]["commit"]:
            assert canvas[position] == mask_id
            canvas[position] = token
        for position in case["steps"][t].get("remask", []):
            canvas[position] = mask_id
    overwritten = dict(case["steps"][-1].get("rewrite", []))
    final = [overwritten.get(position, token) for position, token in enumerate(canvas)]
    assert final == case["final_ids"]
    return [*canvases, canvas]


def published_evaluations(case):
    """Return the columns evaluated by the useful published forwards."""
    if "windows" not in case:
        return case["nfe"] * len(case["final_ids"])
    return sum(end - start for start, end in (case["windows"][t] for t in useful_steps(case)))


def assert_same_trace(name, case, outcome, canvases):
    assert [*canvases, case["prompt"] + list(outcome.ids)] == published_canvases(case, MASKS[family_of(name)])
    assert outcome.nfe == len(useful_steps(case)) == len(canvases)
    assert outcome.evaluated_positions == published_evaluations(case)
    assert outcome.remasks == sum(len(step.get("remask", [])) for step in case["steps"])
    assert (outcome.nfe < case["nfe"]) == (FILES[name][1] != "none" and "flags" in case)


@pytest.mark.parametrize("name", FILES)
def test_two_cases_of_every_file_are_decoded_as_published_alone_and_together(models, name):
    cases = two_of(cases_of(name))
    found = decoded(models, name, cases)
    for case in cases:
        assert_same_trace(name, case, *found[case["id"]])
    assert decoded(models, name, cases, Budget(tokens=1)) == found


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_every_case_is_decoded_as_published(models, name):
    """All cases of a file share batches: prompts, lengths, blocks and parameters are mixed."""
    cases = cases_of(name)
    assert len(cases) == FILES[name][2]
    found = decoded(models, name, cases)
    for case in cases:
        assert_same_trace(name, case, *found[case["id"]])
    assert sum("rewrite" in step for case in cases for step in case["steps"]) == (4 if name == "klass" else 0)
    shorter = [case for case in cases if found[case["id"]][0].nfe < case["nfe"]]
    assert len(shorter) == (0 if FILES[name][1] == "none" else N_EXTRA)
