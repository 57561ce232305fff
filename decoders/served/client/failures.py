"""What went wrong with one attempt, in one line, and whether asking again can help."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from decoders.served.client.answer import Malformed
from decoders.served.client.http import NotAnAnswer, Refused
from decoders.served.client.keys import without_key
from decoders.text.json_file import one_line

AGAIN = frozenset({408, 409, 425, 429})
"""Statuses below 500 that may be another one later."""

NOBODY = frozenset({401, 403, 404, 405, 407})
"""Statuses that every other question would get as well."""


@dataclass(kw_only=True, eq=False)
class AskError(Exception):
    """An attempt that gave no answer.

    Args:
        message: What happened, without keys.
        again: Whether the same question may be answered later.
        for_all: Whether other questions would fail in the same way.
        wait_s: How long the server asks to wait, or None.
        timed_out: Whether time ran out.
        may_cost: Whether the server may have answered, and charge for it.
    """

    message: str
    again: bool
    for_all: bool = False
    wait_s: float | None = None
    timed_out: bool = False
    may_cost: bool = False

    def __str__(self) -> str:
        return self.message


def failure_of(error: Exception, *, where: str, key: str) -> AskError:
    """Return what *error* of one attempt means.

    Args:
        error: What an SDK, httpx or our reading of the answer raised.
        where: The server, for the message.
        key: What must not be in the message.
    """
    import httpx2

    chain = _chain(error)
    said = without_key(one_line(error), key)
    refused = next((e for e in chain if isinstance(e, Refused | ssl.SSLCertVerificationError)), None)
    if refused is not None:
        return AskError(message=f"{where}: {without_key(one_line(refused), key)}", again=False, for_all=True)
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return _of_status(error, status, where, key)
    if any(isinstance(e, httpx2.TimeoutException) for e in chain):
        return AskError(message=f"{where} did not answer in time", again=True, timed_out=True, may_cost=True)
    cause = without_key(one_line(chain[-1]) or type(chain[-1]).__name__, key)
    if any(isinstance(e, httpx2.ConnectError) for e in chain):
        return AskError(
            message=f"{where} cannot be reached ({cause}); is it running?", again=True, for_all=True
        )
    if any(isinstance(e, httpx2.TransportError) for e in chain):
        return AskError(message=f"{where} cut the connection ({cause})", again=True, may_cost=True)
    if isinstance(error, NotAnAnswer | Malformed):
        return AskError(message=f"{where}: {said}", again=True, may_cost=True)
    if any(isinstance(e, json.JSONDecodeError) for e in chain):
        return AskError(
            message=f"{where} must answer in JSON, got something else ({said})", again=True, may_cost=True
        )
    return AskError(message=f"{where}: {type(error).__name__}: {said}", again=True, may_cost=True)


def _of_status(error: Any, status: int, where: str, key: str) -> AskError:
    headers = getattr(getattr(error, "response", None), "headers", {})
    html = "html" in headers.get("content-type", "")
    said = "an HTML page" if html else without_key(one_line(error), key)
    spent = getattr(error, "code", None) == "insufficient_quota"
    again = (status in AGAIN or status >= 500) and not spent
    return AskError(
        message=f"{where} answered {status}: {said}",
        again=again,
        for_all=status in NOBODY or spent,
        wait_s=retry_after(headers.get("retry-after")),
    )


def retry_after(written: str | None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, a number or a date; None for neither."""
    if not written:
        return None
    try:
        seconds = float(written)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(written).timestamp() - time()
        except ValueError:
            return None
    return max(0.0, seconds) if seconds == seconds else None


def _chain(error: BaseException) -> list[BaseException]:
    """Return *error* and what it came from, the first cause last."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found
