"""Where a served model is: ``SCHEME:URL[#MODEL]``, ``anthropic:MODEL`` or ``SCHEME:TABLE.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

SCHEMES = ("openai", "anthropic", "sglang", "vllm", "lmdeploy", "diffulex", "mercury", "plain")
"""``openai`` asks the server which engine it is; the others name the dialect."""

ANTHROPIC_URL = "https://api.anthropic.com"


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """One served model as it was named.

    Args:
        scheme: One of `SCHEMES`.
        url: Base URL with its path and without a slash at its end, or None for a table.
        model: The model's id at the server; None where the server is to have exactly one.
        table: Path of a YAML file of servers, or None.
    """

    scheme: str
    url: str | None = None
    model: str | None = None
    table: str | None = None


def is_served(text: str) -> bool:
    """Return whether *text* is written ``SCHEME:...`` with a scheme of ours, or is a scheme alone."""
    return text.partition(":")[0] in SCHEMES


def parse_address(text: str, *, name: str = "--model") -> Address:
    """Return the address written in *text*.

    Raises:
        ValueError: It is not one.
    """
    scheme, _, rest = text.partition(":")
    if rest.endswith((".yaml", ".yml")) and "//" not in rest:
        return Address(scheme=scheme, table=rest)
    if rest.startswith(("http://", "https://")):
        url, _, model = rest.partition("#")
        return Address(scheme=scheme, url=checked_url(url, scheme, name=name), model=model or None)
    if scheme == "anthropic" and rest and "/" not in rest:
        return Address(scheme=scheme, url=ANTHROPIC_URL, model=rest)
    form = f"{scheme}:URL[#MODEL] or {scheme}:TABLE.yaml"
    form += ", or anthropic:MODEL" if scheme == "anthropic" else ""
    raise ValueError(
        f"{name} must be {form}, got {text!r}; for example {scheme}:http://127.0.0.1:8000/v1#my-model"
    )


def checked_url(url: str, scheme: str, *, name: str = "--model") -> str:
    """Return *url* as requests use it: no slash at its end, ``/v1`` where an OpenAI server has no path.

    Raises:
        ValueError: It holds a user, a key or a query, or names no host.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{name} must be a URL, got {url!r} ({error}); write http://HOST:PORT/v1") from error
    if not parts.hostname or parts.scheme not in ("http", "https") or port == 0:
        raise ValueError(f"{name} must be a URL with a host, got {url!r}; write http://HOST:PORT/v1")
    if "@" in parts.netloc or parts.query:
        raise ValueError(
            f"{name} must be a URL without user, password or query, got one for {parts.hostname}; "
            "put the key into the environment variable PB_API_KEY"
        )
    path = parts.path.rstrip("/")
    if not path and scheme != "anthropic":
        path = "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def is_loopback(url: str) -> bool:
    """Return whether *url* stays on this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
