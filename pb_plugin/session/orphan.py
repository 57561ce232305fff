"""A worker whose controlling process is gone ends at once, so that a run started meanwhile works alone."""

from __future__ import annotations

import os
import threading
import time

LOOK_EVERY = 0.5
"""Seconds between two looks at the parent process."""

EXIT_CODE = 3


def end_with_parent(parent: int | None = None) -> None:
    """Watch the parent of this process from a thread of its own; end this process when it is another's.

    What was decoded is stored: a record is written with one system call.

    Args:
        parent: Id of the process to stay with; None for the present parent.
    """
    stays_with = os.getppid() if parent is None else parent

    def watch() -> None:
        while os.getppid() == stays_with:
            time.sleep(LOOK_EVERY)
        os._exit(EXIT_CODE)

    threading.Thread(target=watch, name="pb-orphan", daemon=True).start()
