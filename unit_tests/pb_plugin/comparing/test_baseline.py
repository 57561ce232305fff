"""A baseline file: there and back, and a message for every way it can be wrong."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.comparing.baseline import FORMAT, load, save
from pb_plugin.comparing.side import Side


@pytest.fixture
def side(make_cell):
    return Side(name="run", cells=(make_cell("copy", scores=(1.0, 0.0)), make_cell("sort", k=4, nfe=2)))


def kept(side):
    return [
        (
            cell.asked,
            cell.planned.curve,
            cell.planned.n_planned,
            [(r.decode_key, r.nfe, r.scores, r.content_tokens, r.score_key) for r in cell.records],
        )
        for cell in side.cells
    ]


def test_what_was_measured_comes_back_and_no_text_does(side, tmp_path):
    path = tmp_path / "sub" / "base.json"
    assert save(side, path) == []
    found = load(path)
    assert kept(found) == kept(side)
    assert {record.text for cell in found.cells for record in cell.records} == {""}
    assert "four words" not in path.read_text()
    before = path.read_bytes()
    save(found, path)
    assert path.read_bytes() == before


def test_a_task_that_nobody_could_score_is_left_out_and_named(side, make_cell, tmp_path):
    unscored = make_cell("w2s_easy", records=[], n_planned=3, unscored="no tool")
    assert save(Side(name="run", cells=(*side.cells, unscored)), tmp_path / "b.json") == ["w2s_easy"]
    assert len(load(tmp_path / "b.json").cells) == 2


def test_a_gap_is_refused(side, make_cell, make_record, make_failure, tmp_path):
    for cell, gap in [
        (make_cell("shuffle", n_planned=3), "2 of 3 samples missing"),
        (make_cell("shuffle", records=[make_failure()]), "sample n3-000 failed"),
        (make_cell("shuffle", scores=(None,)), "sample s000 without accuracy"),
        (make_cell("shuffle", nfe=None), r"sample s000 with an nfe that is not known \(nfe_kind unknown;"),
        (make_cell("shuffle", nfe=(2, 4)), r"sample s000 with an nfe that is not known \(nfe_kind bounds;"),
    ]:
        with pytest.raises(
            ValueError, match=f"must have a full result of every item, got shuffle of llada-confidence: {gap}"
        ):
            save(Side(name="run", cells=(*side.cells, cell)), tmp_path / "b.json")
    with pytest.raises(ValueError, match="got the run has no results"):
        save(Side(name="run", cells=()), tmp_path / "b.json")
    assert not (tmp_path / "b.json").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-20], "not a baseline \\("),
        (lambda text: "[]", "not a baseline \\("),
        (lambda text: '{"cells": []}', f"baseline must be of format {FORMAT}, got None"),
        (lambda text: text.replace('"baseline":1', '"baseline":2'), f"must be of format {FORMAT}, got 2"),
        (lambda text: f'{{"baseline": {FORMAT}, "cells": []}}', "must hold at least one cell, got none"),
        (lambda text: text.replace('"seed":0', '"seed":"x"'), "Expected `int`, got `str`"),
        (lambda text: text.replace('"dtype"', '"detype"'), r"parts must be those of this version.*detype"),
        (lambda text: text.replace('"counted"', '"guessed"'), "nfe_kind must be one of counted"),
        (lambda text: text.replace('"n_planned":2', '"n_planned":1'), "n_planned must be at least"),
    ],
    ids=["cut", "list", "no format", "format", "empty", "type", "parts", "nfe_kind", "n_planned"],
)
def test_a_damaged_file_is_named_with_the_cure(side, tmp_path, change, message):
    path = tmp_path / "b.json"
    save(side, path)
    path.write_text(change(path.read_text()))
    with pytest.raises(
        ValueError, match=rf"{path}: not a baseline \(.*; write it again with --pb-save-"
    ) as found:
        load(path)
    assert "\n" not in str(found.value)
    with pytest.raises(ValueError, match=message):
        load(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"baseline must be a file that can be read, got '.*none.json'"):
        load(tmp_path / "none.json")
    with pytest.raises(ValueError, match="baseline must be a file that can be read, got "):
        load(tmp_path)


@given(data=st.data())
def test_any_one_value_may_be_damaged(data, tmp_path_factory, make_cell):
    path = tmp_path_factory.getbasetemp() / "fuzzed.json"
    save(Side(name="run", cells=(make_cell("copy"),)), path)
    values = json.loads(path.read_text())
    place = values["cells"][0]
    for _ in range(data.draw(st.integers(0, 2))):
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], (dict, list)) or not place[key]:
            break
        place = place[key]
    key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    place[key] = data.draw(st.sampled_from([None, -1, "x", [], {}, 1e308, True]))
    path.write_text(json.dumps(values))
    with contextlib.suppress(ValueError):
        load(path)
