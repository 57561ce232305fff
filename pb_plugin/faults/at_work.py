"""What a process is working on, in a file beside the records: what is left when it ends by a fault.

A worker that dies cannot say which rows it was decoding, and one that hangs in C code runs no Python any
more. So every process writes down what it begins, before it begins, and keeps a second file for stacks,
which Python's faulthandler writes without running Python. Whoever finds them after its end reads the reason
there.
"""

from __future__ import annotations

import faulthandler
import fcntl
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

FOLDER = "at_work"
SUFFIX, STACKS = ".work", ".stacks"
LOST = "device lost: "

Rows = Sequence[tuple[str, str]]
"""The decode key and the label of each row: its method and, behind a blank, the method with its setting."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a process ended, or a call in it, and what it was doing.

    Args:
        kind: A class of faults: timeout, worker_crash or model_error.
        why: In one line.
        stage: ``loading`` a model or ``decoding``.
        model: Which.
        rows: What was in work together, empty while loading.
        decoded: How many rows of this model the process had decoded, by label.
    """

    kind: str
    why: str
    stage: str
    model: str
    rows: Rows = ()
    decoded: Mapping[str, int]


class AtWork:
    """The files of this process.

    Args:
        store: The folder of records; None writes nothing down.
        name: What sets this process apart from all others that ever write here.
    """

    def __init__(self, store: Path | None, name: str = "") -> None:
        self._path = None if store is None else store / FOLDER / f"{name}{SUFFIX}"
        self._descriptor: int | None = None
        self._stacks_descriptor: int | None = None
        self._is_lost = self._takes_stacks = False
        self._decoded: dict[str, Counter[str]] = {}

    @property
    def stacks(self) -> int | None:
        """The descriptor that stacks are to be written to, None where there is none."""
        with suppress(OSError):
            self._open()
        return self._stacks_descriptor

    def take_stacks(self) -> None:
        """Have a crash of this process written to the file of stacks, until `close`."""
        if self.stacks is not None:
            faulthandler.enable(file=self.stacks)
            self._takes_stacks = True

    @contextmanager
    def loading(self, model: str) -> Iterator[None]:
        """Say that *model* is being loaded."""
        self._write("loading", model, "")
        try:
            yield
        finally:
            self.rest()

    def decoding(self, model: str, rows: Sequence[str]) -> None:
        """Say that the rows, each as `row_text` gives it, are decoded together from now on."""
        self._write("decoding", model, ",".join(rows))

    def decoded(self, model: str, label: str) -> None:
        """Count a row that was decoded."""
        self._decoded.setdefault(model, Counter())[label] += 1

    def counts(self, model: str) -> Counter[str]:
        """Return how many rows of *model* were decoded here, by label."""
        return self._decoded.get(model, Counter())

    def rest(self) -> None:
        """Say that nothing is in work; where the device was lost that stays as it is."""
        if self._descriptor is not None and not self._is_lost:
            os.ftruncate(self._descriptor, 0)

    def say_lost(self, why: str) -> None:
        """Write down why this process ends itself, for whoever finds it ended; the files stay."""
        self._is_lost = True
        if self.stacks is not None:
            os.write(self.stacks, (LOST + " ".join(why.split()) + "\n").encode("utf-8", "replace"))

    def close(self) -> None:
        """Take the files away, unless they say why the process ended itself."""
        if self._takes_stacks and sys.__stderr__ is not None:
            faulthandler.enable(file=sys.__stderr__)
        for descriptor in (self._descriptor, self._stacks_descriptor):
            if descriptor is not None:
                os.close(descriptor)
        if self._descriptor is not None and self._path is not None and not self._is_lost:
            self._path.unlink(missing_ok=True)
            self._path.with_suffix(STACKS).unlink(missing_ok=True)
            with suppress(OSError):
                self._path.parent.rmdir()
        self._descriptor = self._stacks_descriptor = None

    def _open(self) -> int | None:
        if self._descriptor is None and self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
            self._descriptor = os.open(self._path, flags, 0o666)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            self._stacks_descriptor = os.open(self._path.with_suffix(STACKS), flags | os.O_APPEND, 0o666)
        return self._descriptor

    def _write(self, stage: str, model: str, rows: str) -> None:
        """Write one line over the one before; what is left of a longer one stands behind its end.

        A disk that takes nothing is told of by the records, without which nothing goes on.
        """
        said = json.dumps({"stage": stage, "model": model, "decoded": self.counts(model)})
        line = f'{said[:-1]}, "rows": [{rows}]}}\n'.encode("ascii")
        with suppress(OSError):
            descriptor = self._open()
            if descriptor is not None:
                os.pwrite(descriptor, line, 0)


def row_text(decode_key: str, label: str) -> str:
    """Return a row as `AtWork.decoding` takes it."""
    return json.dumps([decode_key, label])
