"""The built-in methods: numeric checks by hand, limits, tolerance, and the public conformance kit."""

from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decoders.loop.batching import decode, sweep
from decoders.rows import Row, Setting
from decoders.testing import HashDenoiser, check_method
from decoders.unmasking import top_k
from decoders.unmasking.factor import Factor
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import TopK

SCORES = ("random", "left_to_right", "confidence", "margin", "entropy")

BUILT_IN = {
    **{score: TopK(score=score) for score in SCORES},
    "upstream_confidence": TopK(score="confidence", upstream_exact=True),
    "threshold": Threshold(gamma=0.9),
    "threshold_few": Threshold(gamma=0.9, at_least=3),
    "threshold_entry": Threshold(gamma=0.9, entry="first"),
    "threshold_dinfer": Threshold(gamma=0.9, rule="dinfer"),
    "threshold_margin": Threshold(gamma=0.2, confidence="margin"),
    "threshold_entropy": Threshold(gamma=-0.5, confidence="entropy"),
    "threshold_random": Threshold(gamma=0.5, confidence="random"),
    "factor": Factor(f=1.0),
    "upstream_factor": Factor(f=1.9, upstream_exact=True),
}


@pytest.mark.parametrize("method", BUILT_IN.values(), ids=BUILT_IN)
def test_every_built_in_obeys_the_rules(method):
    check_method(method)


@pytest.mark.parametrize("method", BUILT_IN.values(), ids=BUILT_IN)
def test_every_default_sweep_can_be_built(method):
    assert all(
        type(method)(**({"score": "random"} | params if isinstance(method, TopK) else params))
        for params in method.sweep
    )


def unmasked(method, view):
    """Return the positions that *method* commits in the first row."""
    update, memory = method.step(view, method.init(view))
    assert memory is None
    assert torch.equal(update.tokens, view.proposals)
    return update.unmask[0].nonzero().flatten().tolist()


FACTOR_CASES = {
    "last rank fails": ([0.99, 0.95, 0.5], 1.0, [0, 1], [0, 1, 2]),
    "last of four fails": ([0.9, 0.9, 0.9, 0.1], 1.0, [0, 1, 2], [0, 1, 2, 3]),
    "sorted first": ([0.9, 0.5, 0.9, 0.9], 1.0, [0, 2, 3], [0, 1, 2, 3]),
    "fails before the last": ([0.9, 0.5, 0.4], 1.0, [0], [0]),
    "best is free": ([0.1, 0.05], 0.7, [0], [0, 1]),
    "one left": ([0.01], 0.7, [0], [0]),
    "holes do not count": ([None, 0.99, None, 0.95, 0.5], 1.0, [1, 3], [1, 3, 4]),
    "prefix, not largest n": ([0.99, 0.60, 0.60], 1.3, [0, 1], [0, 1, 2]),
    "all pass": ([0.99, 0.98, 0.97], 1.0, [0, 1, 2], [0, 1, 2]),
}


@pytest.mark.parametrize(("row", "f", "ours", "published"), FACTOR_CASES.values(), ids=FACTOR_CASES)
def test_factor_commits_the_ranks_before_the_first_failure(make_view, row, f, ours, published):
    """Thresholds by hand: 1 - f / (j + 1); the published code differs where only the last rank fails."""
    view = make_view([row])
    assert unmasked(Factor(f=f), view) == ours
    assert unmasked(Factor(f=f, upstream_exact=True), view) == published


@pytest.mark.parametrize(
    ("f", "needed"),
    [(0.7, (0.767, 0.860, 0.922)), (1.0, (0.667, 0.800, 0.889)), (1.9, (0.367, 0.620, 0.789))],
)
def test_factor_needs_the_published_confidence_at_ranks_2_4_and_8(make_view, f, needed):
    for rank, value in zip((2, 4, 8), needed, strict=True):
        above, below = ([1.0] * (rank - 1) + [value + sign * 1e-3] for sign in (1, -1))
        assert len(unmasked(Factor(f=f), make_view([above]))) == rank
        assert len(unmasked(Factor(f=f), make_view([below]))) == rank - 1


def test_rows_of_factor_do_not_share_their_failures(make_view):
    view = make_view([[0.99, 0.95, 0.5], [0.99, 0.98, 0.97], [0.2, 0.1, None]])
    update, _ = Factor(f=1.0).step(view, None)
    assert update.unmask.sum(dim=1).tolist() == [2, 3, 1]


def test_threshold_commits_the_best_when_none_is_sure_enough(make_view):
    assert unmasked(Threshold(gamma=0.9), make_view([[0.4, 0.3]])) == [0]
    assert unmasked(Threshold(gamma=0.9), make_view([[0.3, None, 0.4, 0.4]])) == [2]


@pytest.mark.parametrize("best", [0.3, 0.8, 1.0 - 1e-9])
def test_in_dinfer_what_is_within_a_hundred_thousandth_of_the_best_is_as_good(make_view, best):
    """The cut is min(gamma, best - 1e-5); near 1 too, where the odds of the two are far apart."""
    row = [best - 0.9e-5, 0.2, best, best - 1.1e-5]
    assert unmasked(Threshold(gamma=1.0, rule="dinfer"), make_view([row])) == [0, 2]
    assert unmasked(Threshold(gamma=1.0), make_view([row])) == [2]


def test_in_dinfer_the_margin_below_the_best_holds_above_gamma_as_well(make_view):
    """The best lies above 0.9 by less than the margin, so the other one, below 0.9, is committed with it."""
    row = [0.9 + 0.4e-5, 0.9 - 0.5e-5, 0.9 - 0.7e-5]
    assert unmasked(Threshold(gamma=0.9, rule="dinfer"), make_view([row])) == [0, 1]
    assert unmasked(Threshold(gamma=0.9), make_view([row])) == [0]


def test_the_first_step_of_a_block_may_commit_its_first_mask_alone(make_view):
    view = make_view([[None, 0.6, 0.95], [0.99, None, 0.95]])
    for step, expected in ((0, [[1], [0]]), (1, [[2], [0, 2]])):
        now = replace(view, step=torch.full((2,), step))
        update, _ = Threshold(gamma=0.9, entry="first").step(now, None)
        assert [row.nonzero().flatten().tolist() for row in update.unmask] == expected


def test_threshold_commits_everything_that_reaches_gamma(make_view):
    assert unmasked(Threshold(gamma=0.5), make_view([[0.5, 0.49, None, 0.9]])) == [0, 3]


def test_threshold_commits_the_best_few_when_fewer_are_sure_enough(make_view):
    """As published by LLaDA2.0 and SDAR: all above gamma if they are enough, otherwise the surest few."""
    row = [[0.3, 0.95, None, 0.4, 0.8]]
    assert unmasked(Threshold(gamma=0.9, at_least=1), make_view(row)) == [1]
    assert unmasked(Threshold(gamma=0.9, at_least=2), make_view(row)) == [1, 4]
    assert unmasked(Threshold(gamma=0.3, at_least=2), make_view(row)) == [0, 1, 3, 4]
    assert unmasked(Threshold(gamma=0.99, at_least=3), make_view(row)) == [1, 3, 4]
    assert unmasked(Threshold(gamma=0.99, at_least=9), make_view(row)) == [0, 1, 3, 4]
    margins = {"margin": [[0.4, 0.1, 0.9, 0.3, 0.2]]}
    assert unmasked(Threshold(gamma=1.0, confidence="margin", at_least=2), make_view(row, **margins)) == [
        0,
        3,
    ]


@given(data=st.data(), n=st.integers(1, 8))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_threshold_commits_what_reaches_gamma_or_a_number(make_view, data, n):
    value = st.none() | st.sampled_from([0.1, 0.5, 0.6, 0.9])
    row = data.draw(st.lists(value, min_size=6, max_size=6))
    n_sure = sum(v is not None and v >= 0.5 for v in row)
    found = unmasked(Threshold(gamma=0.5, at_least=n), make_view([row]))
    assert len(found) == min(max(n, n_sure), sum(v is not None for v in row))
    assert [row[at] for at in found if row[at] < 0.5] == [] or n_sure < n


TOLERANCE_CASES = {
    "threshold": (Threshold(gamma=0.9), [0.95], 0.9),
    "threshold close to 1": (Threshold(gamma=1.0 - 1e-9), [1.0], 1.0 - 1e-9),
    "factor": (Factor(f=1.0), [0.95], 2 / 3),
    "factor close to 1": (Factor(f=3e-9), [1.0], 1.0 - 1e-9),
}


@pytest.mark.parametrize(("method", "sure", "limit"), TOLERANCE_CASES.values(), ids=TOLERANCE_CASES)
def test_a_probability_may_fall_short_by_a_hundred_thousandth_of_its_odds(make_view, method, sure, limit):
    odds = limit / (1.0 - limit)
    for share, n_committed in ((1.0 - 0.8e-5, 2), (1.0 - 1.2e-5, 1)):
        probability = odds * share / (1.0 + odds * share)
        assert len(unmasked(method, make_view([[*sure, probability]]))) == n_committed


@pytest.mark.parametrize("confidence", ["confidence", "margin"])
def test_at_1_only_what_is_certain_passes(make_view, confidence):
    values = [[0.3, 1.0, 1.0 - 1e-15, 1.0]]
    method = Threshold(gamma=1.0, confidence=confidence)
    assert unmasked(method, make_view(values, margin=values)) == [1, 3]
    almost = [[0.3, 1.0 - 1e-12, 1.0 - 1e-15]]
    assert unmasked(method, make_view(almost, margin=almost)) == [2]


def test_published_precision_takes_what_float32_rounds_to_1_for_certain(make_view):
    view = make_view([[0.3, 1.0 - 1e-8, 1.0 - 1e-6, 1.0]])
    assert unmasked(Threshold(gamma=1.0, upstream_exact=True), view) == [1, 3]
    assert unmasked(Threshold(gamma=1.0), view) == [3]


def test_a_random_threshold_draws_anew_at_every_step():
    """In one order for all steps what once fell short would come out one by one."""
    rows = [
        Row(
            key=0,
            prompt_ids=(3,),
            gen_length=24,
            setting=Setting(method=Threshold(gamma=0.5, confidence="random")),
        )
    ]
    (outcome,) = sweep(HashDenoiser(), rows)
    assert outcome.nfe < 12


def test_random_top_k_follows_one_order_for_every_k():
    """The positions of the first n forwards at k=2 are those of the first 2 n forwards at k=1."""
    steps = {}
    for k in (1, 2, 3):
        row = Row(
            key=0, prompt_ids=(3,), gen_length=12, sample_id="a", setting=Setting(method=top_k.random(), k=k)
        )
        (outcome,) = sweep(HashDenoiser(), [row])
        steps[k] = outcome.commit_step
    order = sorted(range(12), key=lambda position: steps[1][position])
    for k in (2, 3):
        assert [steps[k][position] for position in order] == [turn // k for turn in range(12)]
    other = Row(
        key=0, prompt_ids=(3,), gen_length=12, sample_id="b", setting=Setting(method=top_k.random(), k=1)
    )
    assert sweep(HashDenoiser(), [other]).__next__().commit_step != steps[1]


SCORE_CASES = {
    "margin": (Threshold(gamma=0.5, confidence="margin"), {"margin": [[0.2, 0.5, 0.7]]}, [1, 2]),
    "entropy": (Threshold(gamma=-0.1, confidence="entropy"), {"neg_entropy": [[-0.3, -0.1, -0.05]]}, [1, 2]),
    "random": (Threshold(gamma=0.5, confidence="random"), {"draws": [[0.6, 0.4, 0.9]]}, [0, 2]),
    "best by margin": (Threshold(gamma=1.0, confidence="margin"), {"margin": [[0.2, 0.5, 0.4]]}, [1]),
    "best by entropy": (
        Threshold(gamma=0.0, confidence="entropy"),
        {"neg_entropy": [[-2.0, -3.0, -1.0]]},
        [2],
    ),
}


@pytest.mark.parametrize(("method", "lazy", "expected"), SCORE_CASES.values(), ids=SCORE_CASES)
def test_threshold_can_compare_another_score(make_view, method, lazy, expected):
    assert unmasked(method, make_view([[0.9, 0.1, 0.1]], **lazy)) == expected


TOP_K_CASES = {
    "random": ({"permutation": [[0.2, 0.9, 0.5, 0.1]]}, [1, 2]),
    "left_to_right": ({}, [0, 1]),
    "confidence": ({}, [0, 3]),
    "margin": ({"margin": [[0.1, 0.3, 0.2, 0.3]]}, [1, 3]),
    "entropy": ({"neg_entropy": [[-1.0, -2.0, -0.5, -3.0]]}, [0, 2]),
}


@pytest.mark.parametrize("score", TOP_K_CASES)
def test_top_k_commits_the_quota_with_the_highest_score(make_view, score):
    lazy, expected = TOP_K_CASES[score]
    view = make_view([[0.9, 0.2, 0.3, 0.8]], quota=2, **lazy)
    assert unmasked(getattr(top_k, score)(), view) == expected
    assert getattr(top_k, score)().name == score


@given(data=st.data(), k=st.integers(0, 6))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_top_k_commits_exactly_the_quota_among_eligible_positions(make_view, data, k):
    value = st.none() | st.sampled_from([0.1, 0.5, 0.9])
    row = data.draw(st.lists(value, min_size=6, max_size=6))
    count = len(unmasked(top_k.confidence(), make_view([row], quota=k)))
    assert count == min(k, sum(v is not None for v in row))


def nfe_of(method, gen_length=9, **setting):
    rows = [
        Row(
            key=i,
            prompt_ids=(3, 4 + i),
            gen_length=gen_length,
            sample_id=str(i),
            setting=Setting(method=method, **setting),
        )
        for i in range(4)
    ]
    return {outcome.nfe for outcome in sweep(HashDenoiser(sharpness=4.0), rows)}


def test_limits_of_the_methods_agree():
    """All at once: k = L, a vanishing gamma, a vast f. One by one: k = 1, gamma = 1, a tiny f."""
    for score in SCORES:
        assert nfe_of(TopK(score=score), k=9) == {1}
        assert nfe_of(TopK(score=score), k=1) == {9}
    assert nfe_of(Threshold(gamma=1e-6)) == nfe_of(Factor(f=1e6)) == {1}
    assert nfe_of(Threshold(gamma=1.0)) == nfe_of(Factor(f=1e-6)) == {9}
    assert nfe_of(Threshold(gamma=1.0, at_least=2)) == {5}
    assert nfe_of(Threshold(gamma=1.0, at_least=9)) == nfe_of(Threshold(gamma=1.0, at_least=10)) == {1}


def test_one_by_one_by_confidence_is_the_same_walk_for_every_method():
    walks = [
        decode(HashDenoiser(), [(3,), (4, 5)], method, gen_length=8, **setting)
        for method, setting in [
            (top_k.confidence(), {"k": 1}),
            (Threshold(gamma=1.0), {}),
            (Factor(f=1e-6), {}),
            (Factor(f=1e-6, upstream_exact=True), {"block_length": 8}),
        ]
    ]
    assert walks[0] == walks[1] == walks[2]
    assert {row.nfe for row in walks[0]} == {8}
    assert {row.nfe for row in walks[3]} == {7}, "published: two left, the second fails, both are committed"


REFUSED = {
    "score": (
        lambda: TopK(score="sure"),
        r"score must be one of random, left_to_right, .*, got 'sure'; choose",
    ),
    "gamma 0": (lambda: Threshold(gamma=0.0), r"gamma must be in \(0, 1\], got 0\.0; for a fixed number"),
    "gamma 2": (lambda: Threshold(gamma=2.0, confidence="margin"), r"gamma must be in \(0, 1\], got 2\.0"),
    "gamma nan": (lambda: Threshold(gamma=float("nan")), r"gamma must be in \(0, 1\], got nan"),
    "entropy": (
        lambda: Threshold(gamma=0.5, confidence="entropy"),
        r"gamma must be at most 0 for confidence=entropy, got 0\.5; it bounds -entropy in nats",
    ),
    "confidence": (
        lambda: Threshold(gamma=0.5, confidence="left_to_right"),
        r"confidence must be one of random, confidence, margin, entropy, got 'left_to_right'; choose",
    ),
    "at_least": (
        lambda: Threshold(gamma=0.9, at_least=0),
        r"at_least must be a whole number of at least 1, got 0; 1 takes the single best",
    ),
    "rule": (
        lambda: Threshold(gamma=0.9, rule="best"),
        "rule must be one of fast_dllm, dinfer, got 'best'; choose one",
    ),
    "entry": (
        lambda: Threshold(gamma=0.9, entry="best"),
        "entry must be one of rule, first, got 'best'; choose one",
    ),
    "rule of entropy": (
        lambda: Threshold(gamma=-0.1, confidence="entropy", rule="dinfer"),
        "rule=dinfer must compare probabilities, got confidence='entropy'; use confidence or margin",
    ),
    "f 0": (lambda: Factor(f=0.0), r"f must be above 0 and finite, got 0\.0; 1\.0 is the published default"),
    "f inf": (lambda: Factor(f=float("inf")), r"f must be above 0 and finite, got inf"),
}


@pytest.mark.parametrize(("build", "message"), REFUSED.values(), ids=REFUSED)
def test_a_parameter_out_of_range_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
