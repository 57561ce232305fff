"""``pb resolve``: what is listed, what is written, and what is not."""

import json

import pytest

from pb_plugin.cli import main
from pb_plugin.records.store import Store


@pytest.fixture
def store(tmp_path, make_record):
    """A store with one result in two versions, one of them twice, and one result without another."""
    folder = tmp_path / "store"
    for number, nfe in enumerate((4, 5, 5)):
        with Store(folder, now=lambda number=number: 1_700_000_000.0 + number) as written:
            written.append(make_record(nfe=nfe))
            written.append(make_record(parts={"sample_id": "same"}))
    return folder


@pytest.fixture
def pb(capsys):
    """Return a function that runs ``pb resolve`` and returns its output."""

    def run(*arguments, code=0):
        assert main(["resolve", *map(str, arguments)]) == code
        shown = capsys.readouterr()
        return shown.err if code else shown.out

    return run


def test_a_dry_run_lists_and_writes_nothing(pb, store):
    first, second, _ = files = sorted(store.glob("*.jsonl"))
    before = sorted(store.iterdir())
    assert pb(store, "--dry-run").splitlines() == [
        f"shuffle n3-000, llada-confidence k=2: {first}, line 1 stays, stored first; {second}, line 1 is "
        "left out, another nfe",
        "nothing was written (--dry-run)",
    ]
    assert sorted(store.iterdir()) == before
    assert len(files) == 3


def test_it_decides_and_says_where_and_how_to_undo_it(pb, store):
    lines = pb(store).splitlines()
    (file,) = store.glob("*.resolved")
    assert len(lines) == 2
    assert lines[1] == (
        "the first of each counts from now on, what runs before the second was written have reported; "
        f"{file} says so and can be deleted to undo it: no record was changed"
    )
    assert pb(store) == f"no two results of one key differ in {store}\n"
    assert list(store.glob("*.resolved")) == [file]
    file.unlink()
    assert len(pb(store, "--dry-run").splitlines()) == 2


def test_json_names_every_pair(pb, store):
    found = json.loads(pb(store, "--json"))
    first, second, _ = sorted(store.glob("*.jsonl"))
    (file,) = store.glob("*.resolved")
    (conflict,) = found.pop("conflicts")
    assert found == {"store": str(store), "file": file.name}
    assert len(conflict.pop("decode_key")) == 64
    assert conflict == {
        "task": "shuffle",
        "sample": "n3-000",
        "model": "llada",
        "method": "confidence",
        "k": 2,
        "differs": ["nfe"],
        "kept": {"file": first.name, "line": 1},
        "dropped": {"file": second.name, "line": 1},
    }


def test_a_store_that_is_none_is_refused(pb, tmp_path):
    assert pb(tmp_path / "nowhere", code=2) == (
        f"pb: STORE must be a directory, got '{tmp_path / 'nowhere'}'; name one that a run has written "
        "(--pb-store)\n"
    )
