"""Time limits of pytest-timeout: work that items share has the time of them all.

The first item of a group loads the model and decodes the group, so its own limit would judge the work of all.
Leans on nothing but the two hooks that pytest-timeout offers to other plugins.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest


class ItemClock:
    """A plugin that knows the time limit of the item that runs, and stretches it for shared work."""

    def __init__(self) -> None:
        self._limit: tuple[pytest.Item, Any] | None = None

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> None:
        """Remember the limit; pytest-timeout itself sets it."""
        self._limit = (item, settings)

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_timeout_cancel_timer(self) -> None:
        """Forget the limit: the item has ended, or a debugger took over."""
        self._limit = None

    @contextmanager
    def shared_by(self, n_items: int) -> Generator[None]:
        """Limit what happens inside to *n_items* times the item's limit; after it the item's own starts anew.

        Not after an error: then only the report is left, and a timer that went off once must not cut that.
        """
        if self._limit is None or n_items <= 1:
            yield
            return
        item, settings = self._limit
        self._restart(item, settings._replace(timeout=settings.timeout * n_items))
        yield
        if self._limit is not None:
            self._restart(item, settings)

    @staticmethod
    def _restart(item: pytest.Item, settings: Any) -> None:
        hook = item.config.hook
        hook.pytest_timeout_cancel_timer(item=item)
        hook.pytest_timeout_set_timer(item=item, settings=settings)
