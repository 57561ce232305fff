"""Every score beside the one of PBx: means by hand, reasons instead of means, the tables."""

import json

import pytest

from pb_plugin.report.beside import TEXT_SCORES, choice_lines, is_one_by_one, text_lines
from pb_plugin.results.aggregate import aggregate
from pb_plugin.results.cell_numbers import ScoreMean, score_means
from pb_plugin.statistics.intervals import wilson
from task_specs.scoring.distribution import ChoiceDistribution

EVEN = ChoiceDistribution(p_value=0.25, entropy_ratio=0.875, entropy_ratio_unbiased=0.9, n_right=8, n_used=8)
NO_TOOL = "no encoder was named"


def only(items):
    (item,) = items
    return item


@pytest.fixture
def text_cell(make_cell, make_record):
    """Return a function that builds a cell of `w2s_easy` from the scores of its samples."""

    def build(*samples, k=2, reasons=None, nfe=4, **fields):
        records = [
            make_record(
                parts={"task": "w2s_easy", "sample_id": f"s{number}", "k": k},
                nfe=nfe,
                scores=scores,
                score_reasons={
                    name: (reasons or {}).get(name, NO_TOOL) for name in scores if scores[name] is None
                },
            )
            for number, scores in enumerate(samples)
        ]
        return make_cell("w2s_easy", records=records, k=k, **{"score": "grammar", **fields})

    return build


def table_of(lines, start):
    """Return the rows of the table whose head starts with *start*, by their first cell."""
    head = next(place for place, line in enumerate(lines) if line.startswith(start))
    return {row[0]: row[1:] for row in map(str.split, lines[head + 1 : lines.index("", head)])}


def test_every_score_has_its_mean_and_number(text_cell):
    cell = text_cell(
        {"grammar": 1.0, "inclusion": 0.0, "rougeL": 0.25}, {"grammar": 0.0, "inclusion": 0.0, "rougeL": 0.75}
    )
    summary = only(aggregate([cell]).cells)
    assert summary.scores == {
        "grammar": ScoreMean(mean=0.5, n=2, interval=wilson(1, 2)),
        "inclusion": ScoreMean(mean=0.0, n=2, interval=wilson(0, 2)),
        "rougeL": ScoreMean(mean=0.5, n=2),
    }
    assert summary.scores["grammar"].mean == summary.accuracy
    assert list(summary.scores) == sorted(summary.scores)


def test_a_score_that_one_sample_lacks_has_no_mean_but_a_reason(text_cell):
    cell = text_cell({"grammar": 1.0, "bertscore": 0.9}, {"grammar": 1.0, "bertscore": None})
    found = only(aggregate([cell]).cells).scores
    assert found["bertscore"] == ScoreMean(mean=None, n=1, reason=NO_TOOL)
    assert found["grammar"] == ScoreMean(mean=1.0, n=2, interval=wilson(2, 2))


def test_a_score_that_one_record_does_not_name_is_not_averaged_over_the_rest(make_record):
    scores = ({"a": 1.0, "b": 0.5}, {"a": 0.0})
    records = [make_record(scores=s, parts={"sample_id": str(i)}) for i, s in enumerate(scores)]
    assert score_means(records, "w2s_easy", None) == {
        "a": ScoreMean(mean=0.5, n=2, interval=wilson(1, 2)),
        "b": ScoreMean(mean=None, n=1, reason="score 'b' is not stored"),
    }


def test_a_failed_sample_is_in_no_mean(make_cell, make_record, make_failure):
    records = [make_record(parts={"sample_id": "a"}), make_failure(parts={"sample_id": "b"})]
    assert only(aggregate([make_cell(records=records)]).cells).scores == {
        "accuracy": ScoreMean(mean=1.0, n=1, interval=wilson(1, 1))
    }
    assert only(aggregate([make_cell(records=[make_failure()])]).cells).scores == {}


def test_json_has_every_score_and_the_choices(text_cell, make_cell):
    summary = aggregate([text_cell({"grammar": 1.0, "bertscore": None}), make_cell("shuffle", choices=EVEN)])
    text, shuffle = sorted(
        json.loads(json.dumps(summary.to_json()))["cells"], key=lambda cell: cell["task"] != "w2s_easy"
    )
    assert text["scores"] == {
        "bertscore": {"mean": None, "n": 0, "reason": NO_TOOL, "interval": None},
        "grammar": {"mean": 1.0, "n": 1, "reason": None, "interval": wilson(1, 1).to_json()},
    }
    assert text["choices"] is None
    assert shuffle["choices"] == {
        "p_value": 0.25,
        "entropy_ratio": 0.875,
        "entropy_ratio_unbiased": 0.9,
        "n_right": 8,
        "n_used": 8,
        "reason": None,
    }


def test_the_published_score_and_the_others_stand_side_by_side(text_cell):
    """Settings across, scores down in one order, percent; what no setting has is no row."""
    slow = {"grammar": 1.0, "inclusion": 1.0, "combined": 1.0, "inclusion_share": 1.0}
    fast = {"grammar": 0.75, "inclusion": 0.5, "combined": 0.25, "inclusion_share": 0.5}
    lines = text_lines(aggregate([text_cell(slow, k=1), text_cell(fast, k=8)]))
    assert lines[0].split() == ["w2s_easy", "llada-confidence", "k=1", "k=8"]
    found = table_of(lines, "w2s_easy")
    assert found == {"grammar": ["100", "75"], "inclusion": ["100", "50"], "combined": ["100", "25"]}
    assert list(found) == [name for name in TEXT_SCORES if name in found]


def test_a_score_of_no_setting_is_told_once_with_its_reason(text_cell):
    cells = [text_cell({"grammar": 1.0, "bertscore": None}, k=k) for k in (1, 2)]
    lines = text_lines(aggregate(cells))
    assert table_of(lines, "w2s_easy") == {"grammar": ["100", "100"]}
    assert lines.count(f"no mean of bertscore: {NO_TOOL}") == 1


def test_a_score_of_some_settings_is_a_row_with_gaps(text_cell):
    cells = [
        text_cell({"grammar": 1.0, "rougeL": None}, k=1, reasons={"rougeL": "not installed"}),
        text_cell({"grammar": 0.5, "rougeL": 0.5}, k=2),
    ]
    lines = text_lines(aggregate(cells))
    assert table_of(lines, "w2s_easy") == {"grammar": ["100", "50"], "rougeL": ["-", "50"]}
    assert "no mean of rougeL: not installed" in lines


def test_a_text_task_without_any_mean_has_no_table_but_its_reason(text_cell):
    lines = text_lines(aggregate([text_cell({"grammar": None}, reasons={"grammar": "scored later"})]))
    assert lines == ["no mean of grammar: scored later", ""]


def test_exact_tasks_have_no_text_table(make_cell):
    assert text_lines(aggregate([make_cell("copy"), make_cell("shuffle", choices=EVEN)])) == []


def test_every_curve_has_its_table_and_long_ones_are_cut(text_cell):
    cells = [text_cell({"grammar": 1.0}, k=k) for k in range(1, 11)]
    heads = [line.split() for line in text_lines(aggregate(cells)) if line.startswith("w2s_easy")]
    assert [len(head) - 2 for head in heads] == [8, 2]


def test_choices_are_shown_at_one_token_per_step_only(make_cell):
    """A canvas of 8 in 8 forwards is one token per step, in 4 forwards it is two."""
    slow = make_cell("shuffle", k=1, nfe=8, choices=EVEN)
    fast = make_cell("shuffle", k=2, nfe=4, choices=EVEN)
    summary = aggregate([slow, fast, make_cell("copy", k=1, nfe=8)])
    assert [is_one_by_one(cell) for cell in summary.cells] == [True, True, False]
    lines = choice_lines(summary)
    assert lines[0].split("  ")[0] == "choices at one token per step"
    assert lines[1].split() == ["shuffle-llada-confidence[k=1]", "8", "0.875", "0.900", "0.250"]
    assert not any("k=2" in line for line in lines)


def test_choices_that_are_not_known_are_shown_as_such(make_cell):
    few = ChoiceDistribution(
        p_value=None, entropy_ratio=None, entropy_ratio_unbiased=None, n_right=1, n_used=0, reason="too few"
    )
    lines = choice_lines(aggregate([make_cell("shuffle", k=1, nfe=8, choices=few)]))
    assert lines[1].split() == ["shuffle-llada-confidence[k=1]", "1", "-", "-", "-"]


def test_a_run_without_random_tasks_has_no_table_of_choices(make_cell):
    assert choice_lines(aggregate([make_cell("copy", k=1, nfe=8), make_cell("sort", nfe=None)])) == []
