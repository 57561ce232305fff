"""What keeps a session on its machine: starts it, hands on what it says and stores, and says how it ended.

The session is a process of its own, so that a crash of it costs no actor: it is named as what it was, a
signal or an exit code with the last lines of its output, and the next group gets a new session on the same
GPU. It knows no Ray.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pb_plugin.cluster.messages import Message, Setup, cut, read, written
from pb_plugin.cluster.own_folder import OwnFolder
from pb_plugin.faults.at_work import FOLDER
from pb_plugin.faults.ends import ENDED, Ends
from pb_plugin.records.plain_files import write_whole
from pb_plugin.workers.gpus import VISIBLE

EVERY_S = 0.1
"""How often new records are looked for while the session says nothing."""

SHOWN_LINES, SHOWN = 12, 1500
"""How much of a crashed session's output is handed on: lines, characters."""

STARTS = 3
"""How many sessions in a row may be killed before they know the items, until the machine is not used."""

SEEDS = "0-known.jsonl"
"""Records that came from the store of the run; its name sorts first, as they were first."""


class Supervisor:
    """One session after another, on this machine.

    Args:
        name: The worker's name.
        setup: What every session of the run needs, as plain data.
    """

    def __init__(self, name: str, setup: Mapping[str, Any]) -> None:
        self._name = name
        self._setup = Setup.from_json(setup)
        self._own = OwnFolder(name)
        self._folder = self._own.path
        self._store = self._folder / "store"
        self._store.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self._commands = self._messages = -1
        self._unread = b""
        self._has_collected = self._was_at_work = False
        self._n_unborn = 0
        self._is_stopped = False
        self._session, self._n_sessions = name, 0
        self._tails: dict[Path, int] = {}

    def hello(self) -> dict[str, str]:
        """Return where this is."""
        return {"host": socket.gethostname(), "gpu": os.environ.get(VISIBLE, "")}

    def run(
        self, nodeids: Sequence[str], records: Sequence[str], ends: Sequence[tuple[str, str]]
    ) -> Iterator[list[Message]]:
        """Run a group and yield what is told of it, a record before the report that rests on it.

        Args:
            nodeids: The items.
            records: Lines of the run's store that they may use.
            ends: How other sessions of the run have ended: names and texts of files.
        """
        if self._is_stopped:
            return
        for batch in self._run(nodeids, records, ends):
            if any(message["kind"] == "unfit" for message in batch):
                self.leave()  # nothing more is asked of this machine
            yield batch

    def _run(
        self, nodeids: Sequence[str], records: Sequence[str], ends: Sequence[tuple[str, str]]
    ) -> Iterator[list[Message]]:
        """See `run`."""
        if self._process is None:
            try:
                self._start()
            except OSError as error:
                yield [{"kind": "unfit", "why": f"no session can be started: {error}"}]
                return
        for name, text in ends:
            if not (self._store / FOLDER / name).exists():
                write_whole(self._store / FOLDER / name, text, what="the end of a process")
        if records:
            with (self._store / SEEDS).open("a", encoding="ascii") as file:
                file.writelines(f"{line}\n" for line in records)
        self._command({"run": list(nodeids)})
        yield from self._until("done")

    def finish(self) -> list[Message]:
        """End the session well and return the last that it says."""
        told: list[Message] = []
        if self._process is not None:
            os.close(self._commands)
            self._commands = -1
            told = [message for batch in self._until(None) for message in batch]
        return told

    def stop(self) -> None:
        """End the session at once; what it has stored is still handed on by the call that runs it."""
        self._is_stopped = True
        process = self._process
        if process is not None:
            process.kill()

    def leave(self) -> None:
        """Take away what was written on this machine, when a session that was stopped is gone."""
        process = self._process
        if process is not None:
            process.kill()
            process.wait()
        self._own.leave()

    def _start(self) -> None:
        self._n_sessions += 1
        self._session = self._name if self._n_sessions == 1 else f"{self._name}.{self._n_sessions}"
        path = os.pathsep.join([*self._setup.python_path, os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
        environ = {**os.environ, "PYTHONPATH": path, "PYTEST_ADDOPTS": self._setup.addopts}
        theirs_in, self._commands = os.pipe()
        self._messages, theirs_out = os.pipe()
        try:
            with (self._folder / "output").open("wb") as output:
                self._process = subprocess.Popen(
                    [
                        *(sys.executable, "-P", str(Path(__file__).with_name("start.py"))),
                        *(str(theirs_in), str(theirs_out)),
                        *(self._session, str(self._store), str(self._folder / "temporary")),
                    ],
                    cwd=self._setup.folder,
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs_in, theirs_out),
                )
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        self._unread, self._has_collected = b"", False
        self._command(self._setup.to_json())

    def _command(self, command: Mapping[str, Any]) -> None:
        """Send *command*; a session that is gone shows where its messages are read."""
        left = written(command)
        while left:
            try:
                left = left[os.write(self._commands, left) :]
            except BrokenPipeError:
                return

    def _until(self, end: str | None) -> Iterator[list[Message]]:
        """Yield what is told up to the message of the kind *end*, or to the end of the session."""
        while True:
            ready, _, _ = select.select([self._messages], [], [], EVERY_S)
            chunk = os.read(self._messages, 1 << 20) if ready else None
            *lines, self._unread = (self._unread + (chunk or b"")).split(b"\n")
            told = [read(line) for line in lines]
            batch: list[Message] = [*self._records(), *told]
            unfit = next((why for why in map(self._unfit, told) if why is not None), None)
            if unfit is not None:
                self._end()
                yield [{"kind": "unfit", "why": unfit}]
                return
            if chunk == b"":
                crashed = self._end(expected=end is None)
                yield [*batch, *self._records(), *crashed]
                return
            if batch:
                yield batch
            if any(message["kind"] == end for message in told):
                return

    def _unfit(self, message: Message) -> str | None:
        """Return why the session is not that of the run, where *message* shows it."""
        if message["kind"] != "collected":
            return None
        self._has_collected, self._n_unborn = True, 0
        if not message["n_missing"]:
            return None
        return (
            f"{message['n_missing']} items of the run are not in {self._setup.folder} on "
            f"{socket.gethostname()}, such as {message['missing'][0]}; have the same files and versions there"
        )

    def _records(self) -> list[Message]:
        """Return the whole lines that the session has stored since the last look."""
        found: list[Message] = []
        for path in sorted(self._store.glob("*.jsonl")):
            if path.name == SEEDS:
                continue
            with path.open("rb") as file:
                file.seek(self._tails.get(path, 0))
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._tails[path] = self._tails.get(path, 0) + len(whole)
            found += [{"kind": "record", "line": line.decode("ascii")} for line in whole.splitlines()]
        return found

    def _end(self, *, expected: bool = False) -> list[Message]:
        """Wait for the session, which is ended if it is still there; return how it ended, if not well."""
        assert self._process is not None
        if not expected and self._process.poll() is None and not self._is_at_end():
            self._process.kill()
        code = self._process.wait()
        for descriptor in (self._commands, self._messages):
            if descriptor >= 0:
                os.close(descriptor)
        self._process, self._commands, self._messages = None, -1, -1
        if expected and code in (0, 1):
            return []
        output = (self._folder / "output").read_text(encoding="utf-8", errors="replace").splitlines()
        why = f"{_ending(code)} on {socket.gethostname()}\n{cut(output[-SHOWN_LINES:], SHOWN)}"
        if self._has_collected:
            return [*self._ended(), {"kind": "crashed", "why": why, "blames_item": not self._was_at_work}]
        self._n_unborn += 1
        if code < 0 and self._n_unborn < STARTS:
            return [{"kind": "crashed", "why": why, "blames_item": False}]
        return [{"kind": "unfit", "why": why}]

    def _ended(self) -> list[Message]:
        """Return what the session was working on when it crashed, for the next one and for all others."""
        folder = self._store / FOLDER
        before = set(folder.glob(f"*{ENDED}"))
        ends = Ends(self._store, self._setup.run_id)
        ends.note(self._session)
        self._was_at_work = self._session in ends.at_work
        new = sorted(set(folder.glob(f"*{ENDED}")) - before)
        return [{"kind": "ended", "name": path.name, "text": path.read_text("ascii")} for path in new]

    def _is_at_end(self) -> bool:
        """Return whether the process ends within a moment: its pipe is closed already."""
        assert self._process is not None
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return False
        return True


def _ending(code: int) -> str:
    """Return what an exit code of a process says."""
    if code >= 0:
        return f"its process ended with exit code {code}"
    try:
        return f"its process was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"its process was ended by signal {-code}"
