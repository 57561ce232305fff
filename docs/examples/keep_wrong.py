"""A hook of one's own: every wrong answer goes to a file as soon as it is decoded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

OUT = Path("wrong_answers.jsonl")


def pytest_pb_record(config: pytest.Config, record: Mapping[str, Any]) -> None:
    """Append task, sample and text of a result whose score is 0; a failed sample has none."""
    if record.get("scores", {}).get("accuracy") == 0:
        parts = record["parts"]
        line = {name: parts[name] for name in ("task", "model", "method", "k", "sample_id")}
        with OUT.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**line, "text": record["text"]}) + "\n")
