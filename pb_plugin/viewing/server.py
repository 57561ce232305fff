"""A server for one page, for this machine only: it reads, answers GET, and knows its own name.

It listens on 127.0.0.1 and refuses every other Host header, so that no page from elsewhere reaches it by a
name that leads here (DNS rebinding). Nothing that is asked for names a file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

HOST = "127.0.0.1"

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Answers = Mapping[str, Callable[[], str | dict[str, Any]]]
"""By path what is answered: the text of a page, or plain data."""


class Server(ThreadingHTTPServer):
    """Serves *answers*, one at a time.

    Args:
        port: Where to listen; 0 takes a free one.
        answers: What there is.

    Raises:
        ValueError: The port cannot be had.
    """

    daemon_threads = True
    allow_reuse_address = False

    def __init__(self, port: int, answers: Answers) -> None:
        self.answers = answers
        self.lock = Lock()
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ValueError(
                f"--port must be free, got {port} ({error}); choose another, or leave it out for a free one"
            ) from error

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}/"

    @property
    def names(self) -> frozenset[str]:
        """The Host headers that mean this server."""
        return frozenset(f"{name}:{self.server_port}" for name in (HOST, "localhost"))


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "pb"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with what the path stands for."""
        if self.headers.get("Host") not in self.server.names:
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "this server answers to its own address only")
            return
        answer = self.server.answers.get(self.path)
        if answer is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with self.server.lock:
            try:
                found = answer()
            except (ValueError, LookupError, OSError) as error:
                self._send("text/plain", str(error), HTTPStatus.INTERNAL_SERVER_ERROR)
                return
        if isinstance(found, str):
            self._send("text/html", found)
        else:
            self._send("application/json", json.dumps(found, allow_nan=False))

    def _send(self, kind: str, text: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal belongs to whoever started this."""
