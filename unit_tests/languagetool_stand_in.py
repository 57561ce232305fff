"""A loopback server with LanguageTool's addresses, for tests that need its answers and none of its Java."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from task_specs.scoring.languagetool.client import PROBE

LANGUAGES = [{"name": "English (US)", "code": "en", "longCode": "en-US"}]
FIRST_TEXT = PROBE
"""What a server is asked for its version and rules with."""


def reply(*rules, version="6.8", **more):
    """Return status and body of an answer with a match of each of *rules*."""
    matches = [{"rule": {"id": rule}, "message": "no"} for rule in rules]
    return 200, json.dumps(
        {"software": {"version": version, "buildDate": "today"}, "matches": matches, **more}
    )


def one_match_for_each_x(text):
    """Answer with as many matches as *text* has the letter x."""
    return reply(*["X"] * text.count("x"))


class StandIn:
    """A server; *answer* maps a text to (status, body)."""

    def __init__(self, answer=one_match_for_each_x, languages=LANGUAGES):
        self.asked = []
        self.in_flight = 0
        self.most_in_flight = 0
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send(200, json.dumps(languages))

            def do_POST(self):
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                with lock:
                    outer.asked.append(form["text"][0])
                    outer.in_flight += 1
                    outer.most_in_flight = max(outer.most_in_flight, outer.in_flight)
                assert form["language"] == ["en-US"]
                status, body = answer(form["text"][0])
                with lock:
                    outer.in_flight -= 1
                self.send(status, body)

            def send(self, status, body):
                try:
                    self.send_response(status)
                    self.end_headers()
                    self.wfile.write(body.encode())
                except ConnectionError:
                    self.close_connection = True  # the client has given up

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def judged(self):
        """The texts it was asked to judge, beside the first one."""
        return [text for text in self.asked if text != FIRST_TEXT]

    def stop(self):
        """Close the address; a second call does nothing."""
        self.server.shutdown()
        self.server.server_close()
