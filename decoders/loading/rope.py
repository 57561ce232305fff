"""The rotary settings of config.json, in the spelling of transformers 4 or of transformers 5."""

from __future__ import annotations

from typing import Any

from decoders.loading.checkpoint import LARGEST_FLOAT, NO_COUNTERPART, Config, LoadError
from decoders.text.json_file import shortened

NESTED = ("rope_parameters", "rope_scaling")
TYPES = ("rope_type", "type")
NUMBERS = ("rope_theta", "partial_rotary_factor")


def rope_theta(config: Config, *, share: float = 1.0) -> float:
    """Return the base of the rotary frequencies of a network that rotates *share* of the channels of a head.

    Source: transformers 5 writes ``rope_parameters = {"rope_type": "default", "rope_theta": ...}`` where
    transformers 4 wrote ``rope_theta`` and ``rope_scaling``.

    Raises:
        LoadError: No spelling names one, two disagree, the frequencies are scaled (yarn, linear and others),
            or another share is named.
    """
    named = rotary_share(config)
    if named not in (None, share):
        raise _refuse(config, "partial_rotary_factor", f"{share:g} or absent", named, NO_COUNTERPART)
    theta = _number(config, "rope_theta")
    return config.positive("rope_theta") if theta is None else theta


def rotary_share(config: Config) -> float | None:
    """Return the share of the channels of a head that are rotated, None if no spelling names one.

    Raises:
        LoadError: Two spellings disagree, it is above 1, or the frequencies are scaled.
    """
    share = _number(config, "partial_rotary_factor")
    if share is not None and share > 1.0:
        raise _refuse(config, "partial_rotary_factor", "at most 1", share)
    return share


def _number(config: Config, name: str) -> float | None:
    found: dict[str, Any] = {name: config.get(name)} if config.has(name) else {}
    for key in NESTED:
        found |= {f"{key}.{inner}": value for inner, value in _plain(config, key).items() if inner == name}
    for key, value in found.items():
        if type(value) not in (int, float) or not 0.0 < value < LARGEST_FLOAT:
            raise _refuse(config, key, "a number above 0", value)
    if len(set(found.values())) > 1:
        pairs = ", ".join(f"{key} = {shortened(value)}" for key, value in found.items())
        raise LoadError(
            f"{config.path}: {name} must be one number in every spelling, got {pairs}; take the wrong one out"
        )
    return float(next(iter(found.values()))) if found else None


def _plain(config: Config, key: str) -> dict[str, Any]:
    """Return the entries at *key* that are not null; refuse all that is not the plain rotary table."""
    written = config.get(key)
    if written is not None and not isinstance(written, dict):
        raise config.refuse(key, "an object or null", NO_COUNTERPART)
    entries = {inner: value for inner, value in (written or {}).items() if value is not None}
    types = [entries[name] for name in TYPES if name in entries]
    if not set(entries) <= {*TYPES, *NUMBERS} or any(kind != "default" for kind in types):
        rule = f"null or of type 'default' with {' and '.join(NUMBERS)} only"
        raise config.refuse(key, rule, NO_COUNTERPART)
    return entries


def _refuse(
    config: Config, key: str, rule: str, value: Any, cure: str = "use the checkpoint's own config.json"
) -> LoadError:
    return LoadError(f"{config.path}: {key} must be {rule}, got {shortened(value)}; {cure}")
