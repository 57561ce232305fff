"""Runs with ``--pb-engine`` whose workers are threads, and modules with models and methods that go wrong."""

import psutil
import pytest

from unit_tests.pb_plugin.cluster.local_link import LocalLink

USER_CODE = '''
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from unit_tests.user_parts import Babble, BestFirst


def load(request):
    """Kill the process or the machine whose number stands in a file, once."""
    for name, pid in (("kill_supervisor", os.getppid()), ("kill_node", os.environ.get("RAY_RAYLET_PID"))):
        file = Path(name)
        if file.exists() and (not file.read_text() or file.read_text() == str(pid)):
            file.unlink()
            os.kill(int(pid), 9)
            time.sleep(60)  # it goes with them
    with Path("loads.txt").open("a") as file:
        file.write(f"{os.environ.get('RAY_RAYLET_PID')} {os.getpid()}\\n")
    return Babble()


@dataclass(frozen=True, kw_only=True)
class Crashing(BestFirst):
    name: ClassVar[str] = "crashing"

    def step(self, view, memory):
        if (view.quota == 4).any():
            os._exit(3)
        return super().step(view, memory)
'''


@pytest.fixture
def user_code(suite):
    """The suite, with a module ``user_code`` beside its test file."""
    suite.pytester.makepyfile(user_code=USER_CODE)
    return suite


@pytest.fixture
def link(user_code, monkeypatch):
    """Let ``--pb-engine ray`` of this process take threads for its cluster."""
    found = LocalLink()
    monkeypatch.setattr("pb_plugin.cluster.ray_link.RayLink", lambda options: found)
    monkeypatch.setattr("pb_plugin.cluster.sharing.find_spec", lambda name: name)
    monkeypatch.syspath_prepend(user_code.pytester.path)
    yield found
    left = [child for child in psutil.Process().children() if "start.py" in " ".join(child.cmdline())]
    assert not left, "a session that was stopped is gone, and somebody waited for it"
