"""The law of an answer set: what the theory says of its tokens, shared by questions of one structure."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.text.tokenizer import EOS_ID, PieceTokenizer
from decoders.theory import answer_sets
from decoders.theory.answer_sets import chance_correct, enumerated
from decoders.theory.exact_law import correct_probability

LENGTH = 4


def answers_of(texts):
    weights = [1 + i % 2 for i in range(len(texts))]
    return enumerated(PieceTokenizer(), texts, weights, gen_length=LENGTH, eos_id=EOS_ID, sample="x")


@settings(deadline=None)
@given(
    texts=st.lists(st.text("abc", min_size=1, max_size=LENGTH), min_size=2, max_size=8, unique=True),
    steps=st.lists(st.integers(0, 3), min_size=LENGTH, max_size=LENGTH),
    temperature=st.sampled_from([0.0, 1.0]),
)
def test_it_is_the_exact_law_of_the_tokens(texts, steps, temperature):
    answers = answers_of(texts)
    expected = correct_probability(answers.ids, answers.weights, steps, temperature)
    assert chance_correct(answers, steps, temperature) == pytest.approx(expected, abs=1e-12)


def test_questions_that_differ_only_in_their_tokens_share_a_structure():
    first, second = (
        answers_of(["".join(order) for order in itertools.permutations(items)]) for items in ("abc", "xzy")
    )
    assert first.structure == second.structure
    assert first.structure != answers_of(["abc", "abd", "xbc", "xbd", "ayc", "ayd"]).structure


def test_steps_that_commit_in_one_order_have_one_law(monkeypatch):
    """When a token was committed on which all answers agree says nothing, nor do the numbers of the steps."""
    computed = []
    inside = answer_sets.joint_correct_probability

    def counted(*given):
        computed.append(given)
        return inside(*given)

    monkeypatch.setattr(answer_sets, "joint_correct_probability", counted)
    answers = answers_of(["abcx", "bacx", "cabx"])
    same = [(0, 1, 1, 2), (3, 5, 5, 0), (0, 7, 7, 7)]
    assert len({chance_correct(answers, steps, 0.0) for steps in same}) == len(computed) == 1
    chance_correct(answers, (1, 0, 1, 2), 0.0)
    assert len(computed) == 2
