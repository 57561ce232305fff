"""A LanguageTool server of our own: started from a folder, never left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from shutil import rmtree
from types import TracebackType

from task_specs.scoring.languagetool.client import server_identity

HOST = "127.0.0.1"
START_TIMEOUT_S = 120.0
END_TIMEOUT_S = 10.0
PORT_TRIES = 5
POLL_S = 0.1
TAIL_LINES = 15

JAVA_OPTIONS = (
    "-Xmx1g",
    "-XX:+IgnoreUnrecognizedVMOptions",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
)
"""Less of the processor, which decoding wants too: in 5,000 texts the best compiler never paid, and
a small heap needs no threads to clear it (``bench_tests/scoring_speed.py``)."""

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_BOUND = "Server started"
"""What the server logs when the port is its own; without it another server may be answering there."""


class ServerStartError(RuntimeError):
    """The server did not come up; the message holds the tail of its log."""


class PortTakenError(ServerStartError):
    """The port went to another process between our choice and the server's start."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server: call `close` (or use ``with``); it also ends when this process does.

    Args:
        url: Where it answers, ending with "/".
        version: What it says of itself.
        rules: A checksum of what it finds in a first text.
        process: Its supervisor.
        folder: Holds its configuration and its log.
    """

    url: str
    version: str
    rules: str
    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def log(self) -> Path:
        """The server's log; removed by `close` unless the server had ended by itself."""
        return self.folder / "server.log"

    def close(self) -> None:
        """End the server and wait until it is gone; a second call does nothing."""
        died = self.process.poll() is not None
        _end(self.process)
        if not died:
            rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def class_path(folder: Path) -> str:
    """Return the Java class path of a LanguageTool folder in either layout.

    Args:
        folder: An unpacked release (languagetool-server.jar beside libs/), or a folder of jars, itself or its
            subfolder ``jars``.

    Raises:
        ValueError: It is neither.
    """
    folder = folder.resolve()
    if (folder / "languagetool-server.jar").is_file() and (folder / "libs").is_dir():
        return os.pathsep.join([str(folder / "languagetool-server.jar"), str(folder), str(folder / "libs/*")])
    for jars in (folder, folder / "jars"):
        if any(jars.glob("languagetool-server*.jar")):
            return str(jars / "*")
    raise ValueError(
        f"grammar folder must hold languagetool-server.jar with libs/, or LanguageTool's jars (itself or in "
        f"jars/), got {str(folder)!r}; unpack LanguageTool there"
    )


def start_server(
    folder: Path,
    *,
    java: Path,
    directory: Path,
    env: Mapping[str, str],
    timeout_s: float = START_TIMEOUT_S,
) -> Server:
    """Start LanguageTool and return when it has checked a first text.

    Args:
        folder: A LanguageTool folder, see `class_path`.
        java: The Java to run it with, version 17 or newer.
        directory: Where the log and the configuration go, in a subfolder of their own.
        env: Environment of the server.
        timeout_s: How long it may take to come up.

    Raises:
        ValueError: *folder* is no LanguageTool folder.
        ServerStartError: The server ended or did not answer in time.
    """
    classes = class_path(folder)
    directory.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="languagetool-", dir=directory))
    config = place / "server.properties"
    config.write_text(
        f"maxCheckThreads={max(4, os.cpu_count() or 1)}\ncacheSize=1000\npipelineCaching=true\n"
        "maxPipelinePoolSize=50\npipelineExpireTimeInSeconds=3600\n",
        encoding="utf-8",
    )
    command = [str(java), *JAVA_OPTIONS, "-cp", classes, "org.languagetool.server.HTTPServer"]
    command += ["--config", str(config), "--port"]
    for _ in range(PORT_TRIES - 1):
        with suppress(PortTakenError):
            return _start_once(command, place, env, timeout_s)
    return _start_once(command, place, env, timeout_s)


def _start_once(command: list[str], place: Path, env: Mapping[str, str], timeout_s: float) -> Server:
    """Start *command* on a port that is free now; another process may take it before the server does."""
    port = _free_port()
    log = place / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", str(_SUPERVISOR), *command, str(port)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
        )
    url = f"http://{HOST}:{port}/"
    try:
        _wait(process, port, log, timeout_s)
        version, rules = server_identity(url, timeout_s=timeout_s)
        return Server(url=url, version=version, rules=rules, process=process, folder=place)
    except (ServerStartError, ValueError) as error:
        _end(process)
        said = log.read_text(encoding="utf-8", errors="replace")
        kind = PortTakenError if "BindException" in said else ServerStartError
        tail = "\n".join(said.splitlines()[-TAIL_LINES:])
        raise kind(
            f"LanguageTool must start with {command[0]!r} (Java 17 or newer), got: {error}; "
            f"read the end of its log {str(log)!r}:\n{tail}"
        ) from error
    except BaseException:
        _end(process)
        raise


def _wait(process: subprocess.Popen[bytes], port: int, log: Path, timeout_s: float) -> None:
    """Return when the server owns its port and is healthy."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        code = process.poll()
        if code is not None:
            raise ServerStartError(f"it ended with code {code}")
        if _BOUND in log.read_text(encoding="utf-8", errors="replace") and _healthy(port):
            return
        time.sleep(POLL_S)
    raise ServerStartError(f"no answer within {timeout_s:g} s")


def _healthy(port: int) -> bool:
    connection = HTTPConnection(HOST, port, timeout=5.0)
    try:
        connection.request("GET", "/v2/healthcheck")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the supervisor's pipe, on which it ends the server; kill both where it does not."""
    if process.stdin is not None and not process.stdin.closed:
        process.stdin.close()
    try:
        process.wait(timeout=END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
