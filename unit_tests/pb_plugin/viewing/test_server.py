"""The server answers GET to its own name on this machine, and nothing else to anybody."""

import http.client
import json
import socket
from threading import Thread

import pytest

from pb_plugin.viewing.server import HOST, Server


def fail():
    raise ValueError("a line of the store is damaged")


@pytest.fixture
def server():
    answers = {"/": lambda: "<p>page ☃</p>", "/live.json": lambda: {"done": 1}, "/broken": fail}
    with Server(0, answers) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server, path="/", method="GET", host=None):
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    if host != "":
        connection.putheader("Host", host or f"{HOST}:{server.server_port}")
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer, body


def test_the_page_and_the_numbers_are_served_and_kept_by_nobody(server):
    answer, body = ask(server)
    assert (answer.status, body) == (200, "<p>page ☃</p>")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Frame-Options"] == "DENY"
    answer, body = ask(server, "/live.json", host=f"localhost:{server.server_port}")
    assert (answer.status, json.loads(body)) == (200, {"done": 1})
    assert server.url == f"http://127.0.0.1:{server.server_port}/"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:80", ""]
)
def test_another_host_header_is_refused(server, host):
    answer, body = ask(server, host=host)
    assert answer.status == (421)
    assert "page" not in body


@pytest.mark.parametrize("path", ["/etc/passwd", "/../live.json", "/live.json?x", "/x", "/%2e%2e/"])
def test_nothing_else_is_there(server, path):
    assert ask(server, path)[0].status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_it_only_reads(server, method):
    assert ask(server, method=method)[0].status == 501


def test_what_cannot_be_read_is_told(server):
    answer, body = ask(server, "/broken")
    assert (answer.status, body) == (500, "a line of the store is damaged")
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_it_listens_on_this_machine_only(server):
    assert server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_named(server):
    with pytest.raises(ValueError, match=f"--port must be free, got {server.server_port} "):
        Server(server.server_port, {})


def test_a_port_that_is_none_is_named():
    with pytest.raises(ValueError, match="--port must be free, got 70000 "):
        Server(70000, {})


def test_a_request_that_is_none_ends_the_connection(server):
    with socket.create_connection((HOST, server.server_port), timeout=10) as connection:
        connection.sendall(b"\x00\xff nonsense\r\n\r\n")
        assert b"400" in connection.recv(4096)
