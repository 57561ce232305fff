"""SlowFast: a decode by hand through both phases, the estimate of a cycle's end, limits and idle steps."""

import pytest

from decoders.loop.batching import decode
from decoders.testing import HashDenoiser, check_method
from decoders.unmasking.slowfast import SlowFast
from decoders.unmasking.top_k import confidence

VARIANTS = {
    "default": SlowFast(),
    "short": SlowFast(explore_steps=2, tau=0.5, length_tau=0.2),
    "wide window": SlowFast(explore_steps=3, window=3, spread=2.0, length_tau=0.2),
    "window never full": SlowFast(explore_steps=1, window=4, tau=0.6, length_tau=0.4),
    "published": SlowFast(explore_steps=3, tau=0.3, upstream_exact=True),
}


@pytest.mark.parametrize("method", VARIANTS.values(), ids=VARIANTS)
def test_the_rules_are_obeyed(method):
    check_method(method)


BY_HAND = [
    [0.95, 0.95, 0.5, 0.2, 0.1, 0.1, 0.1, 0.1],  # slow: estimate 3; two are sure
    [0.9, 0.9, 0.5, 0.2, 0.1, 0.1, 0.1, 0.1],  # slow: estimate 3 again, settled at 3; the best
    [0.9, 0.9, 0.9, 0.6, 0.4, 0.1, 0.1, 0.35],  # [0, 3) is full: slow from 3, estimate 8; the best
    [0.9, 0.9, 0.9, 0.9, 0.4, 0.2, 0.1, 0.1],  # slow: estimate 5, 8 and 5 differ: end 6; the best
    [0.9, 0.9, 0.9, 0.9, 0.9, 0.2, 0.95, 0.99],  # fast in [3, 6): what is sure lies outside
    [0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.95, 0.99],  # slow from 6: two are sure
    [0.9] * 8,
]


def test_a_decode_by_hand(play):
    outcome, _ = play(SlowFast(explore_steps=2), BY_HAND)
    assert outcome.commit_step == (0, 0, 1, 2, 3, 4, 5, 5)
    assert outcome.nfe == 6


def test_published_slow_steps_go_on_when_the_block_is_complete(play):
    """The third cycle fills the block in its first slow step of two."""
    outcome, canvases = play(SlowFast(explore_steps=2, upstream_exact=True), BY_HAND)
    assert outcome.commit_step == (0, 0, 1, 2, 3, 4, 5, 5)
    assert outcome.nfe == 7
    assert None not in canvases[6]


def test_published_slow_steps_are_spent_in_every_block(play):
    method = SlowFast(explore_steps=3, upstream_exact=True)
    outcome, _ = play(method, [[0.95] * 4] * 6, block_length=2)
    assert outcome.commit_step == (0, 0, 3, 3)
    assert outcome.nfe == 6
    assert play(SlowFast(explore_steps=3), [[0.95] * 4] * 6, block_length=2)[0].nfe == 2


def test_a_single_sure_position_is_committed_like_a_best_one(play):
    script = [[0.2, 0.95, 0.3, 0.4], [0.2, 0.9, 0.3, 0.4], [0.2, 0.9, 0.3, 0.9], [0.2] * 4]
    assert play(SlowFast(), script)[0].commit_step == (3, 0, 2, 1)


def test_a_cycle_of_which_nothing_is_known_ends_after_one_position(play):
    """Nothing reaches length_tau, so the stretch is [0, 1): its fast step takes 0, although 1 is surer."""
    script = [[0.1, 0.1, 0.2, 0.1], [0.1, 0.25, 0.1, 0.1], *[[0.95] * 4] * 2]
    assert play(SlowFast(explore_steps=1), script)[0].commit_step == (1, 2, 0, 2)


def test_without_a_full_window_the_end_is_the_mean_of_what_there_is(play):
    """Estimates 4 and 1 of a window of 3: the stretch is [0, 2), and position 1 is filled before 2 and 3."""
    script = [
        [0.6, 0.1, 0.1, 0.4, 0.1, 0.1],
        [0.6, 0.1, 0.1, 0.1, 0.1, 0.2],
        [0.1, 0.1, 0.2, 0.2, 0.2, 0.2],
        *[[0.95] * 6] * 2,
    ]
    outcome, _ = play(SlowFast(explore_steps=2, window=3), script)
    assert outcome.commit_step == (0, 2, 3, 3, 3, 1)


def test_an_end_that_settled_stays_although_a_later_estimate_differs(play):
    """Estimates 6 and 6 settle; with the third, 3, the end would be 4 and the fast step would take 3."""
    script = [
        [0.5, 0.1, 0.1, 0.1, 0.1, 0.4],
        [0.1, 0.5, 0.1, 0.1, 0.1, 0.4],
        [0.1, 0.1, 0.35, 0.1, 0.1, 0.1],
        [0.1, 0.1, 0.1, 0.2, 0.8, 0.1],
        *[[0.95] * 6] * 2,
    ]
    assert play(SlowFast(explore_steps=3), script)[0].commit_step == (0, 1, 2, 4, 3, 4)


def test_a_new_cycle_forgets_the_estimates_of_the_last_one(play):
    """Estimate 2, stretch [0, 2); then estimate 4 alone, stretch [2, 4): with the 2 it would be [2, 3)."""
    script = [
        [0.5, 0.4, 0.1, 0.1, 0.1, 0.1],
        [0.1, 0.1, 0.1, 0.1, 0.1, 0.1],
        [0.1, 0.1, 0.5, 0.4, 0.1, 0.1],
        [0.1, 0.1, 0.1, 0.1, 0.1, 0.8],
        *[[0.95] * 6] * 2,
    ]
    assert play(SlowFast(explore_steps=1), script)[0].commit_step == (0, 1, 2, 3, 4, 4)


def test_the_spread_is_a_standard_deviation_in_positions(play):
    """Estimates 6 and 3 deviate by 1.5, below 2: the end is the newest, 3, and not the mean, 4."""
    script = [
        [0.1, 0.1, 0.1, 0.1, 0.5, 0.4],
        [0.5, 0.1, 0.4, 0.1, 0.1, 0.1],
        [0.1, 0.1, 0.1, 0.8, 0.1, 0.1],
        *[[0.95] * 6] * 2,
    ]
    assert play(SlowFast(explore_steps=2, spread=2.0), script)[0].commit_step[3] == 4
    assert play(SlowFast(explore_steps=2, spread=1.5), script)[0].commit_step[3] == 2


def test_limits_of_the_confidence_that_is_needed(nfe_of):
    assert nfe_of(SlowFast(tau=1e-6)) == {1}
    assert nfe_of(SlowFast(tau=1.0)) == {12}


def test_one_by_one_in_a_settled_whole_block_is_confidence():
    """length_tau near 0 puts the end of every cycle at the last mask, so each step takes the best of all."""
    prompts = [(3,), (4, 5)]
    ours = decode(HashDenoiser(), prompts, SlowFast(tau=1.0, length_tau=1e-6, window=1), gen_length=6)
    assert ours == decode(HashDenoiser(), prompts, confidence(), gen_length=6, k=1)


REFUSED = {
    "tau": ({"tau": 0.0}, r"tau must be in \(0, 1\], got 0\.0; it is compared with a probability"),
    "length_tau": ({"length_tau": 2.0}, r"length_tau must be in \(0, 1\], got 2\.0; it is compared"),
    "explore_steps": ({"explore_steps": 0}, "explore_steps must be at least 1, got 0; 6 is the published"),
    "window": ({"window": 0}, "window must be at least 1, got 0; 2 is the published default"),
    "spread": ({"spread": 0.0}, r"spread must be above 0, got 0\.0; 1\.0 is the published default"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_a_parameter_out_of_range_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        SlowFast(**given)
