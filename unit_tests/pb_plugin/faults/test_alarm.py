"""The alarm ends what takes too long, whatever it is doing, and nothing else."""

import math
import re
import signal
import socket
import threading
import time

import pytest

from decoders.rows import TimedOut
from pb_plugin.faults.alarm import SIGNAL, Alarm


@pytest.fixture
def alarm():
    before = signal.getsignal(SIGNAL)
    found = Alarm(lambda: None)
    yield found
    found.close()
    assert signal.getsignal(SIGNAL) is before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def waits_for_a_socket():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)


def computes():
    while True:
        pass


def keeps_the_lock_of_python():
    """A pattern that takes forever; no other thread runs meanwhile."""
    re.fullmatch(r"(a+)+b", "a" * 60)


def sleeps_on():
    while True:
        try:
            time.sleep(30.0)
        except Exception:
            continue


@pytest.mark.parametrize(
    "call",
    [waits_for_a_socket, computes, keeps_the_lock_of_python, sleeps_on],
    ids=lambda call: call.__name__,
)
def test_what_hangs_in_python_is_ended_by_an_exception(alarm, call):
    began = time.monotonic()
    with pytest.raises(TimedOut, match=r"not back within 0\.2 s"), alarm.limit(0.2):
        call()
    assert time.monotonic() - began < 25.0


def test_what_is_in_time_is_left_alone_and_so_is_what_comes_after(alarm):
    for _ in range(3):
        with alarm.limit(0.2):
            time.sleep(0.1)
    time.sleep(0.4)


def test_a_limit_is_that_of_its_own_call(alarm):
    with alarm.limit(5.0):
        pass
    with pytest.raises(TimedOut, match=r"within 0\.1 s"), alarm.limit(0.1):
        time.sleep(5.0)
    with alarm.limit(5.0):
        time.sleep(0.3)


def test_without_a_limit_or_in_another_thread_nothing_is_watched(alarm):
    before = signal.getsignal(SIGNAL)
    with alarm.limit(math.inf):
        pass
    said = []

    def call():
        with alarm.limit(0.05):
            time.sleep(0.2)
        said.append("done")

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert said == ["done"]
    assert signal.getsignal(SIGNAL) is before
