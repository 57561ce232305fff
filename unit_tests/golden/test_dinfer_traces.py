"""Decode traces of dInfer's published decoders, stored as numbers, against our loop and methods."""

import pytest
import torch

from decoders.rows import Setting
from decoders.unmasking.credit import Credit
from decoders.unmasking.hierarchy import Hierarchy
from decoders.unmasking.hierarchy_remask import HierarchyRemask
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

MASKS = {"llada": 310, "tiny": 0}
USELESS = "useless forwards: loop unrolling runs on after the block is complete"
ROUNDED = "float32 rounding decides the order"
END_OF_TEXT = "eos generated: stops after that block"

pytestmark = pytest.mark.skipif(
    not (TRACES / "dinfer_credit.json").is_file(),
    reason="the golden traces are development data not present here",
)


def credit(given):
    return Credit(
        gamma=given["threshold"],
        alpha=given.get("credit_alpha", 0.7),
        boost=given.get("boost_gamma", 0.2),
        beta=given.get("decay_beta", 0.8),
    )


def hierarchy(given):
    """Without bounds: gamma 1, because a softmax over a vocabulary gives less, and low 0."""
    gamma, low = given.get("threshold"), given.get("low_threshold", 0.4)
    return Hierarchy(gamma=1.0 if gamma is None else gamma, low=low or 0.0)


def hierarchy_fast(given):
    """Without a threshold its published code takes the most confident by a schedule."""
    return confidence() if given["threshold"] is None else hierarchy(given)


def hierarchy_remask(given):
    low = given["low_threshold"] or 0.0
    return HierarchyRemask(gamma=given["threshold"], low=low, back=given["remask_threshold"])


METHOD_OF = {
    "dinfer_credit": credit,
    "dinfer_threshold": lambda given: Threshold(gamma=given["threshold"], rule="dinfer"),
    "dinfer_hierarchy": hierarchy,
    "dinfer_hierarchy_fast": hierarchy_fast,
    "dinfer_hierarchy_remask": hierarchy_remask,
    "tiny_dinfer_credit": credit,
    "tiny_dinfer_hierarchy": hierarchy,
}
COUNTS = {
    "dinfer_credit": (60, 6, 6),
    "dinfer_threshold": (48, 12, 8),
    "dinfer_hierarchy": (54, 6, 6),
    "dinfer_hierarchy_fast": (42, 0, 0),
    "dinfer_hierarchy_remask": (36, 0, 0),
    "tiny_dinfer_credit": (40, 21, 5),
    "tiny_dinfer_hierarchy": (40, 26, 4),
}
"""File: cases, those that an end of text stops before the last block, those with useless forwards."""

N_ROUNDED = {"tiny_dinfer_hierarchy": 3}
"""File: cases in which the published code follows the rounding of float32 probabilities near 1, ours not."""


@pytest.fixture(scope="module")
def models():
    return {family: models_of(family) for family in MASKS}


def family_of(name):
    return "tiny" if name.startswith("tiny") else "llada"


def on_grid(case):
    """Blocks that begin with the prompt: those of a model that was trained so."""
    return case["params"]["block_length"] if case["params"].get("start_block_align") else None


def decode(models, name, cases):
    def setting_of(case):
        length = None if on_grid(case) else case["params"]["block_length"]
        method = METHOD_OF[name](case["params"])
        max_steps = case["params"]["steps"] if method.takes_k else None
        return Setting(method=method, block_length=length, max_steps=max_steps)

    return decoded(models[family_of(name)], cases, setting_of, grid_of=on_grid)


def block_end(case, position):
    """Return the end of the block of *position*."""
    start, length = (0 if on_grid(case) else case["prompt_len"]), case["params"]["block_length"]
    return start + ((position - start) // length + 1) * length


def stops_at(name, case):
    """Return the end of the block after which an end of text stopped the published code, None if none did."""
    last = [step["commit"] for step in case["steps"] if step["commit"]][-1]
    end = block_end(case, last[0][0])
    eos = case["params"].get("eos_id", 1 if family_of(name) == "tiny" else None)
    stops = end < len(case["final_ids"]) and eos in case["final_ids"][case["prompt_len"] : end]
    assert stops or END_OF_TEXT not in flags_of(case)
    return end if stops else None


def useful_canvases(name, case):
    """Return the published canvases without those of forwards on a complete block.

    Where an end of text stopped the published code, the last one is that of the block it stopped in: what it
    fills up with end of text after the block, or leaves masked, is no part of its rule, and ours goes on.
    """
    mask = MASKS[family_of(name)]
    *canvases, final = published_canvases(case, mask)
    useful = [canvas for canvas, step in zip(canvases, case["steps"], strict=True) if step["commit"]]
    assert (len(useful) < case["nfe"]) == (USELESS in flags_of(case))
    end = stops_at(name, case)
    return [*useful, final if end is None else final[:end] + [mask] * (len(final) - end)]


def is_as_published(name, case, outcome, canvases):
    published, ours = useful_canvases(name, case), our_canvases(case, outcome, canvases)
    if stops_at(name, case) is not None:
        return ours[: len(published)] == published
    return ours == published and outcome.nfe == case["nfe"] - sum(
        not step["commit"] for step in case["steps"]
    )


@pytest.mark.parametrize("name", METHOD_OF)
def test_some_cases_of_every_file_are_decoded_as_published_alone_and_together(models, name):
    cases = [case for case in cases_of(name) if not flags_of(case)]
    some = [*cases[:1], *cases[-1:], *[case for case in cases if on_grid(case)][:1]]
    found = decode(models, name, some)
    for case in some:
        assert is_as_published(name, case, *found[case["id"]])
        assert decode(models, name, [case]) == {case["id"]: found[case["id"]]}


@pytest.mark.slow
@pytest.mark.parametrize("name", METHOD_OF)
def test_every_case_is_decoded_as_published(models, name):
    """All cases of a file share batches: prompts, lengths, blocks and parameters are mixed."""
    cases = cases_of(name)
    n_stopped = sum(stops_at(name, case) is not None for case in cases)
    n_useless = sum(USELESS in flags_of(case) for case in cases)
    assert (len(cases), n_stopped, n_useless) == COUNTS[name]
    found = decode(models, name, cases)
    apart = [case for case in cases if not is_as_published(name, case, *found[case["id"]])]
    assert len(apart) == N_ROUNDED.get(name, 0)
    assert all(any(flag.startswith(ROUNDED) for flag in flags_of(case)) for case in apart)
