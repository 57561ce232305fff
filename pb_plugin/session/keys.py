"""Under which key the session of a process stands in pytest's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pb_plugin.session.session import BenchSession

SESSION: pytest.StashKey[BenchSession] = pytest.StashKey()
