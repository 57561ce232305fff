"""A task whose own answers are not right under its scorer is refused; of the built-in tasks none is."""

import json
import re

import pytest

from task_specs.answers import derived_answers
from task_specs.catalogue import list_op_ids, task_ids
from task_specs.load import load_samples
from task_specs.sample import Sample
from task_specs.scoring import Scored, answer_text, resolve_scorer
from task_specs.scoring.own_answers import check_own_answers
from task_specs.spec import builtin_spec


def sample_of(*, answers=None, example=None, **facts):
    return Sample(
        id="n2-000",
        fields={},
        facts=facts,
        shots=(),
        example=example,
        answers=answers,
        template=None,
        length=1,
    )


def check(sample, scorer="list", main="accuracy"):
    score = resolve_scorer(scorer) if isinstance(scorer, str) else scorer
    check_own_answers([sample], score, scorer=str(scorer), main=main)


@pytest.mark.parametrize("task", [*task_ids(), *list_op_ids(), "copy:cot", "shuffle:n7"])
def test_every_answer_of_a_built_in_task_scores_one(task):
    task, _, variant = task.partition(":")
    params = {"": {}, "cot": {"cot": True}, "n7": {"n": 7, "samples": 2}}[variant]
    spec = builtin_spec(task, params)
    scorer = resolve_scorer(spec.scorer)
    seen = []

    def score(text, sample, measured):
        seen.append(text)
        return scorer(answer_text(text, spec.answer_marker), sample, measured)

    check_own_answers(load_samples(spec), score, scorer=spec.scorer, main=spec.score)
    assert len(seen) >= spec.n_samples


ODD = {"operation": "shuffle", "items": ["Smith, Jr.", 'Al "Bo"', "[x]", "a\\b"], "exclude_input": True}


def test_odd_items_are_answered_by_their_json_list():
    check(sample_of(answers=derived_answers(ODD), **ODD))


@pytest.mark.parametrize(
    ("sample", "scorer", "main", "message"),
    [
        (
            sample_of(example='["b", "a"]', operation="copy", items=["a", "b"]),
            "list",
            "accuracy",
            "answers of sample 'n2-000' must score 1 under scorer list, got accuracy 0 for '[\"b\", \"a\"]'",
        ),
        (
            sample_of(example='["a","b"]', operation="copy", items=["a", "b"]),
            "list",
            "accuracy_strict",
            'must score 1 under scorer list, got accuracy_strict 0 for \'["a","b"]\'',
        ),
        (
            sample_of(example="A dog.", words=["dogs"]),
            "words_to_sentence",
            "grammar",
            "must score 1 under scorer words_to_sentence, got inclusion 0 for 'A dog.'",
        ),
        (
            sample_of(example="[]", operation="copy", items=["a"]),
            "list",
            "rouge1",
            "scorer list must give rouge1, the score of the task, for sample 'n2-000', got accuracy, "
            "accuracy_strict; correct 'score' in the task file",
        ),
        (
            sample_of(example="x"),
            "list",
            "accuracy",
            "answers of sample 'n2-000' must score 1 under scorer list, got accuracy 0 for 'x'",
        ),
        (
            sample_of(example="[]"),
            "list",
            "accuracy",
            "answers of sample 'n2-000' must be scored by scorer list, got 'items' for '[]'; correct",
        ),
    ],
    ids=["wrong", "not-strict", "word-missing", "no-such-score", "no-list", "raises"],
)
def test_a_task_whose_own_answer_is_not_right_is_refused(sample, scorer, main, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check(sample, scorer, main)


def test_each_listed_answer_is_looked_at_and_a_score_without_its_tool_is_no_fault():
    facts = {"operation": "remove_random", "items": ["a", "b", "c"]}
    seen = []

    def score(text, sample, measured):
        seen.append(json.loads(text))
        return Scored(values={"accuracy": None}, reasons={"accuracy": "no tool"})

    check(sample_of(answers=derived_answers(facts), **facts), score)
    assert seen == [["b", "c"], ["a", "c"], ["a", "b"]]
