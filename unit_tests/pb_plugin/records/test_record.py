"""A record: its keys, its one line of JSON, its three token counts, and what it refuses."""

import gc
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.records.canonical import canonical_json
from pb_plugin.records.record import (
    CELL_PARTS,
    DECODE_PARTS,
    PAIR_PARTS,
    SCHEMA,
    Record,
    cell_digest,
    decode_key_of,
    sample_key,
    token_counts,
)

EOS, PAD = 2, 3
PAIRED = {
    *("data_source", "data_checksum", "task", "spec_version", "sample_id", "input_hash", "canvas", "model"),
    *(
        "prompt_style",
        "method",
        "method_params",
        "k",
        "block_length",
        "temperature",
        "seed",
        "cache",
    ),
}
OTHER_VALUES = {
    "spec_version": 2,
    "method_params": {"gamma": 0.9},
    "k": 4,
    "block_length": 4,
    "canvas": 16,
    "temperature": 0.5,
    "seed": 1,
}


@pytest.mark.parametrize("name", DECODE_PARTS)
def test_every_part_moves_the_decode_key_and_only_what_was_asked_for_moves_the_pair_key(make_record, name):
    before, after = make_record(), make_record(parts={name: OTHER_VALUES.get(name, "another")})
    assert after.decode_key != before.decode_key
    assert (after.pair_key != before.pair_key) == (name in PAIRED)


def test_the_pair_key_holds_what_the_design_lists():
    assert set(PAIR_PARTS) == PAIRED
    assert set(DECODE_PARTS) - PAIRED == {"model_fingerprint", "dtype", "method_code", "decode_code"}


def test_keys_depend_neither_on_the_result_nor_on_how_a_number_is_written(make_record):
    record = make_record()
    assert make_record(score=0.0, ids=(1,) * 8, nfe=8).decode_key == record.decode_key
    assert make_record(parts={"temperature": 0, "method_params": {}}).decode_key == record.decode_key
    assert decode_key_of(record.parts) == record.decode_key


def test_samples_of_a_cell_share_the_hash_of_its_parts(make_record):
    record = make_record()
    shared = cell_digest(record.parts)
    assert sample_key(shared, record.parts["sample_id"], record.parts["input_hash"]) == record.decode_key
    assert {*CELL_PARTS, "sample_id", "input_hash"} == set(DECODE_PARTS)


def test_work_bounds_and_a_trace_come_back_and_are_part_of_no_key(make_record):
    plain = make_record()
    rich = plain.with_result(
        forwards=9,
        evaluated_canvases=12,
        trace={"p": [0.5]},
        nfe=None,
        nfe_kind="bounds",
        nfe_low=2,
        nfe_high=4,
    )
    assert Record.from_json(rich.to_json()) == rich
    assert (rich.decode_key, rich.pair_key) == (plain.decode_key, plain.pair_key)


def test_keys_are_those_of_earlier_runs(make_record):
    """A change here throws away every store: raise SCHEMA and say so in the README."""
    record = make_record()
    assert record.decode_key == "c857371395592b12b41586ee79a53e63a421fc837742c8a58f63a1c4ef5c1d3e"
    assert record.pair_key == "c38dce5330b1e672bdd2313d0ec04c777e9f25f52e7f03be6ab0d2b3fec94a17"


def test_another_result_of_the_same_parts_keeps_the_key_without_making_it_again(make_record, monkeypatch):
    record = make_record(text="yes")
    key = record.decode_key
    monkeypatch.setattr("pb_plugin.records.record.decode_key_of", None)
    scored = record.with_result(scores={"valid": 1.0}, score_key="s")
    assert (scored.decode_key, scored.scores, scored.text) == (key, {"valid": 1.0}, "yes")
    assert record.scores != scored.scores


def test_records_of_a_cell_that_are_read_share_its_parts_and_are_not_searched_for_cycles(make_record):
    lines = [
        make_record(parts={"sample_id": f"s{i}", "method_params": {"gamma": 0.9}}).to_json() for i in "12"
    ]
    first, second = map(Record.from_json, lines)
    assert first.parts["method_params"] is second.parts["method_params"]
    assert [record.parts["sample_id"] for record in (first, second)] == ["s1", "s2"]
    assert not gc.is_tracked(first)


def test_other_parts_make_another_key(make_record):
    record = make_record()
    other = record.with_parts(model="another")
    assert other == make_record(parts={"model": "another"})
    assert other.decode_key != record.decode_key


def test_a_record_survives_its_line_of_json(make_record, make_failure):
    for record in (
        make_record(),
        make_record(score=None),
        make_record(score=1 / 3, text='lone \ud800 and "quotes"\n\u2028'),
        make_record(nfe=None, nfe_kind="unknown", commit_step=None),
        make_failure(),
    ):
        line = record.to_json()
        assert Record.from_json(line) == record
        assert Record.from_json(line).to_json() == line
        assert "\n" not in line
        assert line.isascii()


def test_equal_records_give_equal_bytes_whatever_the_order_of_their_keys(make_record):
    record = make_record(scores={"accuracy": 1.0, "accuracy_strict": 0.0})
    twin = make_record(
        scores={"accuracy_strict": 0, "accuracy": 1},
        parts={name: record.parts[name] for name in reversed(DECODE_PARTS)},
    )
    assert twin.to_json() == record.to_json()


def test_a_line_has_the_fields_that_readers_rely_on(make_record):
    assert sorted(json.loads(make_record().to_json())) == sorted(
        [
            *("canvas_tokens", "commit_step", "content_tokens", "decode_key", "error", "evaluated_positions"),
            *("evaluated_canvases", "forwards", "nfe_high", "nfe_low", "trace"),
            *("finish_reason", "ids", "nfe", "nfe_kind", "nfe_other", "pair_key", "parts", "remasks"),
            *("schema", "score_key", "score_reasons", "scores", "text", "to_eos_tokens"),
        ]
    )


@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_canonical_json_keeps_every_value(value):
    assert json.loads(canonical_json(value)) == value


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (float("nan"), ValueError, "a stored number must be finite, got nan; use None and give the reason"),
        ({1: 2}, TypeError, "a stored key must be a string, got 1; convert it first"),
        ([{1}], TypeError, r"a stored value must be plain JSON data, got \{1\} of type set"),
    ],
)
def test_canonical_json_refuses_what_json_cannot_hold(value, error, message):
    with pytest.raises(error, match=message):
        canonical_json(value)


@pytest.mark.parametrize(
    ("ids", "masked", "expected"),
    [
        ([5, 6, 7, 8], None, (4, 4, 4)),
        ([5, 6, EOS, EOS, EOS], None, (5, 3, 2)),
        ([5, 6, EOS, 7, EOS], None, (5, 3, 2)),
        ([EOS, EOS], None, (2, 1, 0)),
        ([PAD, 5, PAD, EOS], None, (4, 4, 1)),
        ([5, 6, 7, EOS], [False, True, True, False], (2, 2, 2)),
        ([5, 6, EOS, EOS], [True, False, True, True], (3, 2, 1)),
        ([5, EOS, 6, EOS], [True, False, True, False], (2, 1, 1)),
    ],
)
def test_the_three_counts_of_small_outputs(ids, masked, expected):
    assert token_counts(ids, {EOS}, masked, pad_ids={PAD}) == expected


@given(ids=st.lists(st.integers(0, 5), max_size=12), data=st.data())
def test_content_is_at_most_to_eos_is_at_most_canvas(ids, data):
    masked = data.draw(st.none() | st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))
    counts = token_counts(ids, {EOS}, masked, pad_ids={PAD})
    assert 0 <= counts.content <= counts.to_eos <= counts.canvas <= len(ids)
    if EOS not in ids:
        assert counts.to_eos == counts.canvas


def test_one_mask_entry_per_id_is_needed():
    with pytest.raises(ValueError, match=r"masked must have one entry per id \(2\), got 1; cut both"):
        token_counts([5, 6], {EOS}, [True])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schema": 99}, f"schema must be {SCHEMA}, got 99; decode the sample again"),
        (
            {"scores": {"accuracy": 2.0}},
            r"score 'accuracy' must be in \[0, 1\] or None, got 2.0; scale it in the scorer",
        ),
        ({"scores": {"accuracy": float("nan")}}, r"score 'accuracy' must be in \[0, 1\] or None, got nan"),
        (
            {"scores": {"accuracy": None}},
            r"score_reasons must name exactly the scores that are None, got \[\] for \['accuracy'\]",
        ),
        ({"score_reasons": {"accuracy": "why"}}, r"got \['accuracy'\] for \[\]; give one reason each"),
        ({"nfe": None}, "nfe must be at least 1 where it was counted .*, got None with 'counted'"),
        ({"nfe": 0}, "nfe must be at least 1 .* got 0 with 'counted'; never invent it"),
        ({"nfe_kind": "bounds"}, "nfe must be at least 1 .* got 4 with 'bounds'"),
        ({"nfe": None, "nfe_kind": "bounds"}, r"1 <= low <= high .* got \(None, None\) with 'bounds'"),
        (
            {"nfe": None, "nfe_kind": "bounds", "nfe_low": 5, "nfe_high": 4},
            r"1 <= low <= high with nfe_kind 'bounds', else None, got \(5, 4\)",
        ),
        ({"nfe_low": 1, "nfe_high": 8}, r"else None, got \(1, 8\) with 'counted'; give both bounds"),
        ({"nfe_kind": "unknown"}, "nfe must be at least 1 .* got 4 with 'unknown'"),
        ({"nfe_kind": "guess"}, "nfe_kind must be one of counted, commanded, bounds, unknown, got 'guess'"),
        ({"canvas_tokens": None}, r"0 <= content <= to_eos <= canvas, got \(4, 5, None\); take them from"),
        ({"content_tokens": 6}, r"0 <= content <= to_eos <= canvas, got \(6, 5, 8\)"),
        ({"commit_step": (0,)}, r"commit_step must have one entry per id \(8\), got 1; use -1 where"),
        ({"error": {"class": "oom", "message": "x"}}, "scores must be empty for a failed sample, got"),
        (
            {"error": {"class": "bad", "message": "x"}, "scores": {}},
            "error must hold message and a class of oom, timeout, worker_crash, model_error, method_error, "
            "scorer_error, tool_error, got .*'bad'.*; name what failed",
        ),
        ({"error": {"class": "oom"}, "scores": {}}, "error must hold message and a class of oom"),
    ],
)
def test_an_impossible_record_is_refused(make_record, fields, message):
    with pytest.raises(ValueError, match=message):
        make_record(**fields)


def test_missing_and_unknown_parts_are_named(make_record):
    parts = {**make_record().parts, "speed": 1}
    del parts["seed"]
    with pytest.raises(
        ValueError, match=r"got missing \['seed'\] and unknown \['speed'\]; give each, None where"
    ):
        Record(parts=parts)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda line: "[1]", "Expected `object`, got `array`"),
        (lambda line: line.replace('"nfe":4', '"nfe":NaN'), "JSON is malformed: invalid character"),
        (lambda line: line.replace('"remasks"', '"remarks"'), "unknown field `remarks`"),
        (lambda line: line.replace('"remasks":0,', ""), "missing required field `remasks`"),
        (lambda line: line.replace('"scores":{"accuracy":1}', '"scores":5'), r"got `int` - at `\$.scores`"),
        (lambda line: line.replace('"score_key":"', '"score_key":["a"],"x":"'), r"at `\$.score_key`"),
        (lambda line: line.replace('"nfe":4', '"nfe":4.5'), r"got `float` - at `\$.nfe`"),
        (lambda line: line.replace('"nfe":4', '"nfe":true'), r"got `bool` - at `\$.nfe`"),
        (lambda line: line.replace('"seed":0', '"seeds":0'), "missing .'seed'. and unknown .'seeds'."),
        (lambda line: line.replace('"sample_id"', '"sample"'), "missing .'sample_id'."),
        (
            lambda line: line.replace('"seed":0', '"seed":1'),
            "decode_key must be the hash of the parts, got '.*'; the line was edited",
        ),
        (lambda line: line[:-9], "Input data was truncated"),
    ],
)
def test_a_line_that_we_did_not_write_is_refused(make_record, edit, message):
    with pytest.raises(ValueError, match=message):
        Record.from_json(edit(make_record().to_json()))


def test_differences_name_what_should_have_been_equal(make_record):
    record = make_record()
    assert record.differences(make_record(score=0.0, text="other", evaluated_positions=8)) == ()
    assert record.differences(make_record(nfe=5, ids=(9,) * 8)) == ("ids", "nfe")
    assert record.differences(make_record(commit_step=None)) == ("commit_step",)


def test_a_failure_needs_no_result_and_has_no_score(make_failure):
    failure = make_failure(kind="timeout", message="300 s")
    assert failure.failed
    assert failure.scores == {}
    assert failure.nfe is None


def served_record(make_record, **fields):
    values = {"served": {"seconds": 1.0}, "nfe": None, "nfe_kind": "unknown", "commit_step": None, **fields}
    return make_record(**values)


def test_what_a_server_told_is_stored_and_no_other_record_mentions_it(make_record):
    record = served_record(make_record)
    assert Record.from_json(record.to_json()) == record
    plain = make_record()
    assert '"served"' not in plain.to_json()
    assert Record.from_json(plain.to_json()) == plain


def test_tokens_that_nobody_counted_are_none_for_a_server_that_tells_no_steps_and_for_nothing_else(
    make_record,
):
    nobody = {"canvas_tokens": None, "to_eos_tokens": None, "content_tokens": None}
    record = served_record(make_record, **nobody)
    assert Record.from_json(record.to_json()).content_tokens is None
    for fields in (
        {"served": None},
        {"nfe": 3, "nfe_kind": "counted"},
        {"nfe_kind": "bounds", "nfe_low": 1, "nfe_high": 2},
        {"canvas_tokens": 8},
    ):
        with pytest.raises(ValueError, match="token counts must satisfy"):
            served_record(make_record, **{**nobody, **fields})
