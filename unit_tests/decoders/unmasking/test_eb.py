"""EB: budgets by hand in both units, its orders, the spacing filter, limits and the brute-force prefix."""

import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decoders.loop.batching import decode
from decoders.testing import HashDenoiser, check_method
from decoders.unmasking.eb import EB
from decoders.unmasking.top_k import entropy

VARIANTS = {
    "nats": EB(gamma=0.1),
    "bits": EB(gamma=1.0, unit="bits"),
    "by confidence": EB(gamma=0.5, order="confidence"),
    "by margin": EB(gamma=0.5, order="margin"),
    "spaced": EB(gamma=4.0, start_gap=8),
    "one by one": EB(gamma=0.0),
}


@pytest.mark.parametrize("method", VARIANTS.values(), ids=VARIANTS)
def test_the_rules_are_obeyed(method):
    check_method(method)


def test_every_default_sweep_can_be_built():
    assert [EB(**params).gamma for params in EB.sweep] == [0.001, 0.01, 0.1, 1.0]


def chosen(make_view, method, entropies, confidences=None):
    view = make_view(
        [[0.5 if h is not None else None for h in entropies] if confidences is None else confidences],
        neg_entropy=[[-(h or 0.0) for h in entropies]],
    )
    update, memory = method.step(view, method.init(view))
    assert memory is None
    return update.unmask[0].nonzero().flatten().tolist()


SPENT = [0.02, 0.05, 0.06, 0.5]  # sums without the largest: 0, 0.02, 0.07, 0.13


@pytest.mark.parametrize(
    ("gamma", "unit", "count"),
    [
        (0.0, "nats", 1),
        (0.019, "nats", 1),
        (0.02, "nats", 2),
        (0.1, "nats", 3),
        (0.129, "nats", 3),
        (0.131, "nats", 4),
        (0.02 / math.log(2), "bits", 2),
        (0.15, "bits", 3),
        (0.19, "bits", 4),
    ],
)
def test_the_prefix_that_fits_the_budget_is_committed(make_view, gamma, unit, count):
    """0.15 bits are 0.104 nats and 0.19 bits are 0.1317 nats."""
    assert chosen(make_view, EB(gamma=gamma, unit=unit), SPENT) == list(range(count))


def test_the_order_is_that_of_the_entropies_and_not_of_the_positions(make_view):
    assert chosen(make_view, EB(gamma=0.05), [0.5, None, 0.06, 0.02, 0.05]) == [3, 4]


def test_positions_without_entropy_cost_nothing(make_view):
    assert chosen(make_view, EB(gamma=0.0), [0.0, 0.3, 0.0, 0.4]) == [0, 1, 2]


def test_another_order_keeps_the_budget_in_entropy(make_view):
    """By confidence: entropies 0.5, 0.02, 0.05; sums without the largest 0, 0.02, 0.07."""
    given = ([0.5, 0.02, 0.05], [0.9, 0.8, 0.7])
    assert chosen(make_view, EB(gamma=0.05, order="confidence"), *given) == [0, 1]
    assert chosen(make_view, EB(gamma=0.05), *given) == [1, 2]


def test_the_budget_has_a_slack_of_a_millionth(make_view):
    for second, count in ((0.1 + 6e-7, 3), (0.1 + 1.5e-6, 2)):
        assert len(chosen(make_view, EB(gamma=0.1), [0.0, second, 0.5])) == count


@given(
    st.lists(st.none() | st.integers(0, 40), min_size=1, max_size=9).filter(
        lambda values: any(v is not None for v in values)
    ),
    st.integers(0, 60),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_committed_set_is_the_longest_prefix_that_fits(make_view, numbers, budget):
    """Entropies and budget in 64ths, so that sums are exact."""
    entropies = [None if n is None else n / 64 for n in numbers]
    order = sorted((h, i) for i, h in enumerate(entropies) if h is not None)
    fitting = [
        n for n in range(1, len(order) + 1) if sum(h for h, _ in order[:n]) - order[n - 1][0] <= budget / 64
    ]
    expected = sorted(i for _, i in order[: max(fitting)])
    assert chosen(make_view, EB(gamma=budget / 64), entropies) == expected


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], [2]),  # gap 8 * 8 // 8 = 8
        ([0, 1, 2, 3, 4], [2]),  # gap 5: 0 and 4 are nearer to 2
        ([1, 2, 6, 7], [2, 6]),  # gap 4: 1 is too near to 2, 7 to 6
        ([2, 3, 5], [2, 5]),  # gap 3
        ([2, 4], [2, 4]),  # gap 2
        ([2, 3], [2]),  # gap 2
        ([3], [3]),
    ],
)
def test_the_spacing_filter_keeps_the_best_that_are_far_enough_apart(make_view, masks, expected):
    """Best first: 2, 6, 5, 0, 1, 3, 4, 7; the gap shrinks with the masks that are left."""
    best_first = [2, 6, 5, 0, 1, 3, 4, 7]
    entropies = [0.01 * best_first.index(i) if i in masks else None for i in range(8)]
    assert chosen(make_view, EB(gamma=9.0, start_gap=8), entropies) == expected
    assert chosen(make_view, EB(gamma=9.0), entropies) == masks


@given(st.permutations(range(9)), st.sets(st.integers(0, 8), min_size=1), st.integers(1, 12))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_spacing_filter_is_the_greedy_scan(make_view, best_first, masks, start_gap):
    entropies = [0.01 * best_first.index(i) if i in masks else None for i in range(9)]
    gap = max(2, len(masks) * start_gap // 9)
    kept = []
    for position in best_first:
        if position in masks and all(abs(position - other) >= gap for other in kept):
            kept.append(position)
    assert chosen(make_view, EB(gamma=9.0, start_gap=start_gap), entropies) == sorted(kept)


def test_the_gap_is_a_share_of_the_block_and_not_of_the_canvas(make_view):
    view = make_view([[None] * 8 + [0.5] * 4], neg_entropy=[[-0.1] * 12])
    view = replace(view, block_start=view.block_start + 8, block_end=view.block_start + 12)
    update, _ = EB(gamma=9.0, start_gap=2).step(view, None)
    assert update.unmask[0].nonzero().flatten().tolist() == [8, 10]


def test_limits_of_the_budget(nfe_of):
    assert nfe_of(EB(gamma=0.0)) == {12}
    assert nfe_of(EB(gamma=1e6)) == {1}


def test_without_a_budget_it_is_entropy_one_by_one():
    prompts = [(3,), (4, 5)]
    ours = decode(HashDenoiser(), prompts, EB(gamma=0.0), gen_length=8)
    assert ours == decode(HashDenoiser(), prompts, entropy(), gen_length=8, k=1)


REFUSED = {
    "gamma": ({"gamma": -0.1}, r"gamma must be 0 or more and finite, got -0\.1; it is an entropy in nats"),
    "gamma inf": ({"gamma": float("inf")}, "gamma must be 0 or more and finite, got inf"),
    "unit": ({"gamma": 1.0, "unit": "bit"}, "unit must be one of nats, bits, got 'bit'; choose one"),
    "order": ({"gamma": 1.0, "order": "random"}, "order must be one of entropy, confidence, margin, got"),
    "gap": ({"gamma": 1.0, "start_gap": -1}, "start_gap must be 0 or more, got -1; 0 leaves the spacing"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_a_parameter_out_of_range_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        EB(**given)
