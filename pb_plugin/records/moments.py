"""The moment at the front of a file's name, by which files are read in the order in which they were begun.

A clock that was set back must not put a new file before those that are there: the newest run is the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

_FORM = "%Y%m%dT%H%M%S%fZ"
_LEAST = timedelta(microseconds=1)


def moment_after(files: Sequence[Path] = (), *, now: float | None = None) -> str:
    """Return the present moment (UTC), or the one after the latest that the names of *files* begin with.

    Args:
        files: What is there.
        now: Seconds since 1970; None asks the clock.
    """
    present = datetime.now(UTC) if now is None else datetime.fromtimestamp(now, UTC)
    known = [moment for file in files if (moment := moment_of(file)) is not None]
    return max([present, *(moment + _LEAST for moment in known)]).strftime(_FORM)


def moment_of(file: Path) -> datetime | None:
    """Return the moment that the name of *file* begins with; None where somebody renamed it."""
    try:
        return datetime.strptime(file.stem.partition("-")[0], _FORM).replace(tzinfo=UTC)
    except ValueError:
        return None
