"""``served.yaml``: one URL, or one command that starts a server, for each setting of a server.

::

    engine: sglang                # left out: the server is asked
    model: my/checkpoint          # left out: the server has exactly one
    servers:
      - settings: {threshold: 0.9, block_length: 4}
        url: http://127.0.0.1:30000/v1
      - settings: {threshold: 0.95, block_length: 4}
        start: python3 -m sglang.launch_server --port {port} --model-path my/checkpoint
        ready_seconds: 600
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decoders.served.address import SCHEMES, Address, checked_url

READY_S = 600.0
"""How long a started server may take until it answers."""

Settings = tuple[tuple[str, Any], ...]
"""Names and values, sorted by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerEntry:
    """One server of a table: where it is, or what starts it, and what it was set to.

    Args:
        settings: What the user says of the server.
        url: Base URL, None where it is started.
        start: The command, one word each, with ``{port}`` where the port goes; empty where it runs already.
        ready_s: How long it may take until it answers.
    """

    settings: Settings
    url: str | None = None
    start: tuple[str, ...] = ()
    ready_s: float = READY_S


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerTable:
    """The servers of one model; ``engine`` and ``model`` are None where they are asked for."""

    engine: str | None
    model: str | None
    servers: tuple[ServerEntry, ...]


def read_table(path: Path) -> ServerTable:
    """Return the table in the YAML file *path*.

    Raises:
        ValueError: It cannot be read or breaks a rule; names file, rule, value and cure.
    """
    import yaml

    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"{path} must be a table of servers in YAML, got {said}; correct it") from error
    where = f"{path}:"
    _keys(written, {"engine", "model", "servers"}, {"servers"}, where)
    engine, model, servers = written.get("engine"), written.get("model"), written["servers"]
    if engine is not None and engine not in SCHEMES:
        raise ValueError(
            f"{where} engine must be one of {', '.join(SCHEMES)}, got {engine!r}; or leave it out"
        )
    if model is not None and not isinstance(model, str):
        raise ValueError(f"{where} model must be a text, got {model!r}; put it in quotes")
    if not isinstance(servers, list) or not servers:
        raise ValueError(f"{where} servers must be a list of at least one, got {servers!r}; add one")
    entries = tuple(_entry(entry, f"{where} server {n}", engine) for n, entry in enumerate(servers, start=1))
    names = {tuple(name for name, _ in entry.settings) for entry in entries}
    if len(names) > 1 or len({entry.settings for entry in entries}) < len(entries):
        raise ValueError(
            f"{where} servers must have the same names in settings and differ in their values, got "
            f"{[dict(entry.settings) for entry in entries]}; correct them"
        )
    return ServerTable(engine=engine, model=model, servers=entries)


def table_settings(address: Address) -> list[dict[str, Any]]:
    """Return the settings of each server behind *address*, in the order of its table; one without for a URL.

    Raises:
        ValueError: The table cannot be read.
    """
    if address.table is None:
        return [{}]
    return [dict(entry.settings) for entry in read_table(Path(address.table)).servers]


def _entry(written: Any, where: str, engine: str | None) -> ServerEntry:
    _keys(written, {"settings", "url", "start", "ready_seconds"}, set(), where)
    settings, url, start = written.get("settings") or {}, written.get("url"), written.get("start")
    if not isinstance(settings, dict) or not all(
        isinstance(name, str) and type(value) in (str, int, float, bool) for name, value in settings.items()
    ):
        raise ValueError(
            f"{where}: settings must be names with a text or number, got {settings!r}; correct them"
        )
    if (url is None) == (start is None):
        raise ValueError(
            f"{where} must have either url or start, got {'both' if url else 'neither'}; give one"
        )
    seconds = written.get("ready_seconds", READY_S)
    if type(seconds) not in (int, float) or not 0 < seconds < 1e6:
        raise ValueError(f"{where}: ready_seconds must be a number above 0, got {seconds!r}; write 600")
    if start is not None and (not isinstance(start, str) or "{port}" not in start):
        raise ValueError(
            f"{where}: start must be a command with {{port}} where its port goes, got {start!r}; "
            "for example: my-server --port {port}"
        )
    try:
        words = shlex.split(start or "")
    except ValueError as error:
        raise ValueError(
            f"{where}: start must be a command with closed quotes, got {start!r}; close them"
        ) from error
    return ServerEntry(
        settings=tuple(sorted(settings.items())),
        url=None if url is None else checked_url(str(url), engine or "openai", name=where),
        start=tuple(words),
        ready_s=float(seconds),
    )


def _keys(written: Any, known: set[str], needed: set[str], where: str) -> None:
    if not isinstance(written, dict):
        raise ValueError(f"{where} must be a mapping, got {written!r}; see docs/served.md")
    wrong = sorted({str(key) for key in written} - known) + sorted(needed - set(written))
    if wrong:
        raise ValueError(
            f"{where} must have the keys {', '.join(sorted(known))}, got a problem with {wrong[0]!r}; "
            "correct it"
        )
