"""A worker ends soon after its parent is gone."""

import os
import subprocess
import sys
import time

CHILD = (
    "import os, time\nfrom pb_plugin.session.orphan import end_with_parent\n"
    "end_with_parent()\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n"
)
PARENT = (
    "import subprocess, sys\n"
    "pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.DEVNULL, 'text': True}\n"
    f"child = subprocess.Popen([sys.executable, '-c', {CHILD!r}], **pipes)\n"
    "print(child.stdout.readline().strip(), flush=True)\n"
)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_process_ends_within_seconds_of_its_parent():
    done = subprocess.run([sys.executable, "-c", PARENT], capture_output=True, text=True, check=True)
    child = int(done.stdout)
    until = time.monotonic() + 60
    while alive(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(child)
