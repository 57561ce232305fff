"""The id, marks and identity of a cell."""

import dataclasses
import re
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoders.unmasking.top_k import confidence
from pb_plugin.planning.cell import Cell
from pb_plugin.planning.methods import MethodVariant
from pb_plugin.planning.option_grammar import ModelChoice
from pb_plugin.records.asked import Asked, value_text
from task_specs.spec import builtin_spec

SHUFFLE = builtin_spec("shuffle")
REST = {"samples": None, "data": None, "position": 0}


def cell(model="llada", unmasking="confidence", params=(), method=None, **changes):
    """Return a cell of *model* as it was named; *changes* are fields of `Asked`, or of the cell."""
    model = model if isinstance(model, ModelChoice) else ModelChoice(text=model, reference=model)
    asked = {
        "task": "shuffle",
        "data_source": "own",
        "model": model.name,
        "method": unmasking,
        "method_params": dict(params),
        "k": 8,
        "block_length": None,
        "canvas": 32,
        "seed": 0,
    }
    rest = {name: changes.pop(name, default) for name, default in REST.items()}
    variant = MethodVariant(method=method or confidence(), params=params)
    return Cell(asked=Asked(**{**asked, **changes}), model=model, variant=variant, spec=SHUFFLE, **rest)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "shuffle-llada-confidence-k8"),
        ({"unmasking": "threshold", "params": (("gamma", 0.9),), "k": None}, "shuffle-llada-threshold-0.9"),
        ({"unmasking": "threshold", "params": (("gamma", 1.0),), "k": None}, "shuffle-llada-threshold-1.0"),
        (
            {"unmasking": "wino", "params": (("tau1", 0.7), ("tau2", 0.9)), "k": None},
            "shuffle-llada-wino-tau1_0.7-tau2_0.9",
        ),
        ({"unmasking": "klass", "params": (("history", 2),), "k": None}, "shuffle-llada-klass-2"),
        ({"params": (("upstream_exact", True),)}, "shuffle-llada-confidence-upstream_exact_true-k8"),
        ({"params": (("score", "margin"),)}, "shuffle-llada-confidence-score_margin-k8"),
        ({"block_length": 16}, "shuffle-llada-confidence-k8-b16"),
        ({"temperature": 1.0}, "shuffle-llada-confidence-k8-t1"),
        ({"block_length": 16, "temperature": 0.25}, "shuffle-llada-confidence-k8-b16-t0.25"),
        ({"model": ModelChoice(text="", reference="acme.pb:load")}, "shuffle-acme.pb_load-confidence-k8"),
    ],
)
def test_the_id_shows_what_differs(changes, expected):
    assert cell(**changes).id == expected


@given(
    value=st.text() | st.floats() | st.integers() | st.booleans(), name=st.text(max_size=5), model=st.text()
)
def test_an_id_has_only_characters_that_select_well(value, name, model):
    made = cell(params=((name, value),), model=ModelChoice(text=model, reference=model))
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", made.id)


@given(one=st.floats(0, 1), other=st.floats(0, 1))
def test_different_numbers_have_different_ids(one, other):
    same = value_text(one) == value_text(other)
    assert same == (repr(one) == repr(other))


def test_the_mark_has_all_fields_as_values_that_m_can_compare():
    made = cell(unmasking="threshold", params=(("gamma", 0.9), ("task", "x")), k=None)
    assert made.mark == {
        "gamma": "0.9",
        "task": "shuffle",
        "category": "waiting_line",
        "model": "llada",
        "unmasking": "threshold",
        "k": None,
        "block_length": None,
        "seed": 0,
        "temperature": "0",
        "cache": "none",
    }
    assert all(isinstance(value, str | int | None) for value in cell(temperature=0.5).mark.values())
    assert cell(temperature=0.5).mark["temperature"] == "0.5"


def test_cells_are_equal_when_they_ask_for_the_same_records():
    assert cell() == cell(position=7, method=confidence(upstream_exact=True))
    assert len({cell(), cell(position=7), cell(k=4), cell(samples=3), cell(seed=1)}) == 4


def test_a_cell_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        cell().k = 4


def test_a_cell_is_hashable_even_when_its_method_is_not():
    assert hash(cell(method=SimpleNamespace(name="x"))) == hash(cell())


def test_group_and_category():
    assert cell().group == ("llada", "shuffle")
    assert cell().category == "waiting_line"


def test_the_description_tells_cells_of_one_id_apart():
    text = cell(model=ModelChoice(text="llada=./a", reference="llada", source="./a")).description
    assert "model llada=./a" in text
    assert "decoders.unmasking.top_k" in text
