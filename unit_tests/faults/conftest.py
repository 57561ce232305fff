"""Runs of the plugin over a model that goes wrong, and what they leave behind."""

import shutil
import zlib
from pathlib import Path

import pytest

from unit_tests.pb_plugin import conftest

HERE = Path(__file__).parent
suite = conftest.suite
"""The fixture of the plugin's tests."""

RUN = ("--model", "faulty:load", "--task", "copy", "--unmasking", "confidence", "--samples", "6")

KILLED = """
import os, signal
from pathlib import Path

def kill(place):
    times = Path(place)
    if times.exists() and int(times.read_text()):
        times.write_text(str(int(times.read_text()) - 1))
        os.kill(os.getpid(), signal.SIGKILL)

def pytest_configure(config):
    if hasattr(config, "workerinput"):
        kill("configure")

def pytest_runtest_setup(item):
    if hasattr(item.config, "workerinput"):
        kill("setup")
"""
"""A conftest.py: workers kill themselves at a place, as often as the number in the file of its name says."""


class Faults:
    """A suite whose model, method or scorer goes wrong as it is told."""

    def __init__(self, suite, monkeypatch):
        self.suite = suite
        self._monkeypatch = monkeypatch
        shutil.copy(HERE / "faulty.py", suite.pytester.path)
        monkeypatch.syspath_prepend(suite.pytester.path)

    def bad(self, number):
        """Return the id of a sample, and the checksum of its prompt in hex."""
        from pb_plugin.planning.options import Options
        from pb_plugin.planning.plan import plan
        from pb_plugin.records.store import Store
        from pb_plugin.running.bench import Bench

        options = Options(task=("copy",), unmasking=("confidence",), k=(32,), samples=6)
        (cell,) = plan(options).cells
        planned = Bench(options, Store(self.suite.store)).resources.planned(cell)[number]
        text = planned.question.messages[-1]["content"]
        return planned.question.sample.id, zlib.crc32(text.encode()).to_bytes(4, "big").hex()

    def set(self, place, fault, bad="", **more):
        """Let *place* go wrong on the sample *bad*, or on every one; *more* are further samples by fault."""
        faults = [(bad, fault), *((bad, fault) for fault, bad in more.items())]
        self._monkeypatch.setenv("FAULT_AT", place)
        self._monkeypatch.setenv("FAULTS", ",".join(f"{bad}={fault}" for bad, fault in faults))

    def cure(self):
        self._monkeypatch.delenv("FAULT_AT", raising=False)

    def failures(self):
        """The failed samples of the store that have no result: class and message by sample and k."""
        index_of = {}
        done = set()
        for record in self.suite.records():
            key = tuple(record.parts[name] for name in ("model", "sample_id", "method", "k"))
            if record.failed:
                index_of[key] = (record.error["class"], record.error["message"])
            else:
                done.add(key)
        return {key[1:]: error for key, error in index_of.items() if key not in done}


@pytest.fixture
def faults(suite, monkeypatch):
    """See `Faults`."""
    return Faults(suite, monkeypatch)
