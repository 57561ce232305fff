"""Choices of a run: read off stored texts and the questions asked, equal to the metric itself."""

import json

import pytest

from pb_plugin.asking.samples import TaskData
from pb_plugin.results.choices import RandomTasks
from task_specs.answers import as_list_text
from task_specs.scoring.distribution import choice_distribution
from task_specs.scoring.lists import RANDOM_OPERATIONS
from task_specs.spec import builtin_spec

OWN = {"data": None, "samples": None}


@pytest.fixture
def answered(make_record):
    """Return a function: the records of a task whose answers *answer* gives for the facts of a sample."""

    def build(task, answer, **parts):
        data = TaskData(planned=builtin_spec(task), data=None, n_samples=None)
        return data, [
            make_record(
                text=as_list_text(answer(question.sample.facts)),
                parts={
                    "task": task,
                    "sample_id": question.sample.id,
                    "input_hash": question.input_hash,
                    "data_checksum": data.checksum,
                    **parts,
                },
            )
            for question in data.questions
        ]

    return build


def rotated(facts):
    return [*facts["items"][1:], facts["items"][0]]


def test_a_model_that_always_rotates_is_seen_though_it_is_always_right(answered):
    data, records = answered("shuffle", rotated)
    found = RandomTasks(asked=("shuffle",), **OWN).choices("shuffle", records)
    assert (found.n_right, found.entropy_ratio) == (len(records), 0.0)
    assert found.p_value < 1e-9
    assert 0.5 < found.entropy_ratio_unbiased < 1.0
    samples = [question.sample for question in data.questions]
    assert found == choice_distribution(zip(samples, (record.text for record in records), strict=True))


@pytest.mark.parametrize("task", RANDOM_OPERATIONS)
def test_every_random_task_has_choices_and_no_other_task(answered, task):
    _, records = answered(task, rotated)
    tasks = RandomTasks(asked=(task, "copy", "paraphrasing"), **OWN)
    assert tasks.choices(task, records) is not None
    assert tasks.choices("copy", records) is None
    assert tasks.choices("paraphrasing", records) is None


def test_a_task_that_was_not_asked_for_has_none(answered):
    _, records = answered("shuffle", rotated)
    assert RandomTasks(asked=("remove_random",), **OWN).choices("shuffle", records) is None


def test_a_variant_is_found_by_how_it_was_asked_for():
    tasks = RandomTasks(asked=("shuffle:n=4;samples=8",), **OWN)
    found = tasks.choices(builtin_spec("shuffle", {"n": "4", "samples": "8"}).id, [])
    assert found.reason == "no sample was decoded"


@pytest.mark.parametrize("part", ["input_hash", "data_checksum", "sample_id"])
def test_a_record_of_another_question_has_no_choice_and_says_so(answered, part):
    _, records = answered("shuffle", rotated)
    _, others = answered("shuffle", rotated, **{part: "of yesterday"})
    found = RandomTasks(asked=("shuffle",), **OWN).choices("shuffle", [*records[1:], others[0]])
    assert (found.p_value, found.n_used) == (None, 0)
    assert found.reason == "the samples of shuffle are others today; run the suite again"


def test_samples_that_cannot_be_read_are_a_reason_and_no_error(answered, tmp_path):
    _, records = answered("shuffle", rotated)
    found = RandomTasks(asked=("shuffle",), data=str(tmp_path), samples=None).choices("shuffle", records)
    assert found.reason.startswith("the samples of shuffle cannot be read: ")
    assert str(tmp_path) in found.reason


def test_a_task_of_a_file_that_is_gone_has_none_and_the_others_stay(answered):
    _, records = answered("shuffle", rotated)
    tasks = RandomTasks(asked=("gone.yaml", "shuffle"), **OWN)
    assert tasks.choices("gone", records) is None
    assert tasks.choices("shuffle", records).n_right == len(records)


def test_a_run_shows_them_in_its_json_and_below_the_scores(suite):
    """The exact model is always right at one token per step; JSON has the choices of every setting."""
    result = suite.run(
        "--task", "copy,shuffle", "--unmasking", "confidence", "--k", "1,32", "--samples", "12"
    )
    assert result.ret == 0
    result.stdout.re_match_lines([r"choices at one token per step +right +entropy +even +p"])
    result.stdout.re_match_lines([r"shuffle-ideal-confidence\[k=1\] +12( +(-|0\.\d+|1\.0+)){3}$"])
    result.stdout.no_re_match_line(r"shuffle-ideal-confidence\[k=32\] +\d+ +[-\d.]+ +[-\d.]+ +[-\d.]+$")
    cells = json.loads(suite.summary())["cells"]
    shown = {(cell["task"], cell["setting"]["k"]): cell["choices"] for cell in cells}
    assert shown["shuffle", 1]["n_right"] == 12
    assert set(shown["shuffle", 32]) == set(shown["shuffle", 1])
    assert shown["copy", 1] is shown["copy", 32] is None
