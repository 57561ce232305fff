"""What a run may spend, and what it has spent: requests, and money by the user's prices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from decoders.served.client.answer import Answer
from decoders.served.client.failures import AskError
from decoders.served.options import Price, SpendLimits

MILLION = 1e6
CHAT_TOKENS = 256
"""What a chat's markers may add to a prompt, beyond a token for each byte."""


def cost(answer: Answer, price: Price | None) -> float | None:
    """Return the US dollars of *answer*, or None where price or tokens are not known."""
    if price is None or answer.prompt_tokens is None or answer.tokens is None:
        return None
    return (answer.prompt_tokens * price.input + answer.tokens * price.output) / MILLION


class Spending:
    """Counts what is sent, also from several threads; nothing is sent that could break the limits.

    Before a request its most expensive outcome is set aside: a token for each byte of the prompt, and all
    tokens that may be generated. A request whose answer was lost is taken to have cost that much.
    """

    def __init__(self, limits: SpendLimits) -> None:
        self._limits = limits
        self._changed = Condition()
        self.requests = 0
        self.usd = 0.0
        self._aside = 0.0
        self._open = 0

    @contextmanager
    def request(self, prompt_bytes: int, max_tokens: int, price: Price | None) -> Iterator[Settle]:
        """Yield what is to be told of the cost of one request, when the budget allows it.

        Raises:
            AskError: It does not; or there is a limit in money and no price.
        """
        most = 0.0
        if self._limits.usd is not None:
            if price is None:
                raise _over(
                    "--pb-budget usd must come with a price of this model, got none; name it in --pb-prices"
                )
            most = ((prompt_bytes + CHAT_TOKENS) * price.input + max_tokens * price.output) / MILLION
        self._reserve(most)
        settle = Settle(most)
        try:
            yield settle
        except AskError as error:
            if not error.may_cost:
                settle.known(0.0)
            raise
        finally:
            with self._changed:
                self._open -= 1
                self._aside -= most
                self.usd += settle.usd
                self._changed.notify_all()

    def _reserve(self, most: float) -> None:
        limits = self._limits
        with self._changed:
            while True:
                if limits.requests is not None and self.requests >= limits.requests:
                    raise _over(
                        f"--pb-budget allows {limits.requests} requests, and so many were sent; {_CURE}"
                    )
                if limits.usd is None or self.usd + self._aside + most <= limits.usd:
                    break
                if self._open == 0:
                    raise _over(
                        f"--pb-budget allows {limits.usd:g} USD, {self.usd:.6f} are spent and the next "
                        f"request may cost {most:.6f}; {_CURE}"
                    )
                self._changed.wait()
            self.requests += 1
            self._open += 1
            self._aside += most


class Settle:
    """What one request cost: the most it could, until somebody knows better."""

    def __init__(self, most: float) -> None:
        self.usd = most

    def known(self, usd: float | None) -> None:
        """Say what the answer cost, where it is known."""
        if usd is not None:
            self.usd = usd


_CURE = "allow more and run again: what is stored is not asked again"


def _over(message: str) -> AskError:
    return AskError(message=message, again=False, for_all=True)
