"""What is known of a server before it is asked anything: the part of the key that no file of ours holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from decoders.served.dialects.dialect import Dialect

COMMON: Mapping[str, type] = {"top_p": float, "own_temperature": bool}
"""Parameters of `native` for every dialect; ``own_temperature`` sends none, for models that refuse one."""


MARK = "server:"
"""Begins every fingerprint of a server: one model may have several, one for each setting of its table."""


class ServerError(ValueError):
    """A server cannot be used as it was asked for; the message says what to name or to change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a server told.

    Args:
        engine: Name of the dialect.
        version: Its version, or None.
        model: Id of the model.
        settings: What else it told.
        where: Its URL, or the command that started it.
    """

    engine: str
    version: str | None
    model: str
    settings: Mapping[str, Any]
    where: str

    def fingerprint(self) -> str:
        """Return the hash of all of it, marked as that of a server."""
        written = json.dumps(asdict(self), sort_keys=True, default=str)
        return MARK + hashlib.sha256(written.encode("utf-8")).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return what records hold; where the server is stays out: URLs and commands are nobody's affair."""
        return {
            "engine": self.engine,
            "version": self.version,
            "model": self.model,
            **{"settings": dict(self.settings)},
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """How answers are made: what goes with a request, and all that is known of the server and the request."""

    sent: Mapping[str, Any]
    everything: Mapping[str, Any]


def known_settings(dialect: Dialect, told: Mapping[str, Any], params: Mapping[str, Any], where: str) -> Known:
    """Return what is known, from what the server *told* and the user's *params* of `native`.

    Raises:
        ServerError: A parameter is not known or of another type, contradicts the server, or one that matters
            is missing.
    """
    sent: dict[str, Any] = {}
    for name, value in params.items():
        is_sent = name in dialect.sent or name in COMMON or _has_prefix(name, dialect)
        kind = {**COMMON, **dialect.sent, **dialect.said}.get(name)
        if not is_sent and name not in dialect.said:
            names = ", ".join(sorted({*COMMON, *dialect.sent, *dialect.said}))
            raise ServerError(
                f"parameters of native for {where} ({dialect.name}) must be of {names}, got {name!r}; "
                "correct or remove it"
            )
        if kind is not None and type(value) is not kind and not (kind is float and type(value) is int):
            raise ServerError(
                f"{name} must be of type {kind.__name__} for {dialect.name}, got {value!r}; correct it"
            )
        if not is_sent and name in told and told[name] != value:
            raise ServerError(
                f"{where} was started with {name}={told[name]!r}, got {name}={value!r} for it; "
                "correct it, or name the server that has it in a table (served.yaml)"
            )
        if is_sent:
            sent[name] = value
    everything = {**told, **params}
    missing = [name for name in dialect.needed(everything) if name not in everything]
    if missing:
        raise ServerError(
            f"{', '.join(missing)} of {where} ({dialect.name}) must be known, and the server does not tell; "
            f"say what it was started with: --unmasking native:{';'.join(f'{name}=...' for name in missing)}"
        )
    return Known(sent=sent, everything=everything)


def _has_prefix(name: str, dialect: Dialect) -> bool:
    return bool(dialect.sent_prefix) and name.startswith(dialect.sent_prefix)
