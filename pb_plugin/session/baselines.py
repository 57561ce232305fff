"""A finished run and its baselines: the one that it is held against, and the one that it writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pb_plugin.comparing import baseline
from pb_plugin.comparing.comparison import Comparison
from pb_plugin.comparing.side import Side
from pb_plugin.gates.judge import Verdict
from pb_plugin.planning.options import Options
from task_specs.spec import TaskSpec


def held_against(
    before: Side, run: Side, options: Options, specs: Sequence[TaskSpec]
) -> tuple[list[Verdict], Comparison | None]:
    """Return the verdicts on *run* held against *before*, with the comparison, if there is one.

    Args:
        before: The baseline.
        run: This run.
        options: What is compared, and how much may be lost.
        specs: The tasks of the run.
    """
    from pb_plugin.gates.against_baseline import judge_baseline

    x, count = options.gate_at
    return judge_baseline(
        before,
        run,
        x=x,
        count=count,
        margin=options.margin,
        is_strict=options.gate_strict,
        n_available=max(spec.n_samples for spec in specs),
    )


def written(run: Side, path: Path) -> tuple[str | None, str | None]:
    """Write *run* to *path*; return a line that says so, and why it could not be."""
    try:
        left_out = baseline.save(run, path)
    except (ValueError, OSError) as error:
        return None, str(error)
    return f"baseline written: {path}" + (f", without {', '.join(left_out)}" if left_out else ""), None
