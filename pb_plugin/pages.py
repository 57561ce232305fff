"""Which page of the documentation helps with what: named by `pb doctor` and at the end of messages."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PAGES: Mapping[str, str] = MappingProxyType(
    {
        "tasks": "docs/tasks.md",
        "methods": "docs/methods.md",
        "models": "docs/models.md",
        "gates": "docs/gates.md",
        "records": "docs/records.md",
    }
)
"""Subject to page, as paths in a checkout of this project; the wheel does not carry them."""
