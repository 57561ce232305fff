"""A copy of a decoded run for tests that change it."""

import pytest

from pb_plugin.results.run_file import save

RUN_ONE = "20260102T030405000006Z-one"


@pytest.fixture
def store(decoded, tmp_path):
    """A store of its own with the run of *decoded*, whose file is called `RUN_ONE`."""
    run, folder = decoded
    copy = tmp_path / "store"
    copy.mkdir()
    for file in folder.glob("*.jsonl"):
        (copy / file.name).write_bytes(file.read_bytes())
    save(run, copy).rename(copy / "runs" / f"{RUN_ONE}.json")
    return copy
