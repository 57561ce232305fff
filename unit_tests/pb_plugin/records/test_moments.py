"""The moments in the names of files: in the order of what happened, wherever the clock stands."""

from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.records.moments import moment_after, moment_of

YEAR_S = 365 * 24 * 3600.0


@given(st.lists(st.floats(0.0, 60 * YEAR_S), min_size=1, max_size=8))
def test_names_are_in_the_order_in_which_they_were_given_whatever_the_clock_says(clock):
    files: list[Path] = []
    for now in clock:
        files.append(Path(f"runs/{moment_after(files, now=now)}-main-7.jsonl"))
    assert [file.name for file in files] == sorted({file.name for file in files})


def test_a_clock_that_goes_right_is_read():
    name = moment_after([Path("20200101T000000000000Z-a.json"), Path("renamed.json")], now=1.7e9)
    assert name == "20231114T221320000000Z"
    assert moment_of(Path(f"{name}-7.jsonl")) == datetime.fromtimestamp(1.7e9, UTC)
    assert moment_of(Path("renamed.json")) is None
    before, now, after = datetime.now(UTC), moment_of(Path(moment_after())), datetime.now(UTC)
    assert before <= now <= after
