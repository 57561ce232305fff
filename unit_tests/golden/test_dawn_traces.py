"""Decode traces of DAWN's published code, stored as numbers, against ours."""

import pytest
import torch

from decoders.rows import Setting
from decoders.unmasking.dawn import DAWN
from unit_tests.golden.replay import (
    TRACES,
    Recording,
    cases_of,
    decoded,
    flags_of,
    models_of,
    our_canvases,
    published_canvases,
)

torch.set_num_threads(1)

MASK, N_LAYERS = 310, 2

pytestmark = pytest.mark.skipif(
    not (TRACES / "dawn.json").is_file(), reason="the golden traces are development data not present here"
)


@pytest.fixture(scope="module")
def models():
    return models_of("llada")


def setting(case):
    given = case["params"]
    taus = {name: given[name] for name in ("tau_sink", "tau_edge", "tau_induce", "tau_low") if name in given}
    method = DAWN(layers=N_LAYERS - given["attn_layers_from"], **taus)
    return Setting(method=method, block_length=given["block_length"])


def is_sound(case):
    return not flags_of(case)


def assert_same_trace(models, cases):
    found = decoded(models, cases, setting)
    for case in cases:
        outcome, canvases = found[case["id"]]
        assert our_canvases(case, outcome, canvases) == published_canvases(case, MASK)
        assert outcome.nfe == case["nfe"]


def test_some_decodes_are_as_published(models):
    cases = [case for case in cases_of("dawn") if is_sound(case)]
    assert_same_trace(models, [cases[0], cases[13], cases[-1]])


@pytest.mark.slow
def test_every_decode_that_leaves_the_prompt_alone_is_as_published(models):
    cases = [case for case in cases_of("dawn") if is_sound(case)]
    assert len(cases) == 26
    assert_same_trace(models, cases)


class Overwritten(Recording):
    """A model that reads another first token from the forwards on after which published code wrote it."""

    def __init__(self, inner, steps):
        super().__init__(inner)
        self.first = dict(enumerate(step.get("rewrite", []) for step in steps))
        self.n_forwards = 0

    def with_attention(self, canvas, attend, query, first, contexts, layers=None):
        canvas = canvas.clone()
        written = [pair for forward in range(self.n_forwards) for pair in self.first[forward]]
        assert len(canvas) == 1
        assert {position for position, _ in written} <= {0}
        for _, token in written:
            canvas[0, int((~attend[0]).sum())] = token
        self.n_forwards += 1
        return super().with_attention(canvas, attend, query, first, contexts, layers)


def assert_same_but_for_the_prompt(models, case):
    replayed = {kind: Overwritten(model, case["steps"]) for kind, model in models.items()}
    outcome, _ = decoded(replayed, [case], setting)[case["id"]]
    canvases = replayed[case["mask_logit"]].canvases[case["id"]]
    published = published_canvases(case, MASK)
    assert canvases == published[:-1]
    assert list(outcome.ids) == published[-1][case["prompt_len"] :]
    assert published[-1][: case["prompt_len"]] != case["prompt"]


def test_a_decode_whose_prompt_is_overwritten_is_as_published_on_that_prompt(models):
    """The scan of the published code goes on when no candidate is left; the best of nothing is position 0."""
    assert_same_but_for_the_prompt(models, next(case for case in cases_of("dawn") if flags_of(case)))


@pytest.mark.slow
def test_every_decode_whose_prompt_is_overwritten_is_as_published_on_that_prompt(models):
    cases = [case for case in cases_of("dawn") if flags_of(case)]
    assert len(cases) == 22
    for case in cases:
        assert_same_but_for_the_prompt(models, case)
