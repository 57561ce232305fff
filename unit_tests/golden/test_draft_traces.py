"""Decode traces of FreeDave's published code, stored as numbers, against ours."""

import pytest
import torch

from decoders.loop.batching import sweep
from decoders.rows import Decoded, Row, Setting
from decoders.unmasking.freedave import FreeDave
from unit_tests.golden.replay import TRACES, cases_of, models_of, published_canvases

torch.set_num_threads(1)

MASK = 310

pytestmark = pytest.mark.skipif(
    not (TRACES / "freedave.json").is_file(), reason="the golden traces are development data not present here"
)


@pytest.fixture(scope="module")
def models():
    return models_of("llada")


def setting(case):
    given = case["params"]
    method = FreeDave(
        draft_steps=given["draft_steps"],
        order="left_to_right" if given.get("alg_temp") == -1 else "confidence",
        gamma=given.get("confidence_threshold"),
    )
    cache = "dual" if given.get("dual_cache") else "prefix"
    return Setting(method=method, block_length=given["block_length"], cache=cache)


def is_eager(case):
    return "eager_acceptance_mode" in case["params"]


def our_canvases(case, history):
    """Return the row after every forward."""
    canvas, found = case["prompt"] + [MASK] * case["params"]["max_gen_length"], []
    for step in history:
        found.append(list(canvas))
        for position, token in step.committed:
            canvas[case["prompt_len"] + position] = token
    return [*found, canvas]


def n_masks(case, canvas):
    """Return the masks of the block that holds the first one."""
    start, length = case["prompt_len"], case["params"]["block_length"]
    first = canvas.index(MASK) - start
    block = start + first // length * length
    return canvas[block : block + length].count(MASK)


def assert_same_traces(models, cases):
    for kind, model in models.items():
        chosen = {case["id"]: case for case in cases if case["mask_logit"] == kind}
        rows = [
            Row(
                key=key,
                prompt_ids=tuple(case["prompt"]),
                gen_length=case["params"]["max_gen_length"],
                setting=setting(case),
                history=True,
            )
            for key, case in chosen.items()
        ]
        for outcome in sweep(model, rows):
            assert isinstance(outcome, Decoded), outcome
            case, published = chosen[outcome.key], published_canvases(chosen[outcome.key], MASK)
            assert our_canvases(case, outcome.history) == published
            assert outcome.nfe == outcome.forwards == case["nfe"]
            if "confidence_threshold" not in case["params"]:
                evaluated = zip(case["drafts"], published, strict=False)
                expected = [min(drafts, n_masks(case, canvas) - 1) or 1 for drafts, canvas in evaluated]
                assert outcome.evaluated_canvases == sum(expected)
                assert list(outcome.ids) == case["baseline_final_ids"][case["prompt_len"] :]


def test_some_drafted_decodes_are_as_published(models):
    cases = [case for case in cases_of("freedave") if not is_eager(case)]
    assert_same_traces(models, [cases[0], cases[5], cases[17], cases[-1]])


@pytest.mark.slow
def test_every_drafted_decode_but_the_eager_ones_is_as_published(models):
    """The eager mode looks ahead into later blocks, and departs from one token per step."""
    cases = [case for case in cases_of("freedave") if not is_eager(case)]
    assert (len(cases), len(cases_of("freedave"))) == (36, 40)
    assert_same_traces(models, cases)
