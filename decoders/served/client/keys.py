"""Keys of servers: from the environment, to one host, and never into anything that is written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from decoders.served.address import is_loopback

ANY = "PB_API_KEY"
"""The variable whose key goes to whatever URL the user names."""

OF_HOST: Mapping[str, str] = {
    "api.openai.com": "OPENAI_API_KEY",
    "api.anthropic.com": "ANTHROPIC_API_KEY",
    "api.inceptionlabs.ai": "INCEPTION_API_KEY",
}
"""Variables whose keys go to their own host alone: another server is not to learn them."""

HIDDEN = "***"


def key_for(url: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the key for *url*, or an empty text.

    Raises:
        ValueError: A host of `OF_HOST` has none, or a key would go over an open line.
    """
    host = urlsplit(url).hostname or ""
    own = OF_HOST.get(host)
    key = environment.get(own, "") if own else ""
    key = (key or environment.get(ANY, "")).strip()
    if own and not key:
        raise ValueError(f"{own} must hold a key for {host}, got none; set it in the environment")
    if key and not url.startswith("https://") and not is_loopback(url):
        raise ValueError(
            f"{host} must be asked over https where there is a key, got http; name an https URL or "
            f"unset {ANY}"
        )
    return key


def without_key(text: str, key: str) -> str:
    """Return *text* with every occurrence of *key* hidden."""
    return text.replace(key, HIDDEN) if key else text
