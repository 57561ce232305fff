"""The guard knows the rows of every step, and a sample that takes too long is ended alone."""

import time

import pytest

from decoders.rows import DeviceLost, Row, Setting, TimedOut
from decoders.unmasking.top_k import confidence
from pb_plugin.faults.at_work import AtWork
from pb_plugin.faults.ends import Ends
from pb_plugin.faults.guard import Guard
from pb_plugin.planning.limits import Limits

KEYS = [(f"k{index}", "confidence") for index in range(3)]


def rows(*keys):
    setting = Setting(method=confidence(), k=1)
    return tuple(Row(key=key, prompt_ids=(1,), gen_length=4, setting=setting) for key in keys)


@pytest.fixture
def guard(tmp_path):
    found = Guard(Limits(forward=5.0, sample=0.3), AtWork(tmp_path, "run-gw0"))
    yield found
    found.close()


def test_the_rows_of_a_step_are_written_down_before_it(guard, tmp_path):
    with guard.sweeping("m", KEYS):
        with guard.step(rows(0, 2)):
            ends = Ends(tmp_path, "run")
            ends.note("gw0")
        assert ends.found[0].rows == (KEYS[0], KEYS[2])
        assert guard.ended("timeout", "late").rows == (KEYS[0], KEYS[2])
        assert guard.ended("timeout", "late", [2]).rows == (KEYS[2],)


def test_a_sample_that_takes_too_long_over_many_steps_is_to_blame_and_its_mates_are_not(guard):
    with guard.sweeping("m", KEYS):
        with guard.step(rows(0)):
            time.sleep(0.2)
        with guard.step(rows(0, 1)):
            time.sleep(0.2)
        with pytest.raises(TimedOut, match=r"not back within 0\.3 s") as late:
            guard.step(rows(0, 1))
        assert late.value.keys == (0,)
    with guard.sweeping("m", KEYS), guard.step(rows(0, 1)):
        pass


def test_a_lost_device_is_written_down_with_its_rows(guard, tmp_path):
    with pytest.raises(DeviceLost), guard.sweeping("m", KEYS), guard.step(rows(1)):
        raise DeviceLost("CUDA error: gone")
    guard.close()
    ends = Ends(tmp_path, "run")
    ends.note("gw0")
    (end,) = ends.found
    assert (end.kind, end.why, end.rows) == ("model_error", "CUDA error: gone", (KEYS[1],))
