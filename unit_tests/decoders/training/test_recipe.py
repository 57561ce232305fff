"""The recipe: its learning rate by hand, and what it refuses."""

import pytest

from decoders.training.loop import Recipe


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 2e-3 / 50),
        (24, 1e-3),
        (48, 2e-3 * 49 / 50),
        (49, 2e-3),
        (50, 2e-3),
        (699, 2e-3),
        (700, 2e-3),
        (701, 2e-3 * 2 * 699 / 1400),
        (1050, 1e-3),
        (1399, 2e-3 * 2 / 1400),
        (1400, 1e-3),
        (1650, 5e-4),
        (1899, 1e-3 / 500),
    ],
)
def test_the_rate_rises_for_50_steps_stays_falls_to_0_and_falls_again_from_half(step, rate):
    assert Recipe(steps=1900).rate_at(step) == pytest.approx(rate, rel=1e-12)


def test_a_rate_scales_all_steps():
    ours, tripled = Recipe(steps=400), Recipe(steps=400, rate=6e-3)
    for step in range(400):
        assert tripled.rate_at(step) == pytest.approx(3 * ours.rate_at(step))
        assert 0.0 < ours.rate_at(step) <= ours.rate


def test_a_short_training_falls_while_it_still_rises():
    assert [Recipe(steps=4, rate=50.0).rate_at(step) for step in (0, 1)] == [1.0, 2.0]
    assert [Recipe(steps=4, rate=50.0).rate_at(step) for step in (2, 3)] == [25.0, 12.5]


@pytest.mark.parametrize(
    ("name", "low", "value"),
    [
        ("seed", 0, -1),
        ("seed", 0, 1.0),
        ("seed", 0, True),
        ("steps", 1, 0),
        ("steps", 1, "10"),
        ("steps", 1, None),
    ],
)
def test_seed_and_steps_are_whole_numbers(name, low, value):
    message = rf"^{name} must be a whole number from {low} on, got {value!r}; choose one"
    with pytest.raises(ValueError, match=message):
        Recipe(**{name: value})


def test_the_least_seed_and_steps_are_taken():
    assert (Recipe(seed=0, steps=1).seed, Recipe(seed=0, steps=1).steps) == (0, 1)
