"""A question asked until it is answered: exponential waits with jitter, and what the server asks for."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from decoders.served.client.failures import AskError
from decoders.served.options import ServedOptions

Found = TypeVar("Found")


def wait_before(
    attempt: int, asked: float | None, options: ServedOptions, draw: Callable[[], float]
) -> float:
    """Return the seconds to wait before *attempt*, the second being 1.

    Half of a wait is fixed and half is drawn, so that clients that failed together do not come back together.

    Args:
        attempt: 0-based number of the attempt.
        asked: What the server asks for, or None; it is kept, and up to a tenth is added.
        options: First and longest wait.
        draw: Uniform in [0, 1).
    """
    if asked is not None:
        return asked * (1.0 + 0.1 * draw())
    most = min(options.longest_wait_s, options.first_wait_s * 2.0 ** (attempt - 1))
    return most * (0.5 + 0.5 * draw())


def ask_until_answered(
    attempt: Callable[[], Found],
    options: ServedOptions,
    *,
    sleep: Callable[[float], bool],
    draw: Callable[[], float] = random.random,
) -> tuple[Found, int]:
    """Return the answer and how many attempts it took.

    Args:
        attempt: Asks once.
        options: How often, and the waits.
        sleep: Waits; returns whether the run is ending meanwhile.
        draw: Uniform in [0, 1); the default is seeded by the system, as results do not depend on it.

    Raises:
        AskError: Every attempt failed, or another would not help.
    """
    for number in range(1, options.attempts + 1):
        try:
            return attempt(), number
        except AskError as error:
            if not error.again:
                raise
            wait = wait_before(number, error.wait_s, options, draw)
            too_long = error.wait_s is not None and error.wait_s > options.longest_wait_s
            if number == options.attempts or too_long or sleep(wait):
                why = f"it asks to wait {error.wait_s:.0f} s" if too_long else f"{number} attempts"
                raise AskError(
                    message=f"{error.message} ({why}); run again later: what is stored is not asked again",
                    again=False,
                    for_all=error.for_all,
                    timed_out=error.timed_out,
                ) from error
    raise AssertionError("the last attempt returns or raises")
