"""Groups of answers: numbered as sorting numbers them, whether tokens are few or spread over a vocabulary."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.theory.exact_law import joint_correct_probability
from decoders.theory.joint import joint_of, refine

FEW, MANY = 1, 1_000_003  # what tokens are multiplied by: looked up in a table, or sorted


@given(data=st.data(), spread=st.sampled_from([FEW, MANY]), width=st.integers(0, 9))
@settings(deadline=None)
def test_groups_are_split_and_numbered_as_sorting_does(data, spread, width):
    rows = data.draw(st.lists(st.tuples(*[st.integers(0, 3)] * (1 + width)), min_size=1, max_size=12))
    table = np.array(rows, dtype=np.int64)
    labels = np.unique(table[:, 0], return_inverse=True)[1].reshape(-1)
    expected = np.unique(np.column_stack([labels, table[:, 1:]]), axis=0, return_inverse=True)[1]
    found = refine(labels, table[:, 1:] * spread, 3 * spread + 1)
    assert found.tolist() == expected.reshape(-1).tolist()


@pytest.mark.parametrize("temperature", [0.0, 0.7])
@given(data=st.data())
@settings(deadline=None, max_examples=50)
def test_the_law_does_not_depend_on_how_large_token_ids_are(temperature, data):
    answers = data.draw(st.lists(st.tuples(*[st.integers(0, 2)] * 4), min_size=1, max_size=9, unique=True))
    steps = data.draw(st.lists(st.integers(0, 3), min_size=4, max_size=4))
    weights = np.arange(1, 1 + len(answers))
    few, many = (joint_of(np.array(answers) * spread, weights) for spread in (FEW, MANY))
    chances = [joint_correct_probability(joint, steps, temperature) for joint in (few, many)]
    assert chances[0] == chances[1]
