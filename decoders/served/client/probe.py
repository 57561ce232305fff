"""What a server says of itself: small GETs, told apart from a server that cannot be reached."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from decoders.served.client.failures import AskError, failure_of

_SAMPLE = re.compile(r"^(?P<name>[A-Za-z_:][\w:]*)(\{.*\})?\s+(?P<value>[0-9.eE+\-]+)(\s+\d+)?\s*$")


class Probe:
    """Asks one server for its pages.

    Args:
        http: The client of httpx.
        url: The base URL of its API; pages stand at its root, where ``/v1`` is left out.
        key: Its key, or an empty text.
        header: Name of the header that carries the key.
    """

    def __init__(self, http: Any, url: str, key: str, header: str = "Authorization") -> None:
        self._http = http
        self._root = url.removesuffix("/v1")
        self._key = key
        self._headers = {header: f"Bearer {key}" if header == "Authorization" else key} if key else {}

    def json(self, path: str) -> Any:
        """Return the JSON at *path*, or None where the server has no such page.

        Raises:
            AskError: The server cannot be reached, or refuses to answer.
        """
        response = self._get(path)
        if response is None or "json" not in response.headers.get("content-type", ""):
            return None
        try:
            return response.json()
        except ValueError:
            return None

    def counters(self) -> dict[str, float] | None:
        """Return the counters of a Prometheus page, summed over their labels; None where there is none."""
        response = self._get("/metrics")
        if response is None or "html" in response.headers.get("content-type", ""):
            return None
        return read_counters(response.text)

    def _get(self, path: str) -> Any:
        url = self._root + path
        try:
            response = self._http.get(url, headers=self._headers)
        except Exception as error:  # whatever httpx and its hooks raise
            raise failure_of(error, where=self._root, key=self._key) from None  # it may hold the key
        if response.status_code in (401, 403):
            raise AskError(
                message=f"{self._root} answered {response.status_code} for {path}; put its key into "
                "PB_API_KEY",
                again=False,
                for_all=True,
            )
        if response.status_code >= 500:
            raise AskError(message=f"{self._root} answered {response.status_code} for {path}", again=True)
        return response if response.status_code == 200 else None


def read_counters(text: str) -> dict[str, float]:
    """Return every sample of a Prometheus page by name, without ``_total``, summed over its labels."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match is not None:
            name = match["name"].removesuffix("_total")
            try:
                found[name] = found.get(name, 0.0) + float(match["value"])
            except ValueError:
                continue
    return found


def moved(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return how far each counter moved; one that is new moved from 0."""
    return {name: value - before.get(name, 0.0) for name, value in after.items()}
