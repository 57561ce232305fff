"""A Java and a folder that stand in for LanguageTool's, and servers that are started with them."""

import json
import os
import socket
import time
from pathlib import Path

from task_specs.scoring.languagetool.checker import (
    Backend,
    GrammarResult,
)
from task_specs.scoring.languagetool.server import start_server

ROOT = Path(__file__).resolve().parents[4]


SHARED = ROOT / ".." / "shared" / "languagetool"


def backend_of(server, name="test", rules="0"):
    return Backend(kind="server", name=name, url=server.url, version="6.8", rules=rules)


def checked(rules=(), version="6.8"):
    return GrammarResult(rules=tuple(rules), version=version)


FAKE_JAVA = """
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

place = Path(__file__).parent
mode = (place / "mode").read_text() if (place / "mode").exists() else ""
with (place / "starts").open("a") as file:
    file.write(json.dumps({"pid": os.getpid(), "arguments": sys.argv[1:]}) + "\\n")
n_starts = len((place / "starts").read_text().splitlines())
if mode == "broken" or (mode == "taken-twice" and n_starts <= 2):
    print("starting")
    sys.exit("java.net.BindException: taken" if mode != "broken" else "Error: Could not find main class")
if mode == "silent":
    time.sleep(600)

class Handler(BaseHTTPRequestHandler):
    n_gets = 0
    def do_GET(self):
        Handler.n_gets += 1
        if mode == "slow" and Handler.n_gets <= 2:
            return self.connection.close() if Handler.n_gets == 1 else self.send_error(503)
        self.answer([{"code": "en", "longCode": "en-US"}])
    def log_message(self, *_):
        pass
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({"software": {"version": "fake"}, "matches": []} if mode != "mute" else {})
    def answer(self, body):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

time.sleep(0.2)
try:
    server = HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler)
except OSError:
    sys.exit("java.net.BindException: Address already in use")
print("Server started", flush=True)
server.serve_forever()
"""


def starts_of(java):
    return [json.loads(line) for line in (java.parent / "starts").read_text().splitlines()]


def launched(jars, java, tmp_path, **more):
    return start_server(jars, java=java, directory=tmp_path / "logs", env=dict(os.environ), **more)


def port_of(server):
    return int(server.url.rstrip("/").rpartition(":")[2])


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ends_within(seconds, port):
    deadline = time.monotonic() + seconds
    while is_open(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
