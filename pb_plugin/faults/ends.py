"""How processes have ended by a fault: read from what they were working on, and kept for those that go on."""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from pb_plugin.faults.at_work import FOLDER, LOST, STACKS, SUFFIX, Ended
from pb_plugin.records.begun import is_held
from pb_plugin.records.plain_files import write_whole

ENDED = ".ended"
UNKNOWN = "it ended without a word (killed, out of memory, or os._exit)"
MOST_FRAMES = 4

_HANG = re.compile(r"^Timeout \(", re.MULTILINE)
_FATAL = re.compile(r"^Fatal Python error: (.*)", re.MULTILINE)
_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)', re.MULTILINE)
_THREAD = re.compile(r"^(Current thread|Thread) .*\(most recent call first\):\n", re.MULTILINE)


class Ends:
    """The ends that a run knows of.

    Args:
        store: The folder of records.
        run: What sets this run apart from all others, the same in all of its processes.
    """

    def __init__(self, store: Path, run: str) -> None:
        self.run = run
        self._store = store
        self._seen: set[str] = set()
        self.found: list[Ended] = []
        self.at_work: set[str] = set()
        """The workers of this run that ended in the midst of their work."""
        self.n_workers = 0
        """How many workers of this run ended without a word, at work or not."""

    def name(self, worker: str) -> str:
        """Return what the files of a process of this run are called."""
        return f"{self.run}-{worker}"

    def collect(self) -> None:
        """Turn what processes of earlier runs left behind into ends, where they say that it was a fault.

        One that was killed from outside says nothing: its rows are decoded as if it had never been.
        """
        for path in sorted((self._store / FOLDER).glob(f"*{SUFFIX}")):
            stacks = path.with_suffix(STACKS)
            if is_held(path):
                continue
            if stacks.exists() and stacks.stat().st_size:
                self._keep(path)
            _remove(path)
        self.learn()

    def note(self, worker: str) -> None:
        """Take in that a worker of this run is no more."""
        self.n_workers += 1
        path = self._store / FOLDER / f"{self.name(worker)}{SUFFIX}"
        if self._keep(path):
            self.at_work.add(worker)
        _remove(path)
        self.learn()

    def learn(self) -> list[Ended]:
        """Return the ends in the store that were not known yet."""
        fresh = []
        for path in sorted((self._store / FOLDER).glob(f"*{ENDED}")):
            if path.name not in self._seen:
                self._seen.add(path.name)
                with suppress(OSError, ValueError, TypeError, KeyError):
                    values = json.loads(path.read_text(encoding="utf-8"))
                    rows = tuple((key, name) for key, name in values.pop("rows"))
                    fresh.append(Ended(rows=rows, **values))
        self.found += fresh
        return fresh

    def forget(self) -> None:
        """Take all ends away: this run knew of them and is over, so that the next one tries again."""
        for path in (self._store / FOLDER).glob(f"*{ENDED}"):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            (self._store / FOLDER).rmdir()

    @property
    def lines(self) -> list[str]:
        """What is said of them to people, each different one once."""
        counted = Counter(
            f"{ended.kind}: {ended.why}; it was "
            + (
                f"decoding {len(ended.rows)} row{'s' * (len(ended.rows) > 1)} of model {ended.model}"
                if ended.rows
                else f"loading model {ended.model}"
            )
            for ended in self.found
        )
        return [
            f"a process was ended by a fault{f', {number} times' * (number > 1)}: {said}"
            for said, number in counted.items()
        ]

    def _keep(self, path: Path) -> bool:
        """Keep what the files of a process say; return whether it had anything in work."""
        found = _read(path)
        if found is None:
            return False
        with suppress(OSError):  # a full disk: then its rows are tried as if it had never been
            write_whole(
                path.with_suffix(ENDED), json.dumps(asdict(found)) + "\n", what="the end of a process"
            )
        return True


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_suffix(STACKS).unlink(missing_ok=True)


def _read(path: Path) -> Ended | None:
    try:
        line = path.read_bytes().partition(b"\n")[0]
        values = json.loads(line)
    except (OSError, ValueError):
        return None
    stacks = path.with_suffix(STACKS)
    kind, why = _reason(stacks.read_text(encoding="utf-8", errors="replace") if stacks.exists() else "")
    rows = tuple((key, method) for key, method in values.pop("rows"))
    return Ended(kind=kind, why=why, rows=rows, **values)


def _reason(stacks: str) -> tuple[str, str]:
    """Return the class and the one line of what faulthandler, or the process itself, has written."""
    lost = stacks.find(LOST)
    if lost >= 0:
        return "model_error", stacks[lost + len(LOST) :].partition("\n")[0]
    fatal = _FATAL.search(stacks)
    if fatal is not None:
        return "worker_crash", f"{fatal[1]}{_frames(stacks)}"
    if _HANG.search(stacks):
        return "timeout", f"it hung in C code{_frames(stacks)}"
    return "worker_crash", UNKNOWN


def _frames(stacks: str) -> str:
    """Return the innermost frames of the thread that crashed, else of the main one, which stands last."""
    blocks = _THREAD.split(stacks)
    if len(blocks) < 3:
        return ""
    threads = dict(zip(blocks[1::2], blocks[2::2], strict=True))
    frames = _FRAME.findall(threads.get("Current thread", blocks[-1]))[:MOST_FRAMES]
    return "".join(
        f"{' in' if not at else ' <'} {name} ({Path(file).name}:{line})"
        for at, (file, line, name) in enumerate(frames)
    )
