"""The store: nothing is lost by a kill, nothing is decoded twice, nothing unlike is taken for equal."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.records import store as store_module
from pb_plugin.records.conflict import StoredRecord
from pb_plugin.records.store import Store, StoreLost
from unit_tests.json_mutations import check_refusal, damaged

ROOT = Path(__file__).resolve().parents[3]
WRITER = """
import json, sys, time
from pb_plugin.records.record import Record
from pb_plugin.records.store import Store
line = sys.stdin.readline()
record = json.loads(line)
store = Store(sys.argv[1], worker="gw0")
number = 0
while True:
    parts = {**record["parts"], "sample_id": f"s{number}"}
    store.append(Record(parts=parts, ids=tuple(record["ids"]), text="x" * 5000, nfe=4, canvas_tokens=8,
                        to_eos_tokens=5, content_tokens=4))
    number += 1
    print(number, flush=True)
"""


def ticking(start=1_700_000_000.0):
    """Return a clock that moves by a second whenever it is read."""
    moments = iter(range(10_000))
    return lambda: start + next(moments)


def fill(directory, *files):
    """Write each list of records as one file, in this order of names."""
    clock = ticking()
    for records in files:
        with Store(directory, now=clock) as store:
            for record in records:
                store.append(record)


def test_what_was_appended_is_read_back_in_order_with_its_place(tmp_path, make_record):
    first, second, third = (make_record(parts={"sample_id": name}) for name in "abc")
    fill(tmp_path, [first, second], [third])
    files = sorted(tmp_path.glob("*.jsonl"))
    assert list(Store(tmp_path).read()) == [
        StoredRecord(file=files[0], line=1, record=first),
        StoredRecord(file=files[0], line=2, record=second),
        StoredRecord(file=files[1], line=1, record=third),
    ]


def test_a_file_is_named_by_utc_time_worker_and_process_and_made_at_the_first_write(tmp_path, make_record):
    store = Store(tmp_path / "a" / "pb", worker="gw3", now=lambda: 0.25)
    assert list(tmp_path.iterdir()) == []
    store.append(make_record())
    store.close()
    directory = tmp_path / "a" / "pb"
    names = sorted(path.name for path in directory.iterdir())
    assert names == [".gitignore", f"19700101T000000250000Z-gw3-{os.getpid()}.jsonl"]
    assert (directory / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_an_existing_directory_gets_no_gitignore(tmp_path, make_record):
    fill(tmp_path, [make_record()])
    assert not (tmp_path / ".gitignore").exists()


def test_a_record_is_one_system_call(tmp_path, make_record, monkeypatch):
    written = []
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: written.append(bytes(data)) or real_write(fd, data))
    with Store(tmp_path) as store:
        store.append(make_record())
        store.append(make_record())
    assert written == [make_record().to_json().encode() + b"\n"] * 2


def test_a_missing_store_is_empty(tmp_path):
    index = Store(tmp_path / "none").index()
    assert (len(index), index.n_lines, list(index.records())) == (0, 0, [])


@given(cut=st.integers(1, 400), n_whole=st.integers(0, 2))
def test_a_torn_last_line_costs_at_most_itself(tmp_path_factory, make_record, cut, n_whole):
    directory = tmp_path_factory.mktemp("store")
    records = [make_record(parts={"sample_id": f"s{number}"}) for number in range(n_whole + 1)]
    fill(directory, records)
    (file,) = directory.glob("*.jsonl")
    data = file.read_bytes()
    file.write_bytes(data[:-cut])
    kept = records if cut == 1 else records[:n_whole]
    index = Store(directory).index()
    assert [stored.record for stored in Store(directory).read()] == kept
    assert index.torn_files == (() if cut == 1 else (file,))
    assert index.n_lines == len(kept)


def test_a_torn_line_of_an_earlier_file_hides_no_later_file(tmp_path, make_record):
    torn, whole = make_record(parts={"sample_id": "torn"}), make_record(parts={"sample_id": "whole"})
    fill(tmp_path, [torn], [whole])
    first = min(tmp_path.glob("*.jsonl"))
    first.write_bytes(first.read_bytes()[:100])
    assert [stored.record for stored in Store(tmp_path).read()] == [whole]


def test_a_writer_killed_at_any_moment_leaves_every_record_it_reported(tmp_path, make_record):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "pb")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    with writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.write(make_record().to_json().encode() + b"\n")
        writer.stdin.flush()
        reported = [int(writer.stdout.readline()) for _ in range(20)][-1]
        time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
    index = Store(tmp_path / "pb").index()
    assert len(index) >= reported
    fill(tmp_path / "pb", [make_record()])
    assert len(Store(tmp_path / "pb").index()) == len(index) + 1


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{}\n", "missing required field `parts`"),
        (b"\n", "truncated"),
        (b"{\xff}\n", "JSON is malformed"),
        (b"\0\0\0\n", "JSON is malformed"),
        (b'{"schema":1,"nfe":\n', "truncated"),
        (b'{"parts":' + b"[" * 200_000 + b"]" * 200_000 + b"}\n", "parts|recursion"),
        (b'{"scores":' * 100_000 + b"1" + b"}" * 100_000 + b"\n", "scores|recursion"),
        (b'{"trace":{"a":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001 + b"}\n", "recursion"),
    ],
)
def test_any_other_bad_line_is_named_with_file_line_and_cure(tmp_path, make_record, line, problem):
    fill(tmp_path, [make_record(), make_record()])
    (file,) = tmp_path.glob("*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + line + lines[1])
    message = (
        rf"^{re.escape(str(file))}, line 2: not a record \(.*{problem}.*\); delete this line or move the "
        rf"file out of {re.escape(str(tmp_path))}: nothing else was lost$"
    )
    with pytest.raises(ValueError, match=message):
        Store(tmp_path).index()


def test_a_complete_last_line_that_is_no_record_is_an_error_not_a_torn_one(tmp_path, make_record):
    fill(tmp_path, [make_record()])
    (file,) = tmp_path.glob("*.jsonl")
    file.write_bytes(file.read_bytes() + b'{"schema":1\n')
    with pytest.raises(ValueError, match="line 2: not a record"):
        list(Store(tmp_path).read())


def test_lines_of_another_schema_are_skipped_and_counted(tmp_path, make_record):
    fill(tmp_path, [make_record()])
    (file,) = tmp_path.glob("*.jsonl")
    file.write_bytes(b'{"schema":0,"whatever":1}\n' + file.read_bytes())
    index = Store(tmp_path).index()
    assert (len(index), index.n_lines, index.n_other_schema) == (1, 1, 1)


def test_equal_results_are_one_and_the_first_counts(tmp_path, make_record):
    first, again = make_record(evaluated_positions=32), make_record(evaluated_positions=16)
    fill(tmp_path, [first], [again])
    index = Store(tmp_path).index()
    assert index.get(first.decode_key) == first
    assert index.conflicts == {}
    assert (len(index), index.n_lines, first.decode_key in index) == (1, 2, True)


@pytest.mark.parametrize(
    "fields", [{"ids": (9,) * 8}, {"nfe": 5}, {"commit_step": (0,) * 8}], ids=["ids", "nfe", "commit_step"]
)
def test_results_that_differ_are_a_conflict_that_names_both_files(tmp_path, make_record, fields):
    fill(tmp_path, [make_record()], [make_record(**fields, score=0.0)])
    file_a, file_b = sorted(tmp_path.glob("*.jsonl"))
    index = Store(tmp_path).index()
    (conflict,) = index.conflicts[make_record().decode_key]
    assert (conflict.first.file, conflict.other.file, conflict.differs) == (file_a, file_b, tuple(fields))
    assert conflict.message.startswith(
        f"{file_a} and {file_b} hold different {', '.join(fields)} for decode_key"
    )
    assert f"pb resolve {tmp_path} lets the first count (--dry-run shows it)" in conflict.message
    assert index.get(make_record().decode_key) == make_record()
    assert len(list(Store(tmp_path).read())) == 2


@pytest.mark.parametrize("failed_first", [True, False])
def test_a_failure_is_no_result_and_a_success_wins_whichever_came_first(
    tmp_path, make_record, make_failure, failed_first
):
    both = [make_failure(), make_record()]
    fill(tmp_path, both if failed_first else both[::-1])
    index = Store(tmp_path).index()
    assert index.get(make_record().decode_key) == make_record()
    assert index.failed == {}


def test_a_sample_that_only_failed_is_decoded_again_and_its_latest_failure_is_known(tmp_path, make_failure):
    fill(tmp_path, [make_failure(kind="oom")], [make_failure(kind="timeout")])
    index = Store(tmp_path).index()
    key = make_failure().decode_key
    assert key not in index
    assert index.get(key) is None
    assert index.failed[key].error == {"class": "timeout", "message": "out of memory"}


def test_the_latest_scores_of_the_asked_key_are_taken_with_their_text(tmp_path, make_record):
    old = make_record(score=None, score_key="lists-1", text="whole canvas")
    new = make_record(score=0.0, score_key="lists-2", text="first eos")
    newer = make_record(score=1.0, score_key="lists-2", text="first eos", evaluated_positions=1)
    fill(tmp_path, [old, new], [newer])
    index = Store(tmp_path).index()
    key = old.decode_key
    assert index.get(key).scores == {"accuracy": 1.0}
    assert index.get(key).text == "first eos"
    assert index.get(key).evaluated_positions == old.evaluated_positions
    assert index.get(key, "lists-1") == old
    assert index.get(key, "lists-2").scores == {"accuracy": 1.0}
    assert index.get(key, "lists-3") is None
    assert index.get("unknown") is None


def test_records_come_once_each_by_key(tmp_path, make_record):
    records = [make_record(parts={"sample_id": f"s{number}"}) for number in range(5)]
    fill(tmp_path, records, records[::-1])
    expected = sorted(records, key=lambda record: record.decode_key)
    assert list(Store(tmp_path).index().records()) == expected


def test_a_file_where_the_directory_should_be_is_refused(tmp_path):
    file = tmp_path / "pb"
    file.write_text("", encoding="utf-8")
    message = (
        rf"store must be a directory, got the file '{re.escape(str(file))}'; name a directory with --pb-store"
    )
    with pytest.raises(ValueError, match=message):
        Store(file)
    with pytest.raises(
        ValueError, match=r"store must be a directory that can be written, got '.*/pb/below' \("
    ):
        Store(file / "below").prepare()


def test_a_directory_that_cannot_be_written_is_refused_before_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    message = r"store must be a directory that can be written, got '.*' \(no permission\); name another with"
    with pytest.raises(ValueError, match=message):
        Store(tmp_path).prepare()


def test_an_existing_file_is_never_appended_to(tmp_path, make_record, monkeypatch):
    for _ in range(2):
        with Store(tmp_path, now=lambda: 0.0) as store:
            store.append(make_record())
    first, second = sorted(tmp_path.glob("*.jsonl"))
    assert first.read_bytes() == second.read_bytes()
    monkeypatch.setattr(store_module, "moment_after", lambda files, now: "19700101T000000000000Z")
    with pytest.raises(ValueError, match=r"can be written, got '.*' \(File exists\)"):
        Store(tmp_path).append(make_record())


def test_a_full_disk_is_an_error_and_the_next_record_starts_a_new_file(tmp_path, make_record, monkeypatch):
    store = Store(tmp_path, now=ticking())
    store.append(make_record(parts={"sample_id": "a"}))
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real_write(fd, data[:50]))
    with pytest.raises(
        OSError, match=r"jsonl: a record could not be written \(50 of \d+ bytes were taken\); free"
    ):
        store.append(make_record(parts={"sample_id": "b"}))
    monkeypatch.setattr(os, "write", real_write)
    store.append(make_record(parts={"sample_id": "b"}))
    store.close()
    assert [stored.record.parts["sample_id"] for stored in store.read()] == ["a", "b"]
    assert len(list(tmp_path.glob("*.jsonl"))) == 2


def test_a_write_error_names_the_file(tmp_path, make_record, monkeypatch):
    def refuse(descriptor, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(
        OSError, match=r"jsonl: a record could not be written \(No space left on device\); free"
    ):
        Store(tmp_path).append(make_record())


def test_a_worker_name_must_fit_into_a_file_name(tmp_path):
    with pytest.raises(
        ValueError, match=r"worker must be letters, digits, _ and ., got 'a/b'; use main or gw0"
    ):
        Store(tmp_path, worker="a/b")


def test_what_others_append_meanwhile_is_read_from_where_the_reading_stopped(tmp_path, make_record):
    """Equal to reading all anew; a line that is being written is read when it is whole."""
    first, second, third = (make_record(parts={"sample_id": name}) for name in "abc")
    fill(tmp_path, [first])
    store = Store(tmp_path)
    index = store.index()
    other = next(tmp_path.glob("*.jsonl"))
    line = second.to_json().encode() + b"\n"
    with other.open("ab") as file:
        file.write(line[:40])
    index = store.index(index)
    assert (len(index), index.torn_files) == (1, (other,))
    with other.open("ab") as file:
        file.write(line[40:])
    with Store(tmp_path, now=ticking(1_800_000_000.0)) as later:
        later.append(third)
    index, anew = store.index(index), Store(tmp_path).index()
    assert list(index.records()) == list(anew.records())
    assert (index.n_lines, index.torn_files, index.failed) == (3, (), {})
    assert index.files == tuple(sorted(tmp_path.glob("*.jsonl")))


def test_own_lines_are_not_read_again(tmp_path, make_record):
    with Store(tmp_path) as store:
        index = store.index()
        store.append(make_record())
        assert len(store.index(index)) == 0


@pytest.mark.parametrize("how", ["deleted", "replaced", "folder"])
def test_a_file_that_is_gone_is_told_at_the_next_write(tmp_path, make_record, how):
    place = tmp_path / "store"
    store = Store(place)
    store.append(make_record())
    (file,) = place.glob("*.jsonl")
    if how == "folder":
        place.rename(tmp_path / "elsewhere")
    else:
        file.unlink()
        if how == "replaced":
            file.write_text("")
    message = r"\.jsonl must stay where it is while a run writes to it, got it deleted or moved; leave"
    with pytest.raises(StoreLost, match=message):
        store.append(make_record())
    store.append(make_record(parts={"sample_id": "b"}))
    assert [line.record.parts["sample_id"] for line in Store(place).read()] == ["b"]
    store.close()


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_damaged_line_is_read_skipped_or_refused_in_one_short_line(tmp_path, make_record, count):
    file = tmp_path / "a.jsonl"
    good = make_record(score=None, trace={"steps": [[1, 2]]}, remasks=1)
    whole = make_record(parts={"sample_id": "whole"}).to_json()
    refused = 0
    for seed in range(count):
        line = damaged(good.to_json(), seed)
        end = "\n" if seed % 2 else ""
        file.write_text(f"{whole}\n{line}{end}", encoding="ascii")
        try:
            index = Store(tmp_path).index()
        except ValueError as error:
            check_refusal(error, f"{file}, line 2: not a record (", "; delete this line or move the file out")
            refused += 1
        else:
            assert index.n_lines + index.n_other_schema + len(index.torn_files) == 2, seed
            assert all(record.to_json() for record in index.records())
    assert count // 3 < refused < count


def test_a_server_that_answers_otherwise_is_counted_and_is_no_conflict(tmp_path, make_record):
    store = Store(tmp_path / "store")
    told = {"served": {"seconds": 1.0}, "commit_step": None}
    first = make_record(**told)
    for record in (
        first,
        make_record(**told),
        make_record(**told, ids=(1, 2), text="other"),
        make_record(**told, ids=(1, 2), text="other"),
        make_record(**told, ids=(3, 4), text="third"),
    ):
        store.append(record)
    index = store.index()
    assert index.conflicts == {}
    assert index.disagreements == {first.decode_key: 2}
    assert index.get(first.decode_key) == first
