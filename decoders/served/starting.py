"""Servers that commands start: on a free port of this machine, waited for, one at a time, and stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from threading import Lock

from decoders.served.facts import ServerError
from decoders.served.table import ServerEntry
from decoders.text.json_file import one_line

GUARD = Path(__file__).with_name("guard.py")
STOP_S = 20.0
SHOWN_LINES = 5
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Loopback is asked without a proxy."""


class StartedServer:
    """A running command; made when it answers.

    Args:
        entry: What starts it.

    Raises:
        ServerError: It cannot be run, ended, or did not answer in time; shows its last lines.
    """

    def __init__(self, entry: ServerEntry) -> None:
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}/v1"
        self._command = [word.replace("{port}", str(port)) for word in entry.start]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the server
        self._process = subprocess.Popen(
            [sys.executable, str(GUARD), *self._command],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait(entry.ready_s)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the command and all it started; wait for it."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()

    def ended(self) -> str | None:
        """Return how the command ended and its last lines, or None while it runs."""
        status = self._process.poll()
        return None if status is None else f"ended with status {status}: {self._last_lines()}"

    def _wait(self, ready_s: float) -> None:
        until = time.monotonic() + ready_s
        while time.monotonic() < until:
            if (ended := self.ended()) is not None:
                raise ServerError(f"{self._command[0]} must go on running, but it {ended}; correct its start")
            try:
                with _DIRECT.open(f"{self.url}/models", timeout=5.0):
                    return
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise ServerError(
            f"{self._command[0]} must answer at {self.url} within {ready_s:g} s, got {self._last_lines()}; "
            "raise its ready_seconds or correct its start"
        )

    def _last_lines(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", errors="replace").splitlines()
        return one_line(ValueError(" | ".join(lines[-SHOWN_LINES:])), 600) or "no output"


class Started:
    """The server that a run has started: one over all of its models, as each wants the same device."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._running: StartedServer | None = None
        self._start: tuple[str, ...] = ()
        self._wanted_by: object = None

    def url(self, entry: ServerEntry, *, wanted_by: object) -> str:
        """Return where the command of *entry* serves: it goes on running, or starts after the one before.

        Raises:
            ServerError: It does not start.
        """
        with self._lock:
            if self._running is not None and (self._start != entry.start or self._running.ended()):
                self._end()
            if self._running is None:
                self._running, self._start = StartedServer(entry), entry.start
            self._wanted_by = wanted_by
            return self._running.url

    def stop(self, *, wanted_by: object) -> None:
        """Stop what runs, if this was the last to want it."""
        with self._lock:
            if self._wanted_by is wanted_by:
                self._end()

    def _end(self) -> None:
        if self._running is not None:
            self._running.stop()
        self._running = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
