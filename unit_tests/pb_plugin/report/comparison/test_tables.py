"""Tables like those of the paper: its columns in its order, the best of each, why a place is empty."""

import pytest

from pb_plugin.report.comparison.chosen import chosen_of
from pb_plugin.report.comparison.columns import plans_of
from pb_plugin.report.comparison.tables import tables_of
from pb_plugin.report.comparison.text import rate_text
from pb_plugin.results.aggregate import aggregate
from pb_plugin.results.suites import SUITES
from task_specs.scoring.text import PARAPHRASE_SCORES, SUMMARY_SCORES, W2S_SCORES

SCORES = {"paraphrasing": PARAPHRASE_SCORES, "summarization": SUMMARY_SCORES, "w2s": W2S_SCORES}


def of(make_cell, model, right, tasks, **values):
    return [
        make_cell(task, model=model, scores=[1.0] * right + [0.0] * (10 - right), **values) for task in tasks
    ]


def tables(cells):
    return {table.title: table for table in tables_of(chosen_of(aggregate(cells), {})[0])}


def test_the_columns_are_those_of_tables_5_to_7():
    plans = {plan.title: plan.columns for plan in plans_of([*SUITES["all"], *SUITES["waiting_line_n15"]])}
    assert list(plans) == ["Waiting line", "Waiting line, n = 15", "Text writing", "Puzzles"]
    assert {column.task for column in plans["Waiting line"]} == set(SUITES["waiting_line"])
    assert {column.task for column in plans["Waiting line, n = 15"]} == set(SUITES["waiting_line_n15"])
    assert " ".join(column.title for column in plans["Waiting line, n = 15"]) == (
        "Copy Sort Rev. Shuff. Ins. Ind. Ins. Rand. Rem. Ind. Rem. Rand. Rep. Ind. Rep. Rand."
    )
    assert [(column.group, column.title) for column in plans["Text writing"]] == [
        *(("Paraphrasing", title) for title in ("Grammar", "BERT", "1-BLEU")),
        *(("Summarization", title) for title in ("Grammar", "ROUGE-L")),
        *((f"W2S ({level})", title) for level in ("easy", "medium", "hard") for title in ("Grammar", "Acc.")),
    ]
    assert [column.title for column in plans["Puzzles"]] == ["Sudoku", "Latin Square"]


def test_every_score_of_a_column_is_one_of_its_task():
    for plan in plans_of(SUITES["all"]):
        for column in plan.columns:
            assert column.score is None or column.score in SCORES[column.task.partition("_")[0]], column


def test_the_best_and_the_second_are_ranked_ties_together_and_the_reference_takes_no_part(make_cell):
    puzzles = SUITES["puzzles"]
    found = tables(
        [
            *of(make_cell, "one", 9, puzzles),
            *of(make_cell, "two", 9, puzzles),
            *of(make_cell, "three", 7, puzzles),
            *of(make_cell, "four", 5, puzzles),
            *of(make_cell, "ideal", 10, puzzles, exact=True),
        ]
    )["Puzzles"]
    ranks = {line.label.split("-")[0]: [entry.rank for entry in line.entries] for line in found.lines}
    assert ranks == {
        "one": ["best"] * 2,
        "two": ["best"] * 2,
        "three": ["second"] * 2,
        "four": [""] * 2,
        "ideal": [""] * 2,
    }
    assert found.lines[-1].is_reference
    entry = found.lines[0].entries[0]
    assert (
        entry.value
        == {"four": 50.0, "one": 90.0, "three": 70.0, "two": 90.0}[found.lines[0].label.split("-")[0]]
    )
    assert entry.interval.low < entry.value < entry.interval.high


def test_an_empty_place_has_a_reason_and_takes_no_rank(make_cell, make_failure):
    copy = make_cell("copy", model="one", scores=[1.0], n_planned=2)
    sort = make_cell("sort", model="one", scores=[None])
    found = tables([copy, sort, *of(make_cell, "two", 0, ["copy"])])["Waiting line"]
    (one, two) = found.lines
    assert (one.entries[0].value, two.entries[0].rank) == (None, "best")
    assert found.reasons[:2] == [
        "one-confidence[k=2]: 1 of 2 planned samples decoded (1 missing, 0 failed) (copy)",
        "one-confidence[k=2]: no grammar backend (sort)",
    ]
    assert found.reasons[2].startswith("one-confidence[k=2]: not measured (reverse, shuffle")


def test_tokens_per_step_are_a_mean_over_the_tasks_of_the_table_or_ends_or_absent(make_cell):
    puzzles = SUITES["puzzles"]
    cells = [make_cell(task, model="one", nfe=nfe) for task, nfe in zip(puzzles, (8, 2), strict=True)]
    cells += [make_cell(task, model="two", nfe=nfe) for task, nfe in zip(puzzles, ((2, 4), 2), strict=True)]
    cells += [make_cell(task, model="six", nfe=nfe) for task, nfe in zip(puzzles, (None, 2), strict=True)]
    lines = {line.label.split("-")[0]: line for line in tables(cells)["Puzzles"].lines}
    assert {name: rate_text(line) for name, line in lines.items()} == {
        "one": "2.50",
        "two": "3.00..4.00",
        "six": "-",
    }
    assert lines["six"].nfe_kinds == ("counted", "unknown")
    assert lines["six"].entries[0].value == 100.0


def test_lists_by_length_have_a_column_for_each_length_in_order(make_cell):
    cells = of(make_cell, "one", 9, ["shuffle_n20", "shuffle_n5", "shuffle_n10", "reverse_n7"])
    found = tables(cells)
    assert list(found) == ["Shuffle by number of people"], "one length alone is no table"
    assert [column.title for column in found["Shuffle by number of people"].columns] == [
        "n=5",
        "n=10",
        "n=20",
    ]


@pytest.mark.parametrize("task", ["shuffle_n15_cot", "shuffle_canvas64", "list_shuffle", "mine"])
def test_other_tasks_are_in_no_table(make_cell, task):
    assert tables(of(make_cell, "one", 9, [task])) == {}
