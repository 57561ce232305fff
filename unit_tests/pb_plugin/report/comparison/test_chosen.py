"""Which setting a comparison shows: k = 2, the slowest, or the one asked for; never a silent other."""

import pytest

from pb_plugin.report.comparison.chosen import chosen_of, read_asked
from pb_plugin.results.aggregate import aggregate


@pytest.fixture(scope="module")
def summary(make_cell):
    """`confidence` over k, `threshold` over gamma, an API without settings, and two that cannot be told."""
    cells = [make_cell("copy", k=k, nfe=8 // k) for k in (1, 2, 4)]
    cells += [
        make_cell("copy", method="threshold", family="adaptive", k=None, method_params={"gamma": g}, nfe=nfe)
        for g, nfe in ((0.5, 2), (0.9, (4, 8)), (0.7, (3, 4)))
    ]
    cells += [make_cell("copy", model="mercury", method="native", family="adaptive", k=None, nfe=None)]
    cells += [make_cell("copy", method="margin", k=k) for k in (1, 4)]
    cells += [
        make_cell(
            "copy", model="api", method="native", family="adaptive", k=None, method_params={"e": e}, nfe=nfe
        )
        for e, nfe in ((1, 4), (2, None))
    ]
    return aggregate(cells)


def labels(summary, *at):
    chosen, left_out = chosen_of(summary, read_asked(at))
    return [one.label for one in chosen], left_out


def test_without_a_choice_it_is_k_2_or_the_slowest(summary):
    """Of bounds the least tokens per step count; what cannot be told is left out with a way in."""
    shown, left_out = labels(summary)
    assert shown == ["llada-confidence[k=2]", "llada-threshold[gamma=0.9]", "mercury-native[default]"]
    assert left_out == [
        "left out: api-native has no task with known forwards at every setting, so that none is the slowest; "
        "name one with --at api-native:SETTING, of e=1, e=2",
        "left out: llada-margin has no k=2; name one with --at llada-margin:SETTING, of k=1, k=4",
    ]


def test_one_setting_for_every_curve_that_has_it_and_for_one(summary):
    shown, left_out = labels(summary, "k=4", "api-native:e=2", "llada-threshold:gamma=0.5")
    assert shown == [
        "api-native[e=2]",
        "llada-confidence[k=4]",
        "llada-margin[k=4]",
        "llada-threshold[gamma=0.5]",
        "mercury-native[default]",
    ]
    assert left_out == []


def test_the_slowest_is_told_over_the_tasks_that_all_settings_have(make_cell):
    """A task that only one setting has may be slower everywhere."""
    cells = [
        make_cell(task, method="threshold", family="adaptive", k=None, method_params={"gamma": g}, nfe=nfe)
        for task, g, nfe in (("copy", 0.9, 4), ("copy", 0.5, 2), ("sort", 0.5, 8))
    ]
    assert labels(aggregate(cells))[0] == ["llada-threshold[gamma=0.9]"]


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (["llada-confidence:"], r"--at must be \[CURVE:\]SETTING, got 'llada-confidence:'; write k=2"),
        ([":k=2"], r"--at must be \[CURVE:\]SETTING, got ':k=2'"),
        (["k=1", "k=2"], "--at must name a curve once, got 'k=2' too; keep one"),
        (["llada-confidenc:k=2"], "--at must name a curve of the run, got 'llada-confidenc'; did you mean"),
        (["k=3"], "--at must name a setting of the run, got 'k=3'; it has e=1, e=2, k=1, k=2, k=4"),
        (["llada-margin:k=2"], "--at must name a setting of llada-margin, got 'k=2'; it has k=1, k=4"),
    ],
)
def test_what_is_not_there_is_refused(summary, at, message):
    with pytest.raises((ValueError, LookupError), match=message):
        labels(summary, *at)
