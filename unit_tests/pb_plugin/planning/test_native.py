"""`native`, the one unmasking name of a model that owns its loop: its parameters, and where it fits."""

import pytest

from pb_plugin.planning.native import Native, native_variants, params_of
from pb_plugin.planning.option_grammar import parse_method
from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan


def test_without_parameters_there_is_one_variant():
    (variant,) = native_variants([])
    assert (variant.method, variant.params) == (Native(), ())


def test_parameters_are_a_grid_of_numbers_truth_values_and_texts():
    variants = native_variants([parse_method("native:steps=8,16;rate=0.5;fast=true;predictor=euler")])
    assert [params_of(v.method) for v in variants] == [
        {"steps": steps, "rate": 0.5, "fast": True, "predictor": "euler"} for steps in (8, 16)
    ]


@pytest.mark.parametrize(
    ("text", "knobs"),
    [
        ("native:steps=8,16;rate=0.5", ("steps",)),
        ("native:steps=8,16;rate=0.5,0.7", ("steps", "rate")),
        ("native:steps=8;predictor=euler,analytic", ()),
        ("native:fast=true,false", ()),
    ],
)
def test_numbers_that_vary_make_one_curve_and_other_values_make_several(text, knobs):
    assert {variant.knobs for variant in native_variants([parse_method(text)])} == {knobs}


def test_it_is_never_stepped():
    with pytest.raises(AssertionError, match="a model that owns its loop is not stepped"):
        Native().step(None, None)


def test_a_model_that_owns_its_loop_has_native_cells_and_the_others_have_none():
    made = plan(Options(model=("ideal", "sedd-uniform"), task=("copy",)))
    by_model = {cell.model.name: set() for cell in made.cells}
    for cell in made.cells:
        by_model[cell.model.name].add(cell.asked.method)
    assert by_model["sedd-uniform"] == {"native"}
    assert "native" not in by_model["ideal"]


def test_its_parameters_are_in_the_id():
    made = plan(Options(model=("sedd-uniform",), task=("shuffle",), unmasking=("native:steps=32,64",)))
    assert [cell.id for cell in made.cells] == [
        "shuffle-sedd-uniform-native-steps_32",
        "shuffle-sedd-uniform-native-steps_64",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            Options(task=("copy",), unmasking=("native",)),
            r"--unmasking native must come with a model that owns its loop, got ideal; choose one of .*apd",
        ),
        (
            Options(model=("sedd-uniform",), task=("copy",), unmasking=("threshold",)),
            r"--unmasking must be native for sedd-uniform, which owns its loop, got threshold; leave --unm",
        ),
    ],
    ids=["no such model", "another method"],
)
def test_a_method_that_does_not_fit_the_model_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        plan(options)
