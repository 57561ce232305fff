"""Samples to learn from follow the rules of their tasks and are never those that models are measured on."""

from itertools import islice

import pytest

from task_specs.answers import derived_answers
from task_specs.load import load_samples
from task_specs.questions.lessons import Lessons
from task_specs.sample import Enumerated
from task_specs.scoring import SCORERS
from task_specs.spec import builtin_spec

TASKS = ("shuffle", "replace_index", "sort", "list_copy", "sudoku", "latin_square")


def drawn(lessons, split="train", count=60):
    return [lessons.sample(split, number) for number in range(count)]


def test_tasks_and_lengths_take_turns():
    lessons = Lessons(map(builtin_spec, ("copy", "reverse")), seed=0)
    found = [(spec.id, sample.length) for spec, sample in islice(drawn(lessons), 8)]
    assert found == [(task, n) for n in (3, 4, 5, 6) for task in ("copy", "reverse")]


@pytest.mark.parametrize("task", TASKS)
def test_the_answer_is_right_by_the_scorer_of_the_task(task):
    spec = builtin_spec(task)
    for _, sample in drawn(Lessons([spec], seed=1), count=12):
        assert SCORERS[spec.scorer](sample.example, sample, {}).values[spec.score] == 1.0
        answers = derived_answers(sample.facts)
        assert not isinstance(answers, Enumerated) or sample.example in answers.texts


def test_a_number_is_always_the_same_sample_and_splits_differ():
    one, other = (Lessons([builtin_spec("shuffle")], seed=3) for _ in range(2))
    assert one.sample("train", 17) == other.sample("train", 17)
    assert one.sample("train", 17) != one.sample("validation", 17)
    assert one.sample("train", 17) != one.sample("train", 18)
    assert one.sample("train", 17) != Lessons([builtin_spec("shuffle")], seed=4).sample("train", 17)


def test_no_sample_has_the_people_of_a_measured_one_of_any_of_the_tasks():
    """A list of 2 of 26 letters has 325 sets of letters; most are measured, and none of those is drawn."""
    letters = builtin_spec("list_copy", {"n": "2", "samples": "300"})
    measured = {frozenset(sample.facts["items"]) for sample in load_samples(letters)}
    found = [frozenset(sample.facts["items"]) for _, sample in drawn(Lessons([letters], seed=0), count=200)]
    assert len(measured) > 150
    assert not measured & set(found)


def test_a_task_without_a_question_that_is_left_is_refused(monkeypatch):
    monkeypatch.setattr("task_specs.questions.lessons.MAX_DRAWS", 20)
    lessons = Lessons([builtin_spec("list_copy")], seed=0)
    monkeypatch.setattr(lessons, "_measured", type("All", (), {"__contains__": lambda *_: True})())
    with pytest.raises(ValueError, match="task 'list_copy' must have questions that no model is measured on"):
        lessons.sample("train", 0)


def test_a_task_written_by_hand_is_refused():
    with pytest.raises(
        ValueError, match="tasks must have a generator to be learned, got paraphrasing, whose"
    ):
        Lessons([builtin_spec("paraphrasing")], seed=0)


def test_no_task_is_refused():
    with pytest.raises(ValueError, match="tasks must be at least one, got none; name one"):
        Lessons([], seed=0)
