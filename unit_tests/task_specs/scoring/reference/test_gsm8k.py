"""Which number of an output counts, in the two published readings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_specs.sample import Sample
from task_specs.scoring import SCORERS
from task_specs.scoring.reference.gsm8k import last_number, marked_number


def sample_of(number):
    return Sample(
        id="a",
        fields={},
        facts={"number": number},
        shots=(),
        example=None,
        answers=None,
        template=None,
        length=1,
    )


@pytest.mark.parametrize(
    ("text", "lenient", "strict"),
    [
        ("3 + 15 = 18\n#### 18", 1, 1),
        ("The answer is $18.", 1, 0),
        ("#### 18 and then 4", 0, 1),
        ("#### 1,8", 1, 1),
        ("#### 18.", 1, 1),
        ("####18", 1, 0),
        ("#### 18.0", 0, 0),
        ("#### -18", 0, 0),
        ("eighteen", 0, 0),
        ("", 0, 0),
        ("so 18 it is, ...", 1, 0),
        ("#### 17\n#### 18", 1, 0),
    ],
)
def test_the_number_is_taken_from_the_end_or_from_behind_the_marker(text, lenient, strict):
    values = SCORERS["gsm8k"](text, sample_of("18"), {}).values
    assert values == {"accuracy": lenient, "accuracy_strict": strict}


@given(number=st.integers(-(10**9), 10**9), before=st.text(alphabet="abc 1,$.", max_size=20))
def test_a_number_comes_back_with_commas_and_behind_any_text(number, before):
    assert marked_number(f"{before}\n#### {number:,}") == str(number)
    assert last_number(f"{before}\n#### {number:,}") == str(number)
