"""Asking one LanguageTool server: its address, its version, and the check of one text."""

from __future__ import annotations

import hashlib
import json
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import ProxyHandler, build_opener

if TYPE_CHECKING:
    from language_tool_python import LanguageTool

LANGUAGE = "en-US"
ANSWER_TIMEOUT_S = 60.0

PROBE = (
    "this sentence begins small. He go to school every day. She have an dog and a apple. I has been "
    "their before. Its a nice day , is n't it? The the cat sat on the mat. Their are to many people "
    "hear. I could of done it. He was more taller then me. We discussed about the plan. An university "
    'is a hour away. It was teh best recieve. She said "hello. I am agree with you. The datas shows '
    "that. On Monday, February 30 2021, we met. Please revert back to me at this point in time. In "
    "order to succeed, he will tries. Me and him goes. There is many reasons. He dont know. Loose "
    "weight fast ! Alot of people was there. The reason is because he left. I look forward to hear from "
    "you. Irregardless of that, she lay down down. He payed 5$ ( five ) for it. This is a a test.It is "
    "very unique. Who's book is this? The informations is wrong."
)
"""What a server is asked first: faults that 32 of the default rules of LanguageTool 6.8 find."""


class NotReachedError(RuntimeError):
    """The server could not be reached, or did not answer in time."""


class TimedOutError(NotReachedError):
    """The server took a request and did not answer in time."""


class NotCheckedError(RuntimeError):
    """The server answered, but not with the matches of the text."""


def server_url(address: str) -> str:
    """Return the address of a server without a final /v2 and with a final slash.

    Raises:
        ValueError: It is no http address with a host.
    """
    bare = address.strip().rstrip("/").removesuffix("/v2").rstrip("/")
    try:
        parts = urlsplit(bare)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
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


def version_of(reply: Any) -> str:
    """Return the version in a reply of ``/v2/check``; of a snapshot with its build date.

    Raises:
        ValueError: The reply names none.
    """
    software = reply.get("software") if isinstance(reply, dict) else None
    if not isinstance(software, dict) or not isinstance(software.get("version"), str):
        raise ValueError(f"a reply without software.version: {str(reply)[:200]!r}")
    version: str = software["version"]
    return f"{version} ({software.get('buildDate')})" if "SNAPSHOT" in version.upper() else version


def server_identity(url: str, *, timeout_s: float = ANSWER_TIMEOUT_S) -> tuple[str, str]:
    """Return the version of the server at *url*, and as its rules a checksum of what it finds in `PROBE`.

    Raises:
        ValueError: No LanguageTool that knows American English answers there.
    """
    form = urlencode({"language": LANGUAGE, "text": PROBE}).encode()
    opener = build_opener(ProxyHandler({})) if is_loopback(url) else build_opener()
    try:
        with opener.open(f"{url}v2/check", data=form, timeout=timeout_s) as reply:
            said = json.load(reply)
            return version_of(said), checksum(*_rules_of(said))
    except HTTPError as error:
        with error:
            got = f"{error}: {error.read(200).decode(errors='replace')!r}"
        cause: Exception = error
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        got, cause = str(error) or repr(error), error
    raise ValueError(
        f"grammar server must be a LanguageTool that answers at {url}v2/check, got {got}; "
        "start it or correct the address"
    ) from cause


def checksum(*parts: str) -> str:
    """Return a short checksum of *parts*, their order and borders."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


class Client:
    """The wrapper language_tool_python on a server, with a time limit of ours; threads may share it.

    Args:
        url: Address of the server, see `server_url`.
        timeout_s: How long one reply may take.

    Raises:
        NotReachedError: The server does not answer.
        ModuleNotFoundError: language_tool_python is not installed.
    """

    def __init__(self, url: str, *, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._tool = _connected(url, timeout_s)
        self._url = urljoin(url, "v2/check")

    def check(self, text: str) -> tuple[tuple[str, ...], str]:
        """Return the rule of every match in *text*, in order, and the server's version.

        The wrapper's own ``check`` keeps neither the version nor the warning of an incomplete answer, so its
        transport is called instead.

        Raises:
            TimedOutError: No answer in time.
            NotReachedError: No answer.
            NotCheckedError: An answer without a complete list of matches, or a text that cannot be sent.
        """
        from language_tool_python.exceptions import LanguageToolError
        from requests.exceptions import Timeout  # language_tool_python asks with requests

        form = {"language": LANGUAGE, "text": text}
        try:
            reply = self._tool._query_server(self._url, form, num_tries=1, method="post")
            return _rules_of(reply), version_of(reply)
        except LanguageToolError as error:
            cause = error.__cause__
            if isinstance(cause, Timeout):
                raise TimedOutError(f"no answer within {self._timeout_s:g} s") from error
            if isinstance(cause, OSError) and not isinstance(cause, ValueError):
                raise NotReachedError(str(error)) from error
            raise NotCheckedError(str(error)[:300]) from error
        except (ValueError, KeyError, TypeError) as error:  # an odd reply, or a text that is no Unicode
            raise NotCheckedError(f"{type(error).__name__}: {error}") from error


def _connected(url: str, timeout_s: float) -> LanguageTool:
    from language_tool_python import LanguageTool
    from language_tool_python.exceptions import LanguageToolError

    class Timed(LanguageTool):
        _TIMEOUT = timeout_s  # type: ignore[assignment]

    try:
        return Timed(LANGUAGE, remote_server=url, proxies={"http": ""} if is_loopback(url) else None)
    except (LanguageToolError, ValueError, TypeError, AttributeError) as error:  # an odd list of languages
        raise NotReachedError(f"{url}: {error}") from error


def _rules_of(reply: Any) -> tuple[str, ...]:
    matches = reply.get("matches") if isinstance(reply, dict) else None
    if not isinstance(matches, list):
        raise ValueError(f"a reply without matches: {str(reply)[:200]!r}")
    warnings = reply.get("warnings")
    if isinstance(warnings, dict) and warnings.get("incompleteResults"):
        raise ValueError("the server reports incomplete results")
    return tuple(str(match["rule"]["id"]) for match in matches)
