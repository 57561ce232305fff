"""The scoring tools of one process (`task_specs.scoring.tool`), by the names in the ``needs`` of specs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from task_specs.sample import Sample
from task_specs.scoring.bertscore_tool import BertScoreTool
from task_specs.scoring.languagetool.backend import Backend
from task_specs.scoring.languagetool.tool import GrammarTool
from task_specs.scoring.reference.passed_tool import PassedTool

if TYPE_CHECKING:
    from task_specs.scoring.tool import Tool

CACHE_FOLDER = "tools"


def tools_of(
    *,
    grammar: str,
    bertscore: str | None,
    folder: Path,
    passed: Path | None = None,
    shared: Mapping[str, Mapping[str, Any]] | None = None,
    env: Mapping[str, str] | None = None,
) -> Tools:
    """Return the tools of a process; this is their list.

    Args:
        grammar: What ``--pb-grammar`` says.
        bertscore: What ``--pb-bertscore`` says; None leaves BERTScore out.
        folder: Of the store, in which tools keep answers and logs in a folder of their own.
        passed: The result file of an evaluator of code; None leaves code for later.
        shared: What a controlling process hands on of the tools that it started (`Tools.shared`).
        env: The environment.
    """
    running = (shared or {}).get(GrammarTool.name)
    named = grammar if running is None else Backend(**running)
    return Tools(
        GrammarTool(named, folder=folder / CACHE_FOLDER, env=env),
        BertScoreTool(bertscore),
        PassedTool(passed),
    )


class Tools:
    """Scoring tools, asked together for what the scores of a task need."""

    def __init__(self, *tools: Tool) -> None:
        self._tools = {tool.name: tool for tool in tools}

    def _of(self, needs: Iterable[str]) -> Iterator[Tool]:
        return (self._tools[name] for name in sorted(needs))

    def check(self, needs: Iterable[str]) -> None:
        """Look at what was named for the tools in *needs*, without starting or loading it.

        Raises:
            ValueError: It cannot be used.
        """
        for tool in self._of(needs):
            tool.check()

    @property
    def notes(self) -> list[str]:
        """What the reader of a run should know of the tools that it used."""
        return [note for tool in self._tools.values() for note in tool.notes]

    def unscored(self, needs: Iterable[str]) -> str | None:
        """Return why this run has no scores for a task that needs these tools, with the ways out; else None.

        Raises:
            ValueError: What was named cannot be used.
        """
        return next((reason for tool in self._of(needs) if (reason := tool.missing) is not None), None)

    def not_decoded(self, needs: Iterable[str]) -> str | None:
        """Return why a task that needs these tools is not even decoded: unscored, and not left for later."""
        return self.unscored(tool.name for tool in self._of(needs) if not tool.is_later)

    def key(self, needs: Iterable[str]) -> str:
        """Return what the tools in *needs* add to the key of a score.

        Raises:
            ValueError: One does not start.
        """
        return "".join(f"/{tool.name}={tool.key()}" for tool in self._of(needs))

    def shared(self, needs: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Start the tools in *needs* that workers share, and return what these need to reach them, by name.

        Raises:
            ValueError: One does not start.
        """
        found = ((tool.name, tool.shared()) for tool in self._of(needs))
        return {name: values for name, values in found if values is not None}

    def measure(
        self, needs: Iterable[str], asked: Sequence[tuple[str, Sample]], stop: Event | None = None
    ) -> list[dict[str, Any]]:
        """Return what the tools in *needs* say of every (text, sample), in order, by the names of the tools.

        Args:
            needs: Names of tools.
            asked: What to judge.
            stop: Once set, here or by a tool that stopped answering, no further text is asked.

        Raises:
            ValueError: A tool that was named cannot be used.
        """
        measured: list[dict[str, Any]] = [{} for _ in asked]
        for tool in self._of(needs):
            for found, values in zip(measured, tool.measure(asked, stop), strict=True):
                found[tool.name] = values
        return measured

    def close(self) -> None:
        """End what was started here."""
        for tool in self._tools.values():
            tool.close()
