"""What a run asks of every served model: requests at once, a budget, prices, a tokenizer that counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONCURRENCY = 8
"""Requests at once where nothing else was asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpendLimits:
    """What a run may spend: ``requests`` sent, repeated ones too, and ``usd``; None is no limit."""

    requests: int | None = None
    usd: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """US dollars for a million tokens of the prompt and of what is generated."""

    input: float
    output: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedOptions:
    """What goes for every served model of a run.

    Args:
        concurrency: Requests at once; None is `CONCURRENCY`, and 1 where steps are read from counters.
        limits: The budget of the run.
        prices: Price by id of the model, or by the name that the run gives it.
        tokenizer: Folder of a tokenizer that counts tokens where a server does not, or None.
        timeout_s: Longest wait for the next bytes of an answer.
        attempts: How often a question is sent before it counts as failed.
        first_wait_s: Wait before the second attempt; it doubles from there to `longest_wait_s`.
        longest_wait_s: Longest wait between two attempts, also where the server asks for one.
    """

    concurrency: int | None = None
    limits: SpendLimits = SpendLimits()
    prices: Mapping[str, Price] = field(default_factory=dict, hash=False)
    tokenizer: Path | None = None
    timeout_s: float = 600.0
    attempts: int = 6
    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0


def parse_spend_limits(text: str, *, name: str = "--pb-budget") -> SpendLimits:
    """Return the limits written ``requests=1000,usd=5``, either or both.

    Raises:
        ValueError: *text* is not written so.
    """
    found: dict[str, Any] = {}
    for part in text.split(","):
        key, _, written = (piece.strip() for piece in part.partition("="))
        kind = {"requests": int, "usd": float}.get(key)
        try:
            value = kind(written) if kind is not None and key not in found else None
        except ValueError:
            value = None
        if value is None or not 0 < value < math.inf:
            raise ValueError(
                f"{name} must be requests=N, usd=X or both with numbers above 0, got {text!r}; "
                "write requests=1000,usd=5"
            )
        found[key] = value
    return SpendLimits(**found)


def read_prices(path: Path, *, name: str = "--pb-prices") -> dict[str, Price]:
    """Return the prices in a YAML file ``MODEL: {input: USD, output: USD}`` for a million tokens each.

    Raises:
        ValueError: It cannot be read, or is written in another way.
    """
    import yaml

    cure = "write MODEL: {input: 0.25, output: 1.0} in dollars for a million tokens"
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ValueError(
            f"{name} must be a YAML file, got {str(path)!r} ({type(error).__name__}); {cure}"
        ) from error
    if not isinstance(written, dict) or not written:
        raise ValueError(f"{name} must hold prices by model, got {str(path)!r} without; {cure}")
    return {str(model): _price(model, price, f"{name} {path}", cure) for model, price in written.items()}


def _price(model: Any, written: Any, where: str, cure: str) -> Price:
    if isinstance(written, dict) and set(written) == {"input", "output"}:
        values = [written["input"], written["output"]]
        if all(type(value) in (int, float) and 0 <= value < math.inf for value in values):
            return Price(input=float(values[0]), output=float(values[1]))
    raise ValueError(
        f"{where}: the price of {model!r} must have input and output from 0, got {written!r}; {cure}"
    )
