"""What a process knows of results: stored before, kept here, failed, in conflict, refreshed."""

import pytest

from pb_plugin.records.store import Store
from pb_plugin.running.known import Known

KEY = "lists-1"
"""The score key of the records that `make_record` builds."""


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_what_is_kept_is_stored_at_once_and_known(store, make_record):
    known, record = Known(store, fresh=False), make_record()
    assert known.record(record.decode_key, KEY) is None
    known.keep(record)
    assert known.record(record.decode_key, KEY) == known.find(record.decode_key, KEY) == record
    assert store.index().get(record.decode_key, KEY) == record
    assert known.is_from_here(record.decode_key)
    assert not known.decoded_here([record.decode_key])
    known.note_decoded(record.decode_key)
    assert known.decoded_here(["other", record.decode_key])


def test_a_stored_record_is_not_written_twice_unless_the_run_is_fresh(store, make_record):
    Known(store, fresh=False).keep(make_record())
    store.close()
    for fresh, lines in ((False, 1), (True, 2)):
        later = Known(Store(store.directory), fresh=fresh)
        assert (later.record(make_record().decode_key, KEY) is None) is fresh
        later.keep(make_record())
        later.store.close()
        found = [line for file in store.directory.glob("*.jsonl") for line in file.read_text().splitlines()]
        assert len(found) == lines


def test_a_result_scored_otherwise_is_known_until_it_is_scored_anew(store, make_record):
    Known(store, fresh=False).keep(make_record(score_key="lists-0"))
    later = Known(Store(store.directory), fresh=False)
    assert later.record(make_record().decode_key, KEY).score_key == "lists-0"
    later.keep(make_record())
    assert later.record(make_record().decode_key, KEY).score_key == KEY


def test_a_failure_is_known_until_it_is_forgotten(store, make_failure, make_record):
    known, failure = Known(store, fresh=False), make_failure()
    known.keep(failure)
    known.keep(kept := make_record(parts={"sample_id": "other"}))
    assert known.record(failure.decode_key, KEY) == failure
    known.forget_failures([failure.decode_key, kept.decode_key, "unknown"])
    assert known.record(failure.decode_key, KEY) is None
    assert known.record(kept.decode_key, KEY) == kept


def test_what_others_store_is_known_after_a_refresh(store, make_record):
    known, record = Known(store, fresh=False), make_record()
    assert known.record(record.decode_key, KEY) is None
    Known(Store(store.directory, worker="other"), fresh=False).keep(record)
    assert known.record(record.decode_key, KEY) is None
    known.refresh()
    assert known.record(record.decode_key, KEY) == record


def test_a_conflict_is_told_and_a_fresh_run_has_none(store, make_record):
    record = make_record()
    for worker, nfe in (("one", 4), ("two", 5)):
        Known(Store(store.directory, worker=worker), fresh=True).keep(make_record(nfe=nfe))
    message = Known(store, fresh=False).conflict(["other", record.decode_key])
    assert "nfe" in message
    assert Known(store, fresh=False).conflict(["other"]) is None
    assert Known(store, fresh=True).conflict([record.decode_key]) is None
