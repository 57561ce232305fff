"""Stores become one: everything arrives once, nothing that is there changes, conflicts are named."""

import json
from pathlib import Path

import pytest

from pb_plugin.cli import main
from pb_plugin.records.merging import merge
from pb_plugin.records.store import Store


def written(folder, *records, moment=0.0):
    with Store(folder, now=lambda: 1_700_000_000.0 + moment) as store:
        for record in records:
            store.append(record)
    return folder


def samples(folder):
    return sorted(line.record.parts["sample_id"] for line in Store(folder).read())


@pytest.fixture
def stores(tmp_path, make_record):
    """Two stores of one result each, with the same file name, and a run file in the first."""
    found = [
        written(tmp_path / name, make_record(parts={"sample_id": name})) for name in ("shard1", "shard2")
    ]
    (found[0] / "runs").mkdir()
    (found[0] / "runs" / "r.json").write_text("{}\n")
    return found


def test_everything_arrives_though_files_have_one_name_and_a_second_time_changes_nothing(tmp_path, stores):
    into = tmp_path / "all"
    merged = merge(stores, into)
    assert (merged.results, merged.copied, merged.conflicts) == ((0, 2), 3, ())
    assert samples(into) == ["shard1", "shard2"]
    assert (into / "runs" / "r.json").read_text() == "{}\n"
    assert (into / ".gitignore").read_text() == "*\n"
    before = {path: path.read_bytes() for path in into.rglob("*") if path.is_file()}
    again = merge(stores, into)
    assert (again.results, again.copied) == ((2, 2), 0)
    assert {path: path.read_bytes() for path in into.rglob("*") if path.is_file()} == before


def test_a_file_that_has_grown_since_is_copied_anew_and_one_cut_off_by_a_kill_stays_so(
    tmp_path, stores, make_record
):
    into = tmp_path / "all"
    (file,) = stores[0].glob("*.jsonl")
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    assert merge(stores[:1], into).results == (0, 0)
    file.write_bytes(whole + make_record(parts={"sample_id": "later"}).to_json().encode() + b"\n")
    merged = merge(stores[:1], into)
    assert (merged.results, merged.copied) == ((0, 2), 1)
    assert samples(into) == ["later", "shard1"]


def test_a_conflict_is_named_and_everything_is_copied_all_the_same(tmp_path, make_record, capsys):
    stores = [written(tmp_path / f"s{nfe}", make_record(nfe=nfe), moment=nfe) for nfe in (4, 5)]
    into = tmp_path / "all"
    assert main(["merge", *map(str, stores), "--into", str(into)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"1 results in {into}, 1 of them new, from 2 stores (2 files copied)"
    first, second = sorted(into.glob("*.jsonl"))
    assert lines[1].startswith(f"conflict: {first} and {second} hold different nfe for decode_key ")
    assert main(["merge", *map(str, stores), "--into", str(into), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["results"], found["new"], found["copied"]) == (1, 0, 0)
    assert found["conflicts"][0]["differs"] == ["nfe"]


def test_an_empty_store_is_one(tmp_path, stores, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["merge", str(empty), "--into", str(tmp_path / "all")]) == 0
    assert capsys.readouterr().out.startswith("0 results in ")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("nowhere",), "STORE must be a directory, got '{}/nowhere'; name one that a run has written"),
        (("shard1", "shard2"), "STORE must be another than that of --into, got '{}/shard2' for both"),
    ],
)
def test_what_is_no_store_of_its_own_is_refused_before_anything_is_written(
    tmp_path, stores, capsys, names, message
):
    into = tmp_path / "shard2"
    before = sorted(into.iterdir())
    assert main(["merge", *(str(tmp_path / name) for name in names), "--into", str(into)]) == 2
    assert message.format(tmp_path) in capsys.readouterr().err
    assert sorted(into.iterdir()) == before


def test_a_damaged_store_is_named_before_anything_is_written(tmp_path, stores, capsys):
    (file,) = stores[1].glob("*.jsonl")
    file.write_text("no record\n")
    assert main(["merge", *map(str, stores), "--into", str(tmp_path / "all")]) == 2
    assert f"{file}, line 1: not a record" in capsys.readouterr().err
    assert not (tmp_path / "all").exists()


def test_a_full_disk_is_said_and_leaves_no_half_file(tmp_path, stores, monkeypatch):
    def full(path, content):
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    said = r"the copy of .* could not be written \(No space left on device\); .* free some space"
    with pytest.raises(OSError, match=said):
        merge(stores, tmp_path / "all")
    assert [path.name for path in (tmp_path / "all").iterdir()] == [".gitignore"]
