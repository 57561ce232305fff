"""Asks the scoring tools (grammar, BERTScore) for whole batches of texts, off the decode path."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from task_specs.sample import Sample
from task_specs.scoring.bertscore import LAYERS
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
    from task_specs.scoring.bertscore import BertScorer
    from task_specs.scoring.languagetool.server import Server

GRAMMAR, BERTSCORE = "grammar", "bertscore"
CACHE_FOLDER = "tools"
NO_CLIENT = (
    "grammar needs language_tool_python, which is not installed; pip install 'parallelbench-pytest[text]', "
    "or leave the text tasks unscored (--pb-grammar none)"
)
NO_ENCODER = "no encoder was named (--pb-bertscore roberta-large, or FOLDER@LAYER)"


class Tools:
    """The scoring tools of one process; each is looked for, and started, at its first use.

    A tool that cannot be used is tried once: later uses raise the same message at once.

    Args:
        grammar: What ``--pb-grammar`` says, or the running backend that a controlling process hands on.
        bertscore: What ``--pb-bertscore`` says: an encoder, with ``@LAYER`` behind one that has no known best
            layer; None leaves BERTScore out.
        folder: Where answers are cached and a server's log goes.
        env: The environment.
    """

    def __init__(
        self,
        *,
        grammar: str | Backend,
        bertscore: str | None,
        folder: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._env = os.environ if env is None else env
        self._folder = folder / CACHE_FOLDER
        self._named = grammar
        self._found: Backend | None = None
        self._grammar_failure: str | None = None
        self._server: Server | None = None
        self._grammar: Grammar | None = None
        self._encoder = bertscore
        self._bert: BertScorer | None = None
        self._bert_failure: str | None = None

    def check(self, needs: Iterable[str]) -> None:
        """Look at what was named for the tools in *needs*, without starting or loading it.

        Raises:
            ValueError: It cannot be used.
        """
        for tool in sorted(needs):
            if tool == GRAMMAR:
                self._backend()
            elif tool == BERTSCORE:
                encoder, layer = self._encoder_and_layer()
                if encoder and layer is None and encoder.rpartition("/")[2] not in LAYERS:
                    known = ", ".join(LAYERS)
                    raise ValueError(
                        f"--pb-bertscore must be ENCODER@LAYER for an encoder other than {known}, got "
                        f"{encoder!r}; the layer that agrees best with human judgement differs by encoder"
                    )

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
                self._grammar_failure = f"--pb-grammar: {error}"
                raise ValueError(self._grammar_failure) from error
            self._grammar = Grammar(found, cache=GrammarCache(self._folder))
        return found

    @property
    def notes(self) -> list[str]:
        """What the reader of a run should know of the tools that it used: a downloaded one's checksum."""
        found = self._found
        if found is None or found.sha256 is None:
            return []
        return [f"grammar by LanguageTool of {found.folder}, sha256 {found.sha256}"]

    @property
    def is_later(self) -> bool:
        """Whether texts are decoded now and scored another time."""
        return self._backend().kind == "later"

    @property
    def unscored(self) -> str | None:
        """Why there is no grammar in this run, with the ways out; None where there is.

        Raises:
            ValueError: What was named cannot be used.
        """
        backend = self._backend()
        if backend.kind not in ("none", "later"):
            return None
        reason = backend.reason or "there is no grammar backend"
        return reason if backend.kind == "later" or WAYS_OUT in reason else f"{reason}; {WAYS_OUT}"

    def key(self, needs: Iterable[str]) -> str:
        """Return what the tools in *needs* add to the key of a score: names, versions, the language checked.

        Of LanguageTool the rules are a part too (`Backend.rules`); where it answers is none.

        Raises:
            ValueError: The grammar server does not start.
        """
        names = []
        for tool in sorted(needs):
            if tool == GRAMMAR:
                backend = self.backend
                said = backend.kind if backend.version is None else f"{backend.identity}:{LANGUAGE}"
                names.append(f"grammar={backend.name}:{said}")
            elif tool == BERTSCORE:
                names.append(f"bertscore={self._encoder or 'none'}")
        return "".join(f"/{name}" for name in names)

    def measure(
        self, needs: Iterable[str], asked: Sequence[tuple[str, Sample]], stop: Event | None = None
    ) -> list[dict[str, Any]]:
        """Return what the tools in *needs* say of every (text, sample), in order.

        Each distinct text is asked once. A text that a tool cannot judge has a reason instead, never a score.

        Args:
            needs: Names of tools.
            asked: What to judge.
            stop: Once set, here or by a server that stopped answering, no further text is asked.

        Raises:
            ValueError: A tool that was named cannot be used.
        """
        measured: list[dict[str, Any]] = [{} for _ in asked]
        if GRAMMAR in needs:
            version = self.backend.version
            assert self._grammar is not None
            results = self._grammar.check((text for text, _ in asked), stop)
            for found, result in zip(measured, results, strict=True):
                found[GRAMMAR] = _of_version(result, version).measured()
        if BERTSCORE in needs:
            for found, values in zip(measured, self._bertscores(asked), strict=True):
                found[BERTSCORE] = values
        return measured

    def close(self) -> None:
        """End a server that was started here."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._grammar = None

    def _backend(self) -> Backend:
        if self._grammar_failure is not None:
            raise ValueError(self._grammar_failure)
        if self._found is None:
            try:
                self._found = resolve(self._named, self._env) if isinstance(self._named, str) else self._named
                if self._found.kind in ("server", "folder") and find_spec("language_tool_python") is None:
                    raise ValueError(NO_CLIENT)
            except ValueError as error:
                self._grammar_failure = str(error)
                raise
        return self._found

    def _bertscores(self, asked: Sequence[tuple[str, Sample]]) -> list[dict[str, Any]]:
        from task_specs.scoring.text import compared_with

        if self._encoder is None:
            return [{"reason": f"BERTScore: {NO_ENCODER}"} for _ in asked]
        return self._bert_scorer().score((text, compared_with(sample)) for text, sample in asked)

    def _bert_scorer(self) -> BertScorer:
        if self._bert_failure is not None:
            raise ValueError(self._bert_failure)
        if self._bert is None:
            from task_specs.scoring.bertscore import load_bert_scorer

            try:
                self._bert = load_bert_scorer(*self._encoder_and_layer())
            except (ValueError, ModuleNotFoundError) as error:
                self._bert_failure = f"--pb-bertscore: {error}"
                raise ValueError(self._bert_failure) from error
        return self._bert

    def _encoder_and_layer(self) -> tuple[str, int | None]:
        encoder, _, layer = (self._encoder or "").partition("@")
        if layer and not layer.isdecimal():
            raise ValueError(
                f"--pb-bertscore must be ENCODER or ENCODER@LAYER with the number of a layer, "
                f"got {self._encoder!r}; correct it or leave it out"
            )
        return encoder, int(layer) if layer else None


def _of_version(result: GrammarResult, version: str | None) -> GrammarResult:
    """Return *result*, or a reason where another version gave it than the one in the key of its score."""
    if result.version in (None, version):
        return result
    return GrammarResult(
        reason=f"LanguageTool answered as version {result.version}, it began as {version}; run again"
    )
