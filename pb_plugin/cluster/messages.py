"""What a session on another machine and the controlling one tell each other: one line of JSON a message."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

Message = Mapping[str, Any]
"""``kind`` and what belongs to it.

From a session: ``collected`` (``missing`` items), ``start`` and ``finish`` (``nodeid``, ``location``),
``report`` (``data``), ``done`` (with a group), ``output`` (``data``: what it found out).
From its supervisor: ``record`` (``line``), ``unfit`` (``why``), ``crashed`` (``why``, and whether it
``blames_item``: no row was in work, and the session had begun) after ``ended`` (``name`` and ``text`` of the
file that says which rows were).
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What a session needs to be that of the controlling process.

    Args:
        args: The arguments of pytest.
        folder: Where it was called.
        nodeids: The selected items; all others are left out.
        n_workers: How many sessions share them.
        python_path: Folders to find packages in.
        addopts: The value of PYTEST_ADDOPTS.
        run_id: The same for all sessions of a run.
    """

    args: tuple[str, ...]
    folder: str
    nodeids: tuple[str, ...]
    n_workers: int
    python_path: tuple[str, ...]
    addopts: str
    run_id: str

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Setup:
        """Return what `to_json` gave."""
        return cls(**{field.name: _tupled(data[field.name]) for field in fields(cls)})


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def written(message: Message) -> bytes:
    """Return *message* as a line; what is no plain value becomes its text."""
    return json.dumps(message, default=str).encode("ascii") + b"\n"


def read(line: bytes | str) -> dict[str, Any]:
    """Return the message of a line."""
    message: dict[str, Any] = json.loads(line)
    return message


def plain_report(config: pytest.Config, report: pytest.TestReport) -> dict[str, Any]:
    """Return *report* as plain data, as pytest itself and its plugins write it."""
    data: dict[str, Any] = config.hook.pytest_report_to_serializable(config=config, report=report)
    return data


def report_of(config: pytest.Config, data: Mapping[str, Any]) -> pytest.TestReport:
    """Return the report that `plain_report` wrote; JSON has lists where it had tuples."""
    longrepr: Any = data.get("longrepr")
    values = {
        **data,
        "longrepr": tuple(longrepr) if isinstance(longrepr, list) else longrepr,
        "location": tuple(data["location"]),
        "user_properties": [tuple(pair) for pair in data.get("user_properties", ())],
        "sections": [tuple(pair) for pair in data.get("sections", ())],
    }
    report: pytest.TestReport = config.hook.pytest_report_from_serializable(config=config, data=values)
    return report


def cut(lines: Sequence[str], most: int) -> str:
    """Return the last *lines*, at most *most* characters of them."""
    text = "\n".join(lines)
    return text if len(text) <= most else "..." + text[-most:]
