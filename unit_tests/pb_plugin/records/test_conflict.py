"""Results of one key that differ: one of them counts once that is written down, and nothing is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.records.conflict import write_resolutions
from pb_plugin.records.store import Store

LINES = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from((3, 4, 5)), st.sampled_from(("", "lists-2"))),
    max_size=12,
)
"""Records of a file: sample, forwards, score key."""


def build(make_record, sample, nfe, score_key=""):
    key = {"score_key": score_key} if score_key else {}
    return make_record(parts={"sample_id": sample}, nfe=nfe, **key)


def fill(folder, make_record, *files):
    for number, lines in enumerate(files):
        with Store(folder, now=lambda number=number: 1_700_000_000.0 + number) as store:
            for line in lines:
                store.append(build(make_record, *line))


def conflicts_of(folder):
    return [conflict for found in Store(folder).index().conflicts.values() for conflict in found]


def bytes_of(folder):
    return {path: path.read_bytes() for path in folder.glob("*.jsonl")}


@given(first=LINES, second=LINES, third=LINES)
def test_after_a_resolution_every_stored_key_is_used_with_its_first_result(
    tmp_path_factory, make_record, first, second, third
):
    folder = tmp_path_factory.mktemp("store")
    fill(folder, make_record, first, second)
    before, expected = bytes_of(folder), {}
    for line in (*first, *second):
        expected.setdefault(build(make_record, *line).decode_key, line[1])
    write_resolutions(conflicts_of(folder), folder)
    index = Store(folder).index()
    assert not index.conflicts
    assert {key: index.find(key, "lists-1").nfe for key in expected} == expected
    assert len(index) == len(expected)
    assert bytes_of(folder) == before, "no line is changed"
    assert index.n_lines == len(first) + len(second)
    fill(folder / "more", make_record, third)
    for file in (folder / "more").glob("*.jsonl"):
        file.rename(folder / "9.jsonl")
    dropped = {(line[0], line[1]) for line in (*first, *second)}
    new = {(s, n) for s, n, _ in third if (s, n) not in dropped and any(s == line[0] for line in dropped)}
    again = conflicts_of(folder)
    assert new <= {(c.other.record.parts["sample_id"], c.other.record.nfe) for c in again}, "never in advance"
    write_resolutions(again, folder)
    assert not conflicts_of(folder)


def test_one_pair_is_decided_and_not_the_next(tmp_path, make_record):
    fill(tmp_path, make_record, [("a", 4)], [("a", 5)])
    write_resolutions(conflicts_of(tmp_path), tmp_path)
    assert conflicts_of(tmp_path) == []
    with Store(tmp_path, now=lambda: 1_800_000_000.0) as store:
        store.append(build(make_record, "a", 5))
        store.append(build(make_record, "a", 6))
    (left,) = conflicts_of(tmp_path)
    assert left.other.record.nfe == 6


def test_where_the_first_result_is_another_one_the_pair_is_open_again(tmp_path, make_record):
    fill(tmp_path, make_record, [("a", 4)], [("a", 5)])
    write_resolutions(conflicts_of(tmp_path), tmp_path)
    first, second = sorted(tmp_path.glob("*.jsonl"))
    first.rename(tmp_path / "z.jsonl")
    (left,) = conflicts_of(tmp_path)
    assert left.first.file == second


def test_what_others_append_is_judged_by_what_was_decided(tmp_path, make_record):
    fill(tmp_path, make_record, [("a", 4)], [("a", 5)])
    write_resolutions(conflicts_of(tmp_path), tmp_path)
    index = Store(tmp_path).index()
    with Store(tmp_path) as store:
        store.append(build(make_record, "a", 5))
        store.append(build(make_record, "b", 5))
    later = Store(tmp_path).index(index)
    assert not later.conflicts
    assert len(later) == 2


@pytest.mark.parametrize(
    "line", ["", "{}", "[", '{"decode_key": 5}', "[" * 100_000, '{"decode_key":"a","keeps":"b"}', "\ud800"]
)
def test_a_damaged_file_is_named_with_line_and_cure(tmp_path, make_record, line):
    fill(tmp_path, make_record, [("a", 4)], [("a", 5)])
    file = write_resolutions(conflicts_of(tmp_path), tmp_path)
    file.write_bytes(file.read_bytes() + line.encode("utf-8", "surrogatepass") + b"\n")
    with pytest.raises(ValueError, match="not a resolution") as error:
        Store(tmp_path).index()
    assert str(error.value).startswith(f"{file}, line 2: not a resolution (")
    assert str(error.value).endswith(
        f"); delete this file and run pb resolve {tmp_path} again: no record is lost"
    )
