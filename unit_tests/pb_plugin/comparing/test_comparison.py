"""Two sides compared: what is paired, what is refused, and drops of the common curves."""

from dataclasses import replace

import pytest

from pb_plugin.comparing.comparison import compare
from pb_plugin.comparing.side import Side


def side(name, *cells):
    return Side(name=name, cells=cells)


@pytest.fixture
def curve(make_cell):
    """Return a function that makes the cells of two tasks at k=2 and k=4 with so many of 50 right."""

    def cells(right_2, right_4, nfe=2, **fields):
        return [
            make_cell(task, k=k, nfe=rate, scores=[1.0] * right + [0.0] * (50 - right), **fields)
            for task in ("copy", "sort")
            for k, rate, right in ((2, 4, right_2), (4, nfe, right_4))
        ]

    return cells


def statuses(found):
    return {drop.what: drop.status for c in found.curves for drop in c.drops}


def test_equal_sides_differ_in_nothing(curve):
    found = compare(side("a", *curve(45, 40)), side("b", *curve(45, 40)))
    assert set(statuses(found).values()) == {"green"}
    assert (found.changed, found.pairing.differs, found.tasks) == ((), {}, ("copy", "sort"))
    assert found.n_samples == (200, 50)
    assert all(drop.value == 0.0 and drop.bound == 0.0 for c in found.curves for drop in c.drops)


def test_a_large_drop_is_red_and_pbx_falls_with_it(curve):
    found = compare(side("a", *curve(48, 45)), side("b", *curve(48, 20)))
    by = statuses(found)
    assert by["score at k=2"] == "green"
    assert by["score at k=4"] == "red"
    assert by["PB80 canvas"] == "red"
    (drop,) = [d for c in found.curves for d in c.drops if d.what == "score at k=4"]
    assert (drop.before, drop.after, drop.value) == (90.0, 40.0, 50.0)
    assert 30.0 < drop.bound < 50.0
    assert sum(change.after < change.before for change in found.changed) == 50


def test_a_drop_that_chance_explains_is_yellow(curve):
    found = compare(side("a", *curve(45, 40)), side("b", *curve(45, 38)))
    assert statuses(found)["score at k=4"] == "yellow"


def test_a_static_method_may_not_take_more_forwards_at_all(curve):
    found = compare(side("a", *curve(45, 45)), side("b", *curve(45, 45, nfe=3)))
    assert statuses(found)["tokens per step at k=4"] == "red"


def test_what_is_better_is_green(curve):
    found = compare(side("a", *curve(30, 20)), side("b", *curve(45, 45)))
    assert set(statuses(found).values()) == {"green"}


def test_models_of_other_names_are_compared_when_they_are_named(curve):
    one, two = side("a", *curve(45, 40)), side("b", *curve(45, 20, model="dream"))
    with pytest.raises(ValueError, match=r"a and b must have a cell in common, got none .*--pair"):
        compare(one, two)
    found = compare(one, two, models={"llada": "dream"})
    assert statuses(found)["score at k=4"] == "red"
    assert found.pairing.differs == {"model": ("llada", "dream")}


def test_what_differs_in_the_keys_is_named(curve):
    parts = {"decode_code": "c1", "model_fingerprint": "f1"}
    found = compare(side("a", *curve(45, 40)), side("b", *curve(45, 40, record_parts=parts)))
    assert found.pairing.differs == {"decode_code": ("c0", "c1"), "model_fingerprint": ("f0", "f1")}


def test_cells_of_one_side_are_listed(curve):
    cells = curve(45, 40)
    found = compare(side("a", *cells), side("b", *cells[:1], *cells[2:]))
    assert found.pairing.only_before == ("copy llada-confidence[k=4]",)
    assert found.pairing.only_after == ()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"data_checksum": "d1"}, "data_checksum must be equal on both sides, got 'd0' in a and 'd1' in b"),
        ({"spec_version": 2}, "spec_version must be equal on both sides, got 1 in a and 2 in b"),
        ({"data_source": "released"}, "data_source must be equal on both sides"),
        ({"prompt_style": "compact"}, "prompt_style must be equal on both sides"),
        ({"input_hash": "i1"}, "the samples must be the same on both sides, got 50 in a and 50 in b"),
    ],
)
def test_other_questions_are_never_compared(curve, parts, message):
    with pytest.raises(ValueError, match=f"copy llada-confidence.*: {message}"):
        compare(side("a", *curve(45, 40)), side("b", *curve(45, 40, record_parts=parts)))


def test_fewer_samples_and_other_scorers_are_never_compared(curve, make_cell):
    cells = curve(45, 40)
    fewer = [make_cell("copy", k=2, scores=[1.0] * 10)]
    with pytest.raises(ValueError, match="got 50 in a and 10 in b"):
        compare(side("a", *cells), side("b", *fewer))
    other = [replace(c, records=[r.with_result(score_key="lists-2") for r in c.records]) for c in cells]
    with pytest.raises(ValueError, match=r"score_key must be equal on both sides, got 'lists-1' in a and"):
        compare(side("a", *cells), side("b", *other))
