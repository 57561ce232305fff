"""Plain data to the one JSON text and hash that equal values share, and back into a type."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec

_AS_THEY_ARE = frozenset({int, str, bool, type(None)})

_WRITER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical(value: Any) -> Any:
    """Return *value* as plain JSON data in which equal numbers look equal (``1.0`` becomes ``1``).

    Raises:
        TypeError: Something is no plain JSON value.
        ValueError: A float is not finite.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a stored number must be finite, got {value!r}; use None and give the reason")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, Mapping):
        wrong = [key for key in value if not isinstance(key, str)]
        if wrong:
            raise TypeError(f"a stored key must be a string, got {wrong[0]!r}; convert it first")
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        is_plain = _AS_THEY_ARE.issuperset(map(type, value))  # token ids, most of what is stored
        return list(value) if is_plain else [canonical(item) for item in value]
    raise TypeError(
        f"a stored value must be plain JSON data, got {value!r} of type {type(value).__name__}; "
        "convert it to a number, text, list or dict first"
    )


def canonical_json(value: Any) -> str:
    """Return the one JSON text of *value*: ASCII, sorted keys, no blanks; equal values give equal bytes."""
    return _WRITER.encode(canonical(value))


def digest(value: Any) -> str:
    """Return the sha256 of `canonical_json`, in hex."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


def read_json(text: str | bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """Return *text* decoded; Python's parser reads half a surrogate pair, as a tokenizer or a path may give.

    Raises:
        ValueError: It is no JSON, or not what *decoder* takes; names the key.
        RecursionError: It is nested too deeply.
    """
    try:
        return decoder.decode(text)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        if "\\ud" not in str(text).lower():
            raise
        return msgspec.convert(json.loads(text, parse_constant=_reject_constant), decoder.type)


def _reject_constant(name: str) -> float:
    raise ValueError(f"a stored number must be finite, got {name}; the line was not written by this suite")
