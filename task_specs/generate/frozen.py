"""The committed sample files: write them and their checksums anew, or compare them with what a seed gives."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from task_specs.catalogue import list_op_ids, task_ids
from task_specs.document import parse
from task_specs.generate import records
from task_specs.spec import TaskSpec, spec_of


def sample_lines(spec: TaskSpec) -> str:
    """Return the content of the sample file of *spec*: one JSON object a line."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records(spec))


def refresh(root: Path, *, write: bool) -> list[str]:
    """Return one line for every generated task whose data or checksum differ from what its seed gives.

    Args:
        root: The folder that holds ``specs`` and ``data``.
        write: Whether to write the data and the checksum where they differ.
    """
    stale = []
    for task_id in (*task_ids(), *list_op_ids()):
        spec_file = root / "specs" / f"{task_id}.yaml"
        spec = spec_of(parse(spec_file.read_text(encoding="utf-8"), str(spec_file)), root / "data", {})
        if spec.generator is None or spec.data is None:
            continue
        data_file = root / "data" / spec.data
        content = sample_lines(spec).encode()
        checksum = hashlib.sha256(content).hexdigest()
        present = data_file.read_bytes() if data_file.is_file() else b""
        if present == content and spec.checksum == checksum:
            continue
        stale.append(
            f"{task_id}: the seed gives samples of checksum {checksum}, the spec says {spec.checksum}"
        )
        if write:
            data_file.write_bytes(content)
            text = spec_file.read_text(encoding="utf-8")
            text = re.sub(r"^checksum: .*$", f'checksum: "{checksum}"', text, flags=re.MULTILINE)
            spec_file.write_text(text, encoding="utf-8")
    return stale
