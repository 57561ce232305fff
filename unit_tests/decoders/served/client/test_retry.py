"""Waits grow, are drawn in part, keep what the server asks for, and end."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoders.served.client.failures import AskError, retry_after
from decoders.served.client.retry import ask_until_answered, wait_before
from decoders.served.options import ServedOptions

OPTIONS = ServedOptions(first_wait_s=0.5, longest_wait_s=8.0, attempts=5)


@given(st.integers(1, 60), st.floats(0, 1, exclude_max=True))
def test_a_wait_lies_between_half_and_the_whole_of_a_doubling_one(attempt, drawn):
    most = min(8.0, 0.5 * 2 ** (attempt - 1))
    assert most / 2 <= wait_before(attempt, None, OPTIONS, lambda: drawn) <= most


@given(st.floats(0, 100), st.floats(0, 1, exclude_max=True))
def test_what_the_server_asks_for_is_kept(asked, drawn):
    assert asked <= wait_before(1, asked, OPTIONS, lambda: drawn) <= 1.1 * asked + 1e-9


def failing(times, **error):
    left = [times]

    def attempt():
        if left[0]:
            left[0] -= 1
            raise AskError(message="no luck", **{"again": True, **error})
        return "an answer"

    return attempt


def test_the_answer_comes_with_the_number_of_attempts_and_the_waits_grow():
    waits = []
    found = ask_until_answered(failing(3), OPTIONS, sleep=lambda s: waits.append(s), draw=lambda: 0.0)
    assert found == ("an answer", 4)
    assert waits == [0.25, 0.5, 1.0]


@pytest.mark.parametrize(
    ("times", "error", "message"),
    [
        (9, {}, r"no luck \(5 attempts\); run again later: what is stored is not asked again"),
        (9, {"wait_s": 9.0}, r"no luck \(it asks to wait 9 s\); run again later"),
        (9, {"again": False}, r"^no luck$"),
    ],
)
def test_it_ends_with_a_reason(times, error, message):
    with pytest.raises(AskError, match=message) as raised:
        ask_until_answered(failing(times, **error), OPTIONS, sleep=lambda s: False, draw=lambda: 0.5)
    assert not raised.value.again


def test_a_run_that_ends_is_not_waited_for():
    with pytest.raises(AskError, match=r"\(1 attempts\)"):
        ask_until_answered(failing(9), OPTIONS, sleep=lambda s: True)


def test_retry_after_is_seconds_or_a_date():
    assert retry_after("1.5") == 1.5
    assert retry_after("-3") == 0.0
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 28.0 <= retry_after(soon) <= 30.0
    assert [retry_after(text) for text in (None, "", "soon", "nan")] == [None] * 4
