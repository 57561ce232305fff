"""Two models in one run: memory holds one of them, and a load that fails costs the other nothing."""

import pytest

MODELS = """
import gc
import weakref
from pathlib import Path
from unit_tests import user_parts

ALIVE = weakref.WeakSet()

class Weights:
    pass

class Babble(user_parts.Babble):
    def __init__(self):
        super().__init__()
        self.weights = new_weights()

def new_weights():
    weights = Weights()
    ALIVE.add(weights)
    return weights

def log(name):
    with Path("loads.txt").open("a") as file:
        file.write(f"{name} finds {len(ALIVE)} in memory\\n")

def broken(request):
    log("broken")
    half = new_weights()
    raise MemoryError("no room for layer 7")

def broken_in_a_circle(request):
    log("broken_in_a_circle")
    gc.disable()  # nothing is collected by chance
    half = new_weights()
    half.owner = half
    raise MemoryError("no room for layer 7")

def first(request):
    log("first")
    return Babble()

def second(request):
    log("second")
    gc.enable()
    return Babble()
"""

ASKED = ("--task", "copy,sort", "--unmasking", "random", "--k", "8,16", "--samples", "2")
REASON = "model two_models:broken: MemoryError: no room for layer 7"


@pytest.fixture
def run(suite):
    suite.pytester.syspathinsert()
    suite.pytester.makepyfile(two_models=MODELS)

    def run(*names, options=()):
        chosen = [word for name in names for word in ("--model", f"two_models:{name}")]
        result = suite.run(*ASKED, *chosen, *options)
        return result, (suite.pytester.path / "loads.txt").read_text().splitlines()

    return run


@pytest.mark.parametrize("options", [(), ("--pb-sweep", "isolated")], ids=str)
def test_a_failing_load_fails_its_items_for_one_reason_and_leaves_no_memory(run, options):
    result, loads = run("broken", "second", options=options)
    result.assert_outcomes(errors=4, passed=4)
    result.stdout.fnmatch_lines([f"failed, 4 items: {REASON}"])
    assert loads == ["broken finds 0 in memory", "second finds 0 in memory"]


def test_what_was_half_loaded_is_let_go_even_where_it_refers_to_itself(run):
    """As networks do: only the collector of garbage finds them."""
    result, loads = run("broken_in_a_circle", "second")
    result.assert_outcomes(errors=4, passed=4)
    assert loads == ["broken_in_a_circle finds 0 in memory", "second finds 0 in memory"]


def test_a_failing_load_after_a_good_one_costs_the_good_one_nothing(run, suite):
    result, loads = run("first", "broken")
    result.assert_outcomes(errors=4, passed=4)
    result.stdout.fnmatch_lines([f"failed, 4 items: {REASON}"])
    assert loads == ["first finds 0 in memory", "broken finds 0 in memory"]
    assert {record.parts["model"] for record in suite.records()} == {"two_models:first"}


def test_the_first_model_is_let_go_before_the_second_is_loaded(run):
    result, loads = run("first", "second")
    result.assert_outcomes(passed=8)
    assert loads == ["first finds 0 in memory", "second finds 0 in memory"]
