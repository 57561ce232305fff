"""Asks the scoring tools (grammar, BERTScore) for whole batches of texts, off the decode path."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from task_specs.sample import Sample
from task_specs.scoring.languagetool import Backend, Grammar, GrammarCache, ServerStartError, launch, resolve
from task_specs.scoring.languagetool_backend import WAYS_OUT

if TYPE_CHECKING:
    from task_specs.scoring.bertscore import BertScorer
    from task_specs.scoring.languagetool_server import Server

GRAMMAR, BERTSCORE = "grammar", "bertscore"
CACHE_FOLDER = "tools"
NO_ENCODER = "no encoder was named (--pb-bertscore roberta-large, or FOLDER@LAYER)"


class Tools:
    """The scoring tools of one process; each is started at its first use.

    Args:
        grammar: What ``--pb-grammar`` says, or the running backend that a controlling process hands on.
        bertscore: What ``--pb-bertscore`` says: an encoder, with ``@LAYER`` behind one that has no known best
            layer; None leaves BERTScore out.
        folder: Where answers are cached and a server's log goes.
        env: The environment.

    Raises:
        ValueError: The grammar backend that was named cannot be used.
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
        self._backend = resolve(grammar, self._env) if isinstance(grammar, str) else grammar
        self._server: Server | None = None
        self._grammar: Grammar | None = None
        self._encoder = bertscore
        self._bert: BertScorer | None = None
        self._bert_failure: str | None = None

    @property
    def backend(self) -> Backend:
        """What checks the grammar; a folder's server is started here.

        Raises:
            ValueError: The server does not start.
        """
        if self._grammar is None:
            try:
                if self._backend.url is None:
                    self._backend, self._server = launch(self._backend, directory=self._folder, env=self._env)
            except ServerStartError as error:
                raise ValueError(f"--pb-grammar: LanguageTool did not start: {error}") from error
            self._grammar = Grammar(self._backend, cache=GrammarCache(self._folder))
        return self._backend

    @property
    def unscored(self) -> str | None:
        """Why there is no grammar in this run, with the ways out; None where there is."""
        if self._backend.kind == "later":
            return self._backend.reason
        return f"{self._backend.reason}; {WAYS_OUT}" if self._backend.kind == "none" else None

    def key(self, needs: Iterable[str]) -> str:
        """Return what the tools in *needs* add to the key of a score: names and versions.

        Raises:
            ValueError: The grammar server does not start.
        """
        names = []
        for tool in sorted(needs):
            if tool == GRAMMAR:
                names.append(f"grammar={self.backend.name}:{self.backend.version or self.backend.kind}")
            elif tool == BERTSCORE:
                names.append(f"bertscore={self._encoder or 'none'}")
        return "".join(f"/{name}" for name in names)

    def measure(self, needs: Iterable[str], asked: Sequence[tuple[str, Sample]]) -> list[dict[str, Any]]:
        """Return what the tools in *needs* say of every (text, sample), in order.

        Each distinct text is asked once. A tool that cannot say gives a reason instead, never a score.
        """
        measured: list[dict[str, Any]] = [{} for _ in asked]
        if GRAMMAR in needs:
            _ = self.backend
            assert self._grammar is not None
            for found, result in zip(measured, self._grammar.check(text for text, _ in asked), strict=True):
                found[GRAMMAR] = result.measured()
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

    def _bertscores(self, asked: Sequence[tuple[str, Sample]]) -> list[dict[str, Any]]:
        from task_specs.scoring.text import compared_with

        scorer = self._bert_scorer()
        if scorer is None:
            reason = {"reason": f"BERTScore: {self._bert_failure}"}
            return [dict(reason) for _ in asked]
        return scorer.score((text, compared_with(sample)) for text, sample in asked)

    def _bert_scorer(self) -> BertScorer | None:
        if self._encoder is None:
            self._bert_failure = NO_ENCODER
        elif self._bert is None and self._bert_failure is None:
            from task_specs.scoring.bertscore import load_bert_scorer

            encoder, _, layer = self._encoder.partition("@")
            try:
                self._bert = load_bert_scorer(encoder, int(layer) if layer else None)
            except (ValueError, ModuleNotFoundError) as error:
                self._bert_failure = str(error)
        return self._bert
