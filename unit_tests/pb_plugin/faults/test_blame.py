"""Which rows, settings, methods and models are left out after what ends, by hand."""

from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.faults.at_work import Ended
from pb_plugin.faults.blame import Blame

LABELS = {"a": "fast fast-k1", "b": "slow slow-k1", "c": "fast fast-k2", "d": "slow slow-k2"}
"""The label of a row by the first letter of its key: two methods in two settings each."""


def label(key):
    return LABELS[key[0]]


def ended(*rows, kind="worker_crash", stage="decoding", decoded=None, model="m"):
    """The end of a process with these rows in work."""
    return Ended(
        kind=kind,
        why="it crashed",
        stage=stage,
        model=model,
        rows=tuple((row, label(row)) for row in rows),
        decoded=decoded or {},
    )


def hung(*rows, **more):
    return ended(*rows, kind="timeout", **more)


def blame(*ends):
    found = Blame()
    for end in ends:
        found.note(end)
    return found


def reason(found, key, model="m"):
    said = found.reason(model, key, label(key))
    return None if said is None else said[1]


def test_rows_that_crashed_together_come_last_and_one_by_one():
    found = blame(ended("a1", "a2"))
    assert found.next_part({key: label(key) for key in ("a1", "a3", "a2", "b1")}) == ["a3", "b1"]
    assert found.next_part({key: label(key) for key in ("a1", "a2")}) == ["a1"]
    assert reason(found, "a1") is None


def test_a_row_is_left_out_after_two_crashes_the_last_alone_and_no_other_is():
    found = blame(ended("a1", "a2"), ended("a2", decoded={label("a"): 1}))
    assert found.reason("m", "a2", label("a")) == (
        "worker_crash",
        "left out: it stopped the decoding 2 times, the last time alone: it crashed",
    )
    assert reason(found, "a1") is None
    assert reason(found, "a3") is None


def test_one_crash_alone_may_have_come_from_outside_and_one_hang_alone_not():
    assert reason(blame(ended("a1")), "a1") is None
    assert blame(hung("a1")).reason("m", "a1", label("a"))[0] == "timeout"
    assert blame(ended("a1", kind="model_error")).reason("m", "a1", label("a"))[0] == "model_error"


def test_a_setting_of_two_guilty_rows_that_decoded_nothing_is_left_out_and_others_are_not():
    found = blame(hung("a1"), hung("a2", decoded={label("b"): 3, label("c"): 1}))
    assert reason(found, "a9").startswith(
        "left out: fast-k1 with model m stopped the decoding with 2 samples, each"
    )
    assert reason(found, "b9") is None
    assert reason(found, "c9") is None
    assert reason(found, "a9", model="other") is None
    found.decoded("m", label("a"))
    assert reason(found, "a9") is None


def test_a_method_with_guilty_rows_of_two_settings_that_decoded_nothing_is_left_out():
    found = blame(hung("a1"), hung("c1", decoded={label("b"): 1}))
    assert reason(found, "a9").startswith(
        "left out: method fast with model m stopped the decoding with 2 samples"
    )
    assert reason(found, "b9") is None
    found.decoded("m", label("c"))
    assert reason(found, "a9") is None


def test_a_model_whose_rows_of_two_methods_are_guilty_and_that_decoded_nothing_is_left_out():
    found = blame(hung("a1"), hung("b1"))
    assert reason(found, "d1").startswith("left out: model m stopped the decoding with 2 samples")
    found.decoded("m", label("d"))
    assert reason(found, "c1") is None


def test_the_next_suspect_is_of_the_method_and_then_the_setting_with_the_fewest_guilty_rows():
    found = blame(ended("a1", "a2", "b1", "c1"), ended("a1"))
    assert found.next_part({key: label(key) for key in ("a2", "c1", "b1")}) == ["b1"]
    assert found.next_part({key: label(key) for key in ("a2", "c1")}) == ["c1"]


def test_a_model_that_ends_two_processes_while_it_is_loaded_is_not_loaded_again():
    found = blame(ended(stage="loading"))
    assert found.loading("m") is None
    found.note(ended(stage="loading"))
    assert found.loading("m") == "worker_crash: loading it ended 2 processes: it crashed"
    assert found.loading("other") is None


@given(st.data())
def test_whatever_rows_crash_their_process_it_comes_to_an_end_and_only_they_are_left_out(data):
    """Where every setting decodes something: one end for the batch, and one for each such row alone."""
    rows = {f"{letter}{i}": label(letter) for letter in LABELS for i in range(3)}
    bad = set(data.draw(st.lists(st.sampled_from([key for key in rows if key[1] != "0"]), unique=True)))
    found, left, deaths, out = Blame(), dict(rows), 0, set()
    while left:
        gone = {key for key in left if reason(found, key) is not None}
        out |= gone
        left = {key: name for key, name in left.items() if key not in gone}
        part = found.next_part(left)
        if bad & set(part):
            deaths += 1
            found.note(ended(*part))
            continue
        for key in part:
            found.decoded("m", left.pop(key))
    assert out == bad
    assert deaths <= 1 + len(bad)
