"""The key of a score: read as it was written, and a line for what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.records.score_key import ScoreKey

NAMES = st.text("abc:_.", min_size=1)


@given(NAMES, NAMES, NAMES, st.sampled_from(["", "/bertscore=org/name@6/grammar=lt:6.8+ab:en-US"]))
def test_a_key_is_read_as_it_was_written(scorer, version, text_rule, tools):
    key = ScoreKey(scorer=scorer, version=version, text_rule=text_rule, tools=tools)
    assert str(key) == f"{scorer}@{version}/{text_rule}{tools}"
    assert ScoreKey.read(str(key)) == key


@pytest.mark.parametrize("text", ["", "list", "list@2", "list@/rule", "@2/rule", "list/rule@2"])
def test_what_is_no_key_is_refused(text):
    with pytest.raises(ValueError, match=r"^score_key must be SCORER@VERSION.* got .*; run the suite"):
        ScoreKey.read(text)
