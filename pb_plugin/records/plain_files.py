"""Files beside ours: what is no file is refused before reading it can hang; what is written is whole."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
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


def write_whole(path: Path, text: str | bytes, *, what: str) -> None:
    """Write *text*, which is ASCII, to *path*, all or nothing: whoever reads meanwhile sees no half of it.

    Raises:
        OSError: It cannot be written, as on a full disk; says *what* is lost and the cure.
    """
    unfinished = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(text.encode("ascii") if isinstance(text, str) else text)
        unfinished.rename(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise OSError(
            f"{path}: {what} could not be written ({error.strerror}); make the folder writable or free some "
            "space, and run the same command again: every record is stored and used"
        ) from error
