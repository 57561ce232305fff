"""The process between a run and its LanguageTool server: ends the server when the run is gone.

Run as a script: ``python supervisor.py COMMAND...`` with a pipe from the run as standard input.
The system closes that pipe when the run ends, even by kill -9. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

POLL_S = 0.2
GRACE_S = 5.0


def _die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies, for the case that the supervisor is killed too."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def supervise(command: Sequence[str]) -> int:
    """Run *command* until it ends, or standard input is closed or the parent is gone; return its code."""
    run = os.getppid()
    gone = threading.Event()
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_parent if os.name == "posix" else None,
    )

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)
        gone.set()

    try:
        threading.Thread(target=watch, daemon=True).start()
        while server.poll() is None and not gone.wait(POLL_S) and os.getppid() == run:
            pass
        if server.poll() is None:
            server.terminate()
        return server.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        return 1
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(supervise(sys.argv[1:]))
