"""The folder of a supervisor: it goes once, whoever asks for it; what killed ones left goes with the next."""

import os
import tempfile
import threading

import pytest

from pb_plugin.cluster import own_folder
from pb_plugin.cluster.own_folder import LOCK, PREFIX, OwnFolder


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_two_threads_may_take_it_away_at_once(monkeypatch):
    """The one that runs a session which cannot start, and the one that drops its worker."""
    folder, never = OwnFolder("gw0"), threading.Event()
    close = os.close

    def close_and_wait(descriptor):
        close(descriptor)
        never.wait(0.2)  # the other thread comes to the same place

    monkeypatch.setattr(own_folder.os, "close", close_and_wait)
    errors = []

    def leave():
        try:
            folder.leave()
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=leave) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert (errors, folder.path.exists()) == ([], False)


def test_what_a_killed_one_left_goes_with_the_next_and_what_is_held_stays(temporary):
    left = temporary / f"{PREFIX}left"
    left.mkdir()
    left.joinpath(LOCK).touch()
    held = OwnFolder("gw0")
    OwnFolder("gw1").leave()
    assert [path.name for path in temporary.iterdir()] == [held.path.name]
    held.leave()
    assert list(temporary.iterdir()) == []
