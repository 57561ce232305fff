"""What a session ends with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pb_plugin.comparing.comparison import Comparison
from pb_plugin.gates.judge import Verdict
from pb_plugin.results.run_file import Run
from pb_plugin.results.summary import Summary


@dataclass(frozen=True, kw_only=True, slots=True)
class Conclusion:
    """What a session ends with: the run's file, its summary or why there is none, the gates' verdicts.

    ``comparison`` is that with the baseline, where there is one.
    """

    run: Run
    path: Path
    summary: Summary | None
    problem: str | None
    verdicts: tuple[Verdict, ...]
    comparison: Comparison | None = None
