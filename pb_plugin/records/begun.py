"""A mark in the store from the begin of a run to its end: what ends in between leaves it there."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from pb_plugin.records.moments import moment_after
from pb_plugin.records.plain_files import write_whole

SUFFIX = ".begun"
PLAN_SUFFIX = ".plan"


@dataclass(frozen=True, kw_only=True, slots=True)
class BegunRun:
    """A run that has left its mark.

    Args:
        path: The mark; its name has when the run began and which process it is.
        alive: Whether that process still holds the mark.
    """

    path: Path
    alive: bool

    @property
    def plan(self) -> Path:
        """Where the run tells what it is about to do; there from its first decode on."""
        return self.path.with_suffix(PLAN_SUFFIX)

    @property
    def line(self) -> str:
        """What is said of the run."""
        if self.alive:
            return f"not finished yet: run {self.path.stem} is still going on"
        return (
            f"unfinished: run {self.path.stem} did not reach its end; start its command again: what it "
            "decoded is stored and used"
        )


def begun_runs(store: Path) -> list[BegunRun]:
    """Return the runs in *store* that have not reached their end, oldest first."""
    marks = (path for path in sorted(store.glob(f"*{SUFFIX}")) if path.is_file())
    return [BegunRun(path=path, alive=is_held(path)) for path in marks]


def is_held(path: Path) -> bool:
    """Return whether a process holds the file; the system lets go of it however that process ends."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True  # its run came to its end just now
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class Mark:
    """The mark of this process's run, made at once.

    Args:
        store: An existing folder of records.

    Raises:
        ValueError: It cannot be written.
    """

    def __init__(self, store: Path) -> None:
        self.others = [run for run in begun_runs(store) if not run.alive]
        """The runs that did not reach their end before this one began."""
        self.path = store / f"{moment_after()}-{os.getpid()}{SUFFIX}"
        self._descriptor: int | None = None
        unheld = self.path.with_suffix(".part")
        try:
            self._descriptor = os.open(unheld, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            unheld.rename(self.path)
        except OSError as error:
            self.release()
            raise ValueError(
                f"store must be on a disk that takes files and locks them, got {str(store)!r} "
                f"({error.strerror}); free some space or name another with --pb-store"
            ) from error

    def tell(self, plan: str) -> None:
        """Leave *plan* (ASCII) beside the mark, for those who watch the run."""
        write_whole(self.path.with_suffix(PLAN_SUFFIX), plan, what="the plan of the run, for pb view,")

    def finish(self) -> None:
        """Take the mark away, and those of `others`: this run has told of them."""
        for path in (self.path, *(run.path for run in self.others)):
            path.unlink(missing_ok=True)
            path.with_suffix(PLAN_SUFFIX).unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Let go of the mark; where it still stands the run is unfinished."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
