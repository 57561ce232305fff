"""What a process leaves behind, and what is read from it after its end."""

import faulthandler
import json

import pytest

from pb_plugin.faults.at_work import FOLDER, AtWork, row_text
from pb_plugin.faults.ends import UNKNOWN, Ends

ROWS = [row_text("k1", "confidence"), row_text("k2", "random")]


def left_behind(store, name):
    """What a process at work leaves when it ends: nobody closes anything."""
    work = AtWork(store, name)
    work.decoded("m", "random")
    work.decoding("m", [*ROWS, *ROWS])
    work.decoding("m", ROWS)
    return work


def test_a_worker_that_ends_without_a_word_leaves_its_rows(tmp_path):
    ends = Ends(tmp_path, "run")
    left_behind(tmp_path, ends.name("gw0"))
    ends.note("gw0")
    (found,) = ends.found
    assert (found.kind, found.why, found.stage, found.model) == ("worker_crash", UNKNOWN, "decoding", "m")
    assert found.rows == (("k1", "confidence"), ("k2", "random"))
    assert found.decoded == {"random": 1}
    assert ends.at_work == {"gw0"}
    assert ends.lines == [
        f"a process was ended by a fault: worker_crash: {UNKNOWN}; it was decoding 2 rows of model m"
    ]
    assert Ends(tmp_path, "other").learn() == [found], "a replacement learns of it"
    ends.forget()
    assert not (tmp_path / FOLDER).exists()


def test_a_worker_that_was_not_at_work_is_no_end(tmp_path):
    ends = Ends(tmp_path, "run")
    left_behind(tmp_path, ends.name("gw0")).rest()
    ends.note("gw0")
    ends.note("gw1")
    assert (ends.found, ends.at_work) == ([], set())


def test_stacks_say_how_it_ended(tmp_path):
    ends = Ends(tmp_path, "run")
    hung = left_behind(tmp_path, ends.name("gw0"))
    with open(hung.stacks, "w", closefd=False) as stacks:
        stacks.write("Timeout (0:00:01)!\n")
        stacks.flush()
        faulthandler.dump_traceback(file=stacks)
    ends.note("gw0")
    assert ends.found[0].kind == "timeout"
    assert ends.found[0].why.startswith("it hung in C code in test_stacks_say_how_it_ended (test_ends.py:")

    lost = left_behind(tmp_path, ends.name("gw1"))
    lost.say_lost("CUDA error:\n  asserted")
    lost.rest()
    lost.close()
    ends.note("gw1")
    assert (ends.found[1].kind, ends.found[1].why) == ("model_error", "CUDA error: asserted")
    assert len(ends.found[1].rows) == 2, "what was in work when the device was lost"


@pytest.mark.parametrize("is_fault", [True, False], ids=["it hung", "it was killed from outside"])
def test_an_earlier_run_in_one_process_counts_where_it_could_say_why(tmp_path, is_fault):
    work = left_behind(tmp_path, "9_9-main")
    if is_fault:
        with open(work.stacks, "w", closefd=False) as stacks:
            stacks.write("Timeout (0:00:01)!\n")
    ends = Ends(tmp_path, "run")
    ends.collect()
    assert ends.found == [], "it may still be there"
    for descriptor in (work._descriptor, work._stacks_descriptor):
        __import__("os").close(descriptor)
    ends.collect()
    assert [end.kind for end in ends.found] == ["timeout"] * is_fault
    ends.forget()
    assert not (tmp_path / FOLDER).exists()


def test_damaged_ends_are_no_ends(tmp_path):
    (tmp_path / FOLDER).mkdir()
    for number, text in enumerate(("", "{", "[]", "{}", '{"rows": 3}', json.dumps({"rows": [], "kind": 1}))):
        (tmp_path / FOLDER / f"{number}.ended").write_text(text)
    assert Ends(tmp_path, "run").learn() == []


def test_nowhere_is_written_where_there_is_no_store():
    work = AtWork(None)
    work.decoding("m", ROWS)
    assert work.stacks is None
    work.rest()
    work.close()
