"""What a score depends on, as records and run files write it: scores of different keys never mix."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreKey:
    """The parts of a score key.

    Args:
        scorer: Its name.
        version: Of the scorer; for one from outside this project the hash of its module's source.
        text_rule: How ids became the text that was scored.
        tools: What every tool adds, as `pb_plugin.running.tools.Tools.key` writes it; empty without.
    """

    scorer: str
    version: str
    text_rule: str
    tools: str = ""

    def __str__(self) -> str:
        return f"{self.scorer}@{self.version}/{self.text_rule}{self.tools}"

    @classmethod
    def read(cls, text: str) -> ScoreKey:
        """Return the parts of a key as it was written.

        Raises:
            ValueError: It is none.
        """
        scorer, at, rest = text.partition("@")
        version, slash, rest = rest.partition("/")
        text_rule, more, tools = rest.partition("/")
        if not (scorer and at and version and slash and text_rule):
            raise ValueError(
                f"score_key must be SCORER@VERSION/TEXT_RULE and tools, got {text!r}; run the suite again"
            )
        return cls(scorer=scorer, version=version, text_rule=text_rule, tools=more + tools)
