"""Calls the hooks of `pb_plugin.hookspec`; what they raise or return amiss becomes a failed verdict."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pb_plugin.gates.judge import Verdict

if TYPE_CHECKING:
    import pytest

    from pb_plugin.records.record import Record

RECORD, GATE, SUMMARY = "pytest_pb_record", "pytest_pb_gate", "pytest_pb_summary"


def is_asked(config: pytest.Config, hook: str) -> bool:
    """Return whether anybody implements *hook*, so that its data are worth making."""
    return bool(getattr(config.hook, hook).get_hookimpls())


def teller_of_records(config: pytest.Config) -> Callable[[Record], None] | None:
    """Return what tells others of a record that was stored, or None where nobody asks."""
    if not is_asked(config, RECORD):
        return None
    return lambda record: config.hook.pytest_pb_record(config=config, record=json.loads(record.to_json()))


def gates_of_others(config: pytest.Config, summary: Mapping[str, Any]) -> list[Verdict]:
    """Return the verdicts of every plugin that has gates of its own."""
    try:
        return list(_verdicts(config.hook.pytest_pb_gate(config=config, summary=summary)))
    except Exception as error:  # the boundary to plugins that may be anybody's
        return [_raised(GATE, error)]


def _verdicts(answers: Sequence[Any]) -> Iterator[Verdict]:
    for answer in answers:
        if not isinstance(answer, list | tuple) or not all(isinstance(found, Verdict) for found in answer):
            raise TypeError(
                f"a gate must return a list of pb_plugin.gates.judge.Verdict or None, got {answer!r}; wrap it"
            )
        yield from answer


def lines_of_others(
    config: pytest.Config, summary: Mapping[str, Any], verdicts: Sequence[Verdict]
) -> tuple[list[str], list[Verdict]]:
    """Return the lines of others for the end of the terminal, and a failed verdict where one raised."""
    gates = [verdict.to_json() for verdict in verdicts]
    try:
        answers = config.hook.pytest_pb_summary(config=config, summary=summary, gates=gates)
        return [str(line) for answer in answers for line in answer], []
    except Exception as error:  # the boundary to plugins that may be anybody's
        return [], [_raised(SUMMARY, error)]


def _raised(hook: str, error: Exception) -> Verdict:
    message = f"the hook {hook} of a plugin raised {type(error).__name__}: {error}"
    return Verdict(gate=hook, subject="plugins", passed=False, value=None, message=message)
