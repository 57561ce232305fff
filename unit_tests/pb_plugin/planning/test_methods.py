"""Method objects from an ``--unmasking`` choice."""

import sys
import types
from dataclasses import dataclass
from typing import ClassVar

import pytest

from pb_plugin.planning import registry
from pb_plugin.planning.methods import variants_of
from pb_plugin.planning.option_grammar import parse_method


@dataclass(frozen=True, kw_only=True)
class Fake:
    """A method of somebody else with every kind of parameter."""

    name: ClassVar[str] = "fake"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar = ({"tau": 0.7, "history": 2}, {"tau": 0.9, "history": 2})
    needs: ClassVar = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    tau: float
    history: int = 1
    exact: bool = False
    order: str = "best"
    cap: int | None = 3
    callback: object = None

    def init(self, view): ...

    def step(self, view, memory): ...


def needs_argument(tau: float) -> Fake:
    return Fake(tau=tau)


def not_a_method() -> int:
    return 3


def misses_a_name(x: "Absent" = None): ...  # noqa: F821


@dataclass(frozen=True, kw_only=True)
class OddFamily(Fake):
    family: ClassVar[str] = "odd"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    """Make this module importable under a name of its own, as another package would be."""
    names = {
        name: globals()[name]
        for name in ("Fake", "needs_argument", "not_a_method", "misses_a_name", "OddFamily")
    }
    monkeypatch.setitem(sys.modules, "acme_methods", types.SimpleNamespace(**names))


def variants(text):
    return variants_of(parse_method(text), registry.known(registry.METHODS))


def params(text):
    return [dict(variant.params) for variant in variants(text)]


def test_without_parameters_the_default_sweep_is_taken():
    assert params("threshold") == [{"gamma": gamma} for gamma in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)]
    assert params("factor") == [{"f": f} for f in (0.7, 1.0, 1.3, 1.6, 1.9)]
    assert params("confidence") == [{}]


def test_given_parameters_replace_those_of_the_sweep():
    assert params("threshold:gamma=0.9") == [{"gamma": 0.9}]
    assert params("threshold:gamma=0.9,0.25") == [{"gamma": 0.9}, {"gamma": 0.25}]
    assert params("threshold:gamma=0.9;at_least=4") == [{"gamma": 0.9, "at_least": 4}]
    assert params("acme_methods:Fake:tau=0.5") == [{"tau": 0.5, "history": 2}]


def test_the_rest_of_the_sweep_stays():
    assert params("factor:f=1,2;upstream_exact=true,false") == [
        {"f": 1.0, "upstream_exact": True},
        {"f": 1.0, "upstream_exact": False},
        {"f": 2.0, "upstream_exact": True},
        {"f": 2.0, "upstream_exact": False},
    ]
    assert params("threshold:confidence=margin")[0] == {"gamma": 0.5, "confidence": "margin"}
    assert len(params("threshold:confidence=margin")) == 6


def test_parameters_come_in_the_order_of_the_signature():
    (variant,) = variants("acme_methods:Fake:history=4;tau=0.5")
    assert variant.params == (("tau", 0.5), ("history", 4))
    assert variant.method == Fake(tau=0.5, history=4)


def test_a_function_gives_the_attributes_of_its_result():
    (variant,) = variants("left_to_right")
    assert (variant.method.name, variant.method.takes_k) == ("left_to_right", True)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("tau=1", 1.0),
        ("history=4", 4),
        ("exact=true", True),
        ("exact=false", False),
        ("order=worst", "worst"),
        ("cap=none", None),
        ("cap=7", 7),
    ],
)
def test_text_is_converted_by_the_annotation(written, value):
    name = written.partition("=")[0]
    got = getattr(variants(f"acme_methods:Fake:{written}")[0].method, name)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "threshold:foo=1",
            r"--unmasking threshold:foo=1: parameter must be one of gamma, confidence, at_least, rule, "
            "entry, upstream_exact, got 'foo'",
        ),
        ("threshold:gamma=x", r"threshold:gamma=x: gamma must be a finite number, got 'x'; write digits"),
        ("threshold:gamma=nan", r"gamma must be a finite number, got 'nan'"),
        ("threshold:gamma=2", r"--unmasking threshold:gamma=2: gamma must be in \(0, 1\], got 2\.0"),
        ("threshold:gamma=0.9;at_least=0", r"at_least must be a whole number of at least 1, got 0; 1"),
        ("acme_methods:Fake:history=1.5", r"history must be a whole number, got '1\.5'"),
        ("acme_methods:Fake:exact=yes", r"exact must be true or false, got 'yes'; write it in lower case"),
        ("acme_methods:Fake:callback=x", r"callback must be float, int, bool or str to be set by text, got "),
        (
            "acme_methods:needs_argument",
            r"must have a sweep or optional parameters only, got a required 'tau'",
        ),
        ("acme_methods:not_a_method", r"must be an unmasking method, got 3 without 'name'; add it"),
        (
            "acme_methods:misses_a_name",
            r"must have a signature that can be read, got name 'Absent' is not defined",
        ),
        ("acme_methods:OddFamily", r"family must be one of static, adaptive, got 'odd'; correct the class"),
        (
            "decoders.unmasking.top_k:TopK",
            r"must have every required parameter and no other, got \{\}: .*'score'",
        ),
        (
            "decoders.state:ODDS_TOLERANCE",
            r"must be a class or function that gives a method, got 1e-05",
        ),
    ],
)
def test_a_bad_parameter_or_object_names_the_option_and_the_rule(text, message):
    with pytest.raises(ValueError, match=message):
        variants(text)
