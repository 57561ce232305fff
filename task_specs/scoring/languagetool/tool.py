"""Grammar as a tool: the LanguageTool that the user named, or that is found; its server is started here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from task_specs.sample import Sample
from task_specs.scoring.languagetool.backend import WAYS_OUT
from task_specs.scoring.languagetool.checker import (
    Backend,
    Grammar,
    GrammarCache,
    GrammarResult,
    ServerStartError,
    launch,
    resolve,
)
from task_specs.scoring.languagetool.client import LANGUAGE

if TYPE_CHECKING:
    from task_specs.scoring.languagetool.server import Server

NO_CLIENT = (
    "grammar needs language_tool_python, which is not installed; pip install 'parallelbench-pytest[text]', "
    "or leave the text tasks unscored (--pb-grammar none)"
)


class GrammarTool:
    """What LanguageTool says of a text.

    Args:
        named: What ``--pb-grammar`` says, or the running backend that a controlling process hands on.
        folder: Where answers are cached and a server's log goes.
        env: The environment.
    """

    name = "grammar"

    def __init__(self, named: str | Backend, *, folder: Path, env: Mapping[str, str] | None = None) -> None:
        self._env = os.environ if env is None else env
        self._folder = folder
        self._named = named
        self._found: Backend | None = None
        self._failure: str | None = None
        self._server: Server | None = None
        self._grammar: Grammar | None = None

    def check(self) -> None:
        """Look for the backend; see `Tool`."""
        self._backend()

    @property
    def backend(self) -> Backend:
        """What checks the grammar; a folder's server is started here.

        Raises:
            ValueError: It cannot be used, or its server does not start.
        """
        found = self._backend()
        if self._grammar is None:
            try:
                if found.url is None:
                    found, self._server = launch(found, directory=self._folder, env=self._env)
                    self._found = found
            except ServerStartError as error:
                self._failure = f"--pb-grammar: {error}"
                raise ValueError(self._failure) from error
            self._grammar = Grammar(found, cache=GrammarCache(self._folder))
        return found

    @property
    def notes(self) -> Sequence[str]:
        """The checksum of a downloaded LanguageTool that was used."""
        found = self._found
        if found is None or found.sha256 is None:
            return ()
        return (f"grammar by LanguageTool of {found.folder}, sha256 {found.sha256}",)

    @property
    def is_later(self) -> bool:
        """Whether texts are decoded now and scored another time."""
        return self._backend().kind == "later"

    @property
    def missing(self) -> str | None:
        """Why there is no grammar in this run, with the ways out; see `Tool`."""
        backend = self._backend()
        if backend.kind not in ("none", "later"):
            return None
        reason = backend.reason or "there is no grammar backend"
        return reason if backend.kind == "later" or WAYS_OUT in reason else f"{reason}; {WAYS_OUT}"

    def key(self) -> str:
        """Return name, version, rules (`Backend.rules`) and the language that is checked; see `Tool`."""
        backend = self.backend
        said = backend.kind if backend.version is None else f"{backend.identity}:{LANGUAGE}"
        return f"{backend.name}:{said}"

    def shared(self) -> Mapping[str, Any]:
        """Return the fields of the running backend; see `Tool`."""
        return asdict(self.backend)

    def measure(self, asked: Sequence[tuple[str, Sample]], stop: Event | None = None) -> list[dict[str, Any]]:
        """Return the broken rules of every text; see `Tool`."""
        version = self.backend.version
        assert self._grammar is not None
        results = self._grammar.check((text for text, _ in asked), stop)
        return [_of_version(result, version).measured() for result in results]

    def close(self) -> None:
        """End a server that was started here."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._grammar = None

    def _backend(self) -> Backend:
        if self._failure is not None:
            raise ValueError(self._failure)
        if self._found is None:
            try:
                self._found = resolve(self._named, self._env) if isinstance(self._named, str) else self._named
                if self._found.kind in ("server", "folder") and find_spec("language_tool_python") is None:
                    raise ValueError(NO_CLIENT)
            except ValueError as error:
                self._failure = str(error)
                raise
        return self._found


def _of_version(result: GrammarResult, version: str | None) -> GrammarResult:
    """Return *result*, or a reason where another version gave it than the one in the key of its score."""
    if result.version in (None, version):
        return result
    return GrammarResult(
        reason=f"LanguageTool answered as version {result.version}, it began as {version}; run again"
    )
