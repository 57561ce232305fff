"""The servers of one ``--model``: one, or those of a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from decoders.served.address import Address
from decoders.served.client.budget import Spending
from decoders.served.facts import ServerError
from decoders.served.options import ServedOptions
from decoders.served.server import Server
from decoders.served.starting import Started
from decoders.served.table import ServerEntry, ServerTable, read_table


class Fleet:
    """What stands behind one served model.

    Args:
        address: Where it is.
        options: What goes for every server of the run.
        spending: What the run has spent.
        alias: What the run calls the model.
        started: The server that the run has started.

    Raises:
        ValueError: The table cannot be read.
    """

    def __init__(
        self, address: Address, options: ServedOptions, spending: Spending, alias: str, started: Started
    ) -> None:
        self._options = options
        self._spending = spending
        self._alias = alias
        self._started = started
        self._lock = Lock()
        self._servers: dict[ServerEntry, Server] = {}
        if address.table is not None:
            self._table = read_table(Path(address.table))
        else:
            self._table = ServerTable(
                engine=address.scheme,
                model=address.model,
                servers=(ServerEntry(settings=(), url=address.url),),
            )
        self._scheme = self._table.engine or address.scheme

    def server(self, params: Mapping[str, Any]) -> Server:
        """Return the server for *params* of `native`; a command is started, after the one before has ended.

        Raises:
            ServerError: No entry of the table has these settings, or its server does not start.
        """
        entry = self._entry(params)
        with self._lock:
            url = self._started.url(entry, wanted_by=self) if entry.start else str(entry.url)
            return self._server(entry, url)

    def close(self) -> None:
        """Let go of all connections and stop what was started."""
        with self._lock:
            for server in self._servers.values():
                server.close()
            self._started.stop(wanted_by=self)

    def _entry(self, params: Mapping[str, Any]) -> ServerEntry:
        for entry in self._table.servers:
            if all(params.get(name) == value for name, value in entry.settings):
                return entry
        wanted = ", ".join(f"{name}={value!r}" for name, value in params.items())
        raise ServerError(f"a table of servers must have one with {wanted}, got none; add it to its servers")

    def _server(self, entry: ServerEntry, url: str) -> Server:
        found = self._servers.get(entry)
        if found is None or found.url != url:
            if found is not None:
                found.close()
            found = Server(
                url=url,
                scheme=self._scheme,
                model=self._table.model,
                options=self._options,
                spending=self._spending,
                where=" ".join(entry.start) or url,
                alias=self._alias,
            )
            self._servers[entry] = found
        return found
