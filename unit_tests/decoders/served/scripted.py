"""A server on loopback that answers as it is told: as each engine documents it, and as on its bad days."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}


def chunks(text, *, finish="stop", usage=USAGE, extra=None, pieces=2):
    """Return the chunks of an OpenAI-style stream; *extra* stands in the one with the usage."""
    cut = max(1, len(text) // pieces)
    parts = [text[i : i + cut] for i in range(0, len(text), cut)] or [""]
    base = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "served-model"}
    found = [{**base, "choices": [{"index": 0, "delta": {"content": part}}]} for part in parts]
    found.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    found.append({**base, "choices": [], **({"usage": usage} if usage else {}), **(extra or {})})
    return found


def head(handler, status, kind, **headers):
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Connection", "close")
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.close_connection = True


def stream(text="an answer", *, delay=0.0, cut_after=None, done=True, raw=(), **made):
    """Answer with events; *cut_after* ends the connection behind so many, *raw* are lines as they are."""

    def reply(handler):
        head(handler, 200, "text/event-stream")
        lines = [json.dumps(chunk) for chunk in chunks(text, **made)]
        for line in [*raw, *lines[:cut_after]]:
            handler.wfile.write(f"data: {line}\n\n".encode())
            handler.wfile.flush()
            time.sleep(delay)
        handler.ended()  # before the one who asked can know: the next question may be faster than this thread
        if done and cut_after is None:
            handler.wfile.write(b"data: [DONE]\n\n")

    return reply


def whole(text="an answer", *, finish="stop", usage=USAGE, **extra):
    """Answer in one piece, as a server without streams does."""
    message = {"role": "assistant", "content": text}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "served-model", **extra}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return page({**body, "choices": [choice], "usage": usage})


def page(body, *, status=200, kind="application/json", **headers):
    """Answer with a body as it is, a text or JSON."""
    written = body if isinstance(body, str) else json.dumps(body)

    def reply(handler):
        head(handler, status, kind, Content_Length=str(len(written.encode())), **headers)
        handler.wfile.write(written.encode())

    return reply


def error(status, message="no luck", code=None, **headers):
    return page({"error": {"message": message, "code": code}}, status=status, **headers)


def html(status=502):
    return page("<html><body>Bad Gateway</body></html>", status=status, kind="text/html")


def hang_up(handler):
    """Close the connection without a word."""
    handler.close_connection = True


def anthropic(text="an answer", *, reason="end_turn", usage=None, cut_after=None):
    """Answer as the Messages API streams."""
    start = {"id": "m", "type": "message", "role": "assistant", "model": "claude-x", "content": []}
    events = [
        {"type": "message_start", "message": {**start, "usage": {"input_tokens": 9, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": usage or {"output_tokens": 7},
        },
        {"type": "message_stop"},
    ]

    def reply(handler):
        head(handler, 200, "text/event-stream")
        for event in events[:cut_after]:
            handler.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    return reply


class Engine:
    """What the server knows.

    Args:
        replies: A reply for each question in turn, the last one for all that follow; or a function of the
            number of the question and its body.
        pages: What stands at a path: a reply, or JSON.
        owner: Who serves the models of the list.
    """

    def __init__(self, replies=(), *, pages=None, owner="somebody", models=("served-model",)):
        self.replies = replies or [stream()]
        listed = {"object": "list", "data": [{"id": name, "owned_by": owner} for name in models]}
        self.pages = {"/v1/models": listed, **(pages or {})}
        self.asked = []
        self.headers = []
        self.at_once = 0
        self.most_at_once = 0
        self.lock = threading.Lock()
        self.url = None

    def reply(self, body):
        with self.lock:
            number = len(self.asked)
            self.asked.append(body)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        if callable(self.replies):
            return self.replies(number, body)
        return self.replies[min(number, len(self.replies) - 1)]


def _handler(engine):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            found = engine.pages.get(self.path)
            (found if callable(found) else page(found) if found is not None else error(404))(self)

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with engine.lock:
                engine.headers.append(dict(self.headers.items()))
            self.at_work = 1
            try:
                engine.reply(body)(self)
            except (BrokenPipeError, ConnectionResetError):
                pass
            finally:
                self.ended()

        def ended(self):
            with engine.lock:
                engine.at_once -= self.at_work
                self.at_work = 0

        def log_message(self, *args):
            pass

    return Handler


@contextmanager
def serving(engine, port=0):
    """Run *engine* on loopback; its ``url`` is set meanwhile."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(engine))
    server.daemon_threads = True
    engine.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield engine
    finally:
        server.shutdown()
        server.server_close()
