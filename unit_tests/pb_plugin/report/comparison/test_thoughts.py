"""A chain of thought beside its plain question: gain in points, tokens used, points per content token."""

import json

import pytest

from pb_plugin.report.comparison.chosen import chosen_of
from pb_plugin.report.comparison.thoughts import thoughts_of
from pb_plugin.results.aggregate import aggregate


def cells(make_cell, make_record, task, right, tokens, *, n=10, nfe=4, k=2):
    from unit_tests.pb_plugin.conftest import forwards

    asked = make_cell(task, k=k).asked
    records = [
        make_record(
            score=float(at < right),
            canvas_tokens=80,
            to_eos_tokens=80,
            content_tokens=tokens,
            parts={**asked.parts(), "sample_id": f"s{at:03d}"},
            **forwards(nfe),
        )
        for at in range(n)
    ]
    return make_cell(task, k=k, records=records)


def found(*cells):
    return thoughts_of(chosen_of(aggregate(cells), {})[0])


@pytest.mark.parametrize("nfe", [4, (2, 4), None])
def test_a_pair(make_cell, make_record, nfe):
    """40 % with 8 tokens against 90 % with 60: 5 points per token against 1.5; forwards do not matter."""
    (pair,) = found(
        cells(make_cell, make_record, "shuffle", 4, 8, nfe=nfe),
        cells(make_cell, make_record, "shuffle_cot", 9, 60, nfe=nfe),
    )
    assert (pair.task, pair.label) == ("shuffle", "llada-confidence[k=2]")
    assert (pair.plain, pair.aloud, pair.plain_tokens, pair.aloud_tokens) == (40.0, 90.0, 8.0, 60.0)
    assert pair.per_token == (5.0, 1.5)
    assert 0.0 < pair.gain.low < 50.0 < pair.gain.high < 100.0
    assert json.dumps(pair.to_json())


def test_the_gain_is_paired(make_cell, make_record):
    """The same samples right in both leave no doubt about their difference, whatever their mean."""
    (pair,) = found(
        cells(make_cell, make_record, "shuffle", 4, 8), cells(make_cell, make_record, "shuffle_cot", 4, 8)
    )
    assert (pair.gain.low, pair.gain.high) == (0.0, 0.0)


def test_every_setting_of_a_curve_is_there_and_what_is_not_whole_is_not(make_cell, make_record):
    pairs = found(
        *(cells(make_cell, make_record, "shuffle", 4, 8, k=k) for k in (1, 2, 4)),
        *(cells(make_cell, make_record, "shuffle_cot", 9, 60, k=k) for k in (1, 2, 8)),
        cells(make_cell, make_record, "sort_cot", 9, 60),
        make_cell("copy", n_planned=3),
        make_cell("copy_cot"),
    )
    assert [pair.label for pair in pairs] == ["llada-confidence[k=1]", "llada-confidence[k=2]"]


def test_other_numbers_of_samples_have_no_interval(make_cell, make_record):
    (pair,) = found(
        cells(make_cell, make_record, "shuffle", 4, 8),
        cells(make_cell, make_record, "shuffle_cot", 9, 60, n=12),
    )
    assert pair.gain is None


def test_an_answer_without_a_token_has_no_points_per_token(make_cell, make_record):
    (pair,) = found(
        cells(make_cell, make_record, "shuffle", 0, 0), cells(make_cell, make_record, "shuffle_cot", 9, 60)
    )
    assert pair.per_token == (None, 1.5)
