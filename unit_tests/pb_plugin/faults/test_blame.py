"""Which rows, methods and models are left out after what ends, by hand."""

from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.faults.at_work import Ended
from pb_plugin.faults.blame import Blame


def ended(*rows, kind="worker_crash", stage="decoding", decoded=None, model="m"):
    """The end of a process with these rows in work; the first letter of a row's key is its method."""
    return Ended(
        kind=kind,
        why="it crashed",
        stage=stage,
        model=model,
        rows=tuple((row, row[0]) for row in rows),
        decoded=decoded or {},
    )


def blame(*ends):
    found = Blame()
    for end in ends:
        found.note(end)
    return found


def test_rows_that_crashed_together_come_last_and_one_by_one():
    found = blame(ended("a1", "a2"))
    rows = {key: key[0] for key in ("a1", "a3", "a2", "b1")}
    assert found.next_part(rows) == ["a3", "b1"]
    assert found.next_part({"a1": "a", "a2": "a"}) == ["a1"]
    assert found.reason("m", "a1", "a") is None


def test_a_row_is_left_out_after_two_crashes_the_last_alone_and_no_other_is():
    found = blame(ended("a1", "a2"), ended("a2", decoded={"a": 1}))
    kind, message = found.reason("m", "a2", "a")
    assert kind == "worker_crash"
    assert message == "left out: it stopped the decoding 2 times, the last time alone: it crashed"
    assert found.reason("m", "a1", "a") is None
    assert found.reason("m", "a3", "a") is None


def test_one_crash_alone_may_have_come_from_outside_and_one_hang_alone_not():
    assert blame(ended("a1")).reason("m", "a1", "a") is None
    assert blame(ended("a1", kind="timeout")).reason("m", "a1", "a")[0] == "timeout"
    assert blame(ended("a1", kind="model_error")).reason("m", "a1", "a")[0] == "model_error"


def test_a_method_of_two_guilty_rows_that_decoded_nothing_is_left_out_and_others_are_not():
    ends = [ended("a1", kind="timeout"), ended("a2", kind="timeout", decoded={"b": 3})]
    kind, message = blame(*ends).reason("m", "a9", "a")
    assert kind == "timeout"
    assert (
        "method a with model m stopped the decoding with 2 samples, each alone, and has decoded none"
        in message
    )
    assert blame(*ends).reason("m", "b9", "b") is None
    assert blame(*ends).reason("other", "a9", "a") is None
    found = blame(*ends)
    found.decoded("m", "a")
    assert found.reason("m", "a9", "a") is None


def test_a_model_whose_rows_of_two_methods_are_guilty_and_that_decoded_nothing_is_left_out():
    found = blame(ended("a1", kind="timeout"), ended("b1", kind="timeout"))
    assert found.reason("m", "c1", "c")[1].startswith("left out: model m stopped the decoding with 2 samples")
    found.decoded("m", "c")
    assert found.reason("m", "c1", "c") is None


def test_the_next_suspect_is_of_the_method_with_the_fewest_guilty_rows():
    found = blame(ended("a1", "a2", "b1"), ended("a1"))
    assert found.next_part({"a2": "a", "b1": "b"}) == ["b1"]


def test_a_model_that_ends_two_processes_while_it_is_loaded_is_not_loaded_again():
    found = blame(ended(stage="loading"))
    assert found.loading("m") is None
    found.note(ended(stage="loading"))
    assert found.loading("m") == "worker_crash: loading it ended 2 processes: it crashed"
    assert found.loading("other") is None


@given(st.data())
def test_whatever_rows_crash_their_process_it_comes_to_an_end_and_only_they_are_left_out(data):
    """Where every method decodes something: one end for the batch, and one for each such row alone."""
    rows = {f"{method}{i}": method for method in "abc" for i in range(4)}
    bad = set(data.draw(st.lists(st.sampled_from([key for key in rows if key[1] != "0"]), unique=True)))
    found, left, deaths = Blame(), dict(rows), 0
    out = set()
    while left:
        gone = {key for key in left if found.reason("m", key, left[key]) is not None}
        out |= gone
        left = {key: method for key, method in left.items() if key not in gone}
        part = found.next_part(left)
        if bad & set(part):
            deaths += 1
            found.note(ended(*part))
            continue
        for key in part:
            found.decoded("m", left.pop(key))
    assert out == bad
    assert deaths <= 1 + len(bad)
