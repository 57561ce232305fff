"""The files of a folder by their names; what is no file is refused before reading it can hang."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def plain_files(folder: Path, pattern: str) -> list[Path]:
    """Return the files in *folder* that *pattern* matches, by name; none where there is no folder.

    Raises:
        ValueError: One is a folder, a pipe, a link to nothing, or not readable; names it and the cure.
    """
    found = sorted(folder.glob(pattern))
    for path in found:
        wrong = _fault(path)
        if wrong is not None:
            raise ValueError(
                f"{path} must be a file that can be read, as everything named {pattern} in {folder}, got "
                f"{wrong}; move it away"
            )
    return found


def _fault(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return f"a link to {str(path.readlink())!r}, which is not there" if path.is_symlink() else None
    except OSError as error:
        return error.strerror
    if stat.S_ISREG(mode):
        return None if os.access(path, os.R_OK) else "no permission"
    return next((kind for test, kind in _KINDS if test(mode)), "something else")
