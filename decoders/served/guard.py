"""Runs a command until it ends or until this process's standard input closes, whichever comes first.

A script of its own, started beside the suite: when the suite is killed, the pipe closes, and the server that
it started goes, too, instead of keeping a port and a GPU.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

GRACE_S = 10.0


def main(command: list[str]) -> int:
    """Run *command* in this process's group; return its exit status, or 0 where it was ended."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # a handler is not inherited, as ignoring would be
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_input, args=(child,), daemon=True).start()
    return child.wait()


def _end_with_input(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):  # nothing is ever written to it
        pass
    os.killpg(0, signal.SIGTERM)
    ends = time.monotonic() + GRACE_S
    while child.poll() is None and time.monotonic() < ends:
        time.sleep(0.05)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
