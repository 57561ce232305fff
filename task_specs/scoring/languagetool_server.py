"""A LanguageTool server of our own: started from a folder, never left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from shutil import rmtree
from types import TracebackType
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import OpenerDirector, ProxyHandler, build_opener

HOST = "127.0.0.1"
LANGUAGE = "en-US"
START_TIMEOUT_S = 120.0
ANSWER_TIMEOUT_S = 60.0
PORT_TRIES = 5
POLL_S = 0.1
TAIL_LINES = 15

_SUPERVISOR = Path(__file__).with_name("languagetool_supervisor.py")
_BOUND = "Server started"
"""What the server logs when the port is its own; without it another server may be answering there."""


class ServerStartError(RuntimeError):
    """The server did not come up; the message holds the tail of its log."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server: call `close` (or use ``with``); it also ends when this process does.

    Args:
        url: Where it answers, ending with "/".
        version: What it says of itself.
        process: Its supervisor.
        folder: Holds its configuration and its log.
    """

    url: str
    version: str
    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def log(self) -> Path:
        """The server's log; removed by `close` unless the server had ended by itself."""
        return self.folder / "server.log"

    def close(self) -> None:
        """End the server and wait until it is gone; a second call does nothing."""
        died = self.process.poll() is not None and self.process.stdin is not None
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
    for attempt in range(PORT_TRIES):
        port = _free_port()
        command = [str(java), "-Xmx1g", "-cp", classes, "org.languagetool.server.HTTPServer"]
        command += ["--port", str(port), "--config", str(config)]
        with (place / "server.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-I", str(_SUPERVISOR), *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(env),
                start_new_session=True,
            )
        url = f"http://{HOST}:{port}/"
        try:
            _wait(process, port, place / "server.log", timeout_s)
            version = server_version(url)
        except (ServerStartError, ValueError) as error:
            _end(process)
            if _port_was_taken(place / "server.log") and attempt + 1 < PORT_TRIES:
                continue
            raise ServerStartError(
                f"LanguageTool must start from {str(folder)!r} with {str(java)!r} (Java 17 or newer), "
                f"got: {error}; its log {str(place / 'server.log')!r} ends with:\n{_tail(place / 'server.log')}"
            ) from error
        except BaseException:
            _end(process)
            raise
        return Server(url=url, version=version, process=process, folder=place)
    raise AssertionError("the last try either returns or raises")


def server_url(address: str) -> str:
    """Return the address of a server without a final /v2 and with a final slash.

    Raises:
        ValueError: It is no http address with a host.
    """
    bare = address.strip().rstrip("/").removesuffix("/v2").rstrip("/")
    try:
        parts = urlsplit(bare)
        valid = parts.scheme in ("http", "https") and parts.hostname is not None and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(
            f"grammar server must be an address such as http://127.0.0.1:8081, got {address!r}; correct it"
        )
    return f"{bare}/"


def is_loopback(url: str) -> bool:
    """Return whether *url* is on this machine, so that no proxy may stand between."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def version_of(reply: object) -> str:
    """Return the version in a reply of ``/v2/check``; of a snapshot with its build date.

    Raises:
        ValueError: The reply names none.
    """
    software = reply.get("software") if isinstance(reply, dict) else None
    version = software.get("version") if isinstance(software, dict) else None
    if not isinstance(version, str):
        raise ValueError(f"no software.version in the reply {str(reply)[:200]!r}")
    snapshot = isinstance(software, dict) and "SNAPSHOT" in version.upper()
    return f"{version} ({software.get('buildDate')})" if snapshot and software else version


def server_version(url: str, *, timeout_s: float = ANSWER_TIMEOUT_S) -> str:
    """Return the version of the server at *url*, which checks a short text for it.

    Raises:
        ValueError: No LanguageTool that knows American English answers there.
    """
    form = urlencode({"language": LANGUAGE, "text": "All is well."}).encode()
    opener: OpenerDirector = build_opener(ProxyHandler({})) if is_loopback(url) else build_opener()
    try:
        with opener.open(f"{url}v2/check", data=form, timeout=timeout_s) as reply:
            return version_of(json.load(reply))
    except HTTPError as error:
        with error:
            got = f"{error} {error.read(200).decode(errors='replace')!r}"
        cause: Exception = error
    except (OSError, HTTPException, ValueError) as error:
        got, cause = repr(error), error
    raise ValueError(
        f"grammar server must be a LanguageTool that answers at {url}v2/check, got {got}; "
        "start it or correct the address"
    ) from cause


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


def _port_was_taken(log: Path) -> bool:
    return "BindException" in log.read_text(encoding="utf-8", errors="replace")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the supervisor's pipe, on which it ends the server; kill both where it does not."""
    if process.stdin is not None and not process.stdin.closed:
        process.stdin.close()
    try:
        process.wait(timeout=10.0)
    except subprocess.TimeoutExpired:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
