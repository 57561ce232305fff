"""The folder that a supervisor writes to on its machine: it goes with it, or the next one takes it away."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from pb_plugin.records.begun import is_held

PREFIX = "pb-worker-"
LOCK = "held"


class OwnFolder:
    """A new folder among the temporary files, locked as long as this process lives.

    What supervisors that were killed have left there is taken away first: they could not, and a disk fills.

    Args:
        name: The worker's name.
    """

    def __init__(self, name: str) -> None:
        for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
            with suppress(OSError):  # somebody else's
                if not is_held(path / LOCK):
                    shutil.rmtree(path, ignore_errors=True)
        begun = Path(tempfile.mkdtemp(prefix=f"pb-new-{name}-"))
        self._lock = os.open(begun / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = begun.rename(begun.with_name(PREFIX + begun.name.removeprefix("pb-new-")))
        self._leaving = threading.Lock()

    def leave(self) -> None:
        """Take the folder away; who runs a session and who ends it may both ask for it, at the same time."""
        with self._leaving:
            shutil.rmtree(self.path, ignore_errors=True)
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1
