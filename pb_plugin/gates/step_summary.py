"""The verdicts of a run in GitHub's summary of a step: a table of gates, the comparison with a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pb_plugin.comparing.comparison import Comparison
from pb_plugin.comparing.markdown import markdown
from pb_plugin.gates.judge import Verdict

VARIABLE = "GITHUB_STEP_SUMMARY"
"""The variable that has the path of the file, in a workflow of GitHub."""


def step_summary(verdicts: Sequence[Verdict], comparison: Comparison | None) -> str:
    """Return the Markdown of *verdicts*, what failed first, and of the *comparison*, if there is one."""
    ordered = sorted(verdicts, key=lambda verdict: verdict.passed)
    rows = [
        f"| {'passed' if verdict.passed else '**failed**'} | {_cell(verdict.gate)} | "
        f"{_cell(verdict.subject)} | {_cell(verdict.message)} |"
        for verdict in ordered
    ]
    lines = ["### ParallelBench gates", "", "| | gate | of | |", "|---|---|---|---|", *rows, ""]
    if comparison is not None:
        lines += [
            f"### {_cell(comparison.before)} against {_cell(comparison.after)}",
            "",
            markdown(comparison),
        ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Return *text* as one cell of a table that shows it as it is."""
    one_line = " ".join(text.split())
    return "".join(f"\\{c}" if c in "\\|<>*_`[]" else c for c in one_line)


def append_to_step_summary(
    environment: Mapping[str, str], verdicts: Sequence[Verdict], comparison: Comparison | None
) -> str | None:
    """Write below what other steps wrote; return a line where that was asked for and did not work.

    Args:
        environment: The variables of this process; without `VARIABLE` nothing is written.
        verdicts: Of the gates.
        comparison: With the baseline, or None.
    """
    path = environment.get(VARIABLE)
    if not path:
        return None
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(step_summary(verdicts, comparison))
    except OSError as error:
        return f"{VARIABLE} must name a file that can be written, got {path!r} ({error.strerror})"
    return None
