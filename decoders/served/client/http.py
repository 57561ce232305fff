"""The HTTP client under both SDKs: TLS verified, proxies of the environment, no other host, no HTML."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit

CONNECT_S = 10.0


class Refused(RuntimeError):
    """The client does not go on with this response, and asking again would not help."""


class NotAnAnswer(RuntimeError):
    """A successful response that is no JSON: a login page, a proxy's page."""


def http_client(timeout_s: float) -> Any:
    """Return a client of httpx that waits at most *timeout_s* for the next bytes."""
    import httpx2

    return httpx2.Client(
        timeout=httpx2.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
        follow_redirects=True,
        event_hooks={"response": [_check_response]},
    )


def _check_response(response: Any) -> None:
    """Look at a response before anything follows it.

    Raises:
        Refused: It leads to another host, port or scheme.
        NotAnAnswer: It answers a question with something else than JSON or events.
    """
    url = str(response.request.url)
    location = response.headers.get("location")
    if location is not None and 300 <= response.status_code < 400:
        target = urljoin(url, location)
        if _origin(target) != _origin(url):
            raise Refused(
                f"a server must answer by itself, got a redirect from {_origin(url)} to {_origin(target)}; "
                "name that URL if it is the one you mean"
            )
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if (
        response.request.method == "POST"
        and 200 <= response.status_code < 300
        and kind not in ("application/json", "text/event-stream")
    ):
        raise NotAnAnswer(f"{_origin(url)} must answer with JSON or events, got {kind or 'no content type'}")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}:{port}"
