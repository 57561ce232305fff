"""Methods and models of a user that raise, lack something or return nothing: whose items fail, and why."""

import json

import pytest

SMALL = ("--task", "copy", "--k", "4", "--samples", "4")


METHODS = """
from dataclasses import dataclass
from typing import ClassVar

from decoders.state import StepUpdate

@dataclass(frozen=True, kw_only=True)
class Plain:
    family: ClassVar[str] = "static"
    takes_k: ClassVar[bool] = True
    sweep: ClassVar = ({},)
    needs: ClassVar = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    def init(self, view):
        return None

@dataclass(frozen=True, kw_only=True)
class Raising(Plain):
    name: ClassVar[str] = "raising"

    def step(self, view, memory):
        raise RuntimeError("no idea")

@dataclass(frozen=True, kw_only=True)
class Idle(Plain):
    name: ClassVar[str] = "idle"

    def step(self, view, memory):
        return StepUpdate(unmask=view.eligible & False, tokens=view.proposals), None

@dataclass(frozen=True, kw_only=True)
class Needy(Plain):
    name: ClassVar[str] = "needy"
    needs: ClassVar = frozenset({"attention"})

    def step(self, view, memory):
        return StepUpdate(unmask=view.eligible, tokens=view.proposals), None
"""


MODELS = """
import gc
import weakref
from pathlib import Path

from decoders.text.byte_tokenizer import ByteTokenizer
from decoders.testing.hash_denoiser import HashDenoiser

LOADED = []

class Babble(HashDenoiser):
    name = "babble"

    def __init__(self):
        super().__init__(vocab_size=300)
        self.tokenizer = ByteTokenizer(vocab_size=300)
        self.n_prompts = 0

    def encode_prompt(self, messages):
        self.n_prompts += 1
        return [298 + min(self.n_prompts, 2) - 1]

    def __call__(self, canvas, attend, query, contexts):
        logits = super().__call__(canvas, attend, query, contexts)
        logits[:, 298:] = float("-inf")
        return logits

class FirstPromptIsNaN(Babble):
    name = "holes"

    def __call__(self, canvas, attend, query, contexts):
        logits = super().__call__(canvas, attend, query, contexts)
        logits[(canvas == 298).any(dim=1)[query[:, 0]]] = float("nan")
        return logits

class Raising(Babble):
    name = "raising"

    def __call__(self, canvas, attend, query, contexts):
        raise ZeroDivisionError("half way")

def babble(request):
    return Babble()

def holes(request):
    return FirstPromptIsNaN()

def raising(request):
    return Raising()

def no_load(request):
    with Path("loads.txt").open("a") as file:
        file.write("tried\\n")
    raise RuntimeError("weights are on another planet")

def nothing(request):
    return None

def heavy(request):
    model = Babble()
    LOADED.append(weakref.ref(model))
    return model

def next_heavy(request):
    gc.collect()
    Path("alive.txt").write_text(str(LOADED[0]() is not None))
    return Babble()
"""


@pytest.fixture
def user_code(suite, request):
    """Write modules of the user's under names that no other test uses; return their names."""
    suite.pytester.syspathinsert()
    stem = request.node.name.partition("[")[0]
    suite.pytester.makepyfile(**{f"methods_{stem}": METHODS, f"models_{stem}": MODELS})
    return f"methods_{stem}", f"models_{stem}"


def test_a_method_that_raises_fails_its_own_items_and_is_never_a_score(suite, user_code):
    methods, _ = user_code
    options = (*SMALL, "--unmasking", "confidence", "--unmasking", f"{methods}:Raising")
    result = suite.run(*options, "--unmasking", f"{methods}:Idle")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "copy *failed",
            "failed, 1 item: 4 of 4 samples failed (method_error); first: method raising raised "
            "RuntimeError: no idea (first row *)",
            "failed, 1 item: 4 of 4 samples failed (method_error); first: * method idle, row *: it commits "
            "nothing; commit at least one eligible position or declare may_idle",
        ]
    )
    failed = [record for record in suite.records() if record.failed]
    assert len(failed) == 8
    assert all(not record.scores and record.error["class"] == "method_error" for record in failed)
    by_method = {cell["method"]: cell for cell in json.loads(suite.summary())["cells"]}
    assert by_method["raising"]["accuracy"] is None
    assert by_method["raising"]["errors"] == {"method_error": 4}
    assert by_method["confidence"]["accuracy"] == 1.0
    again = suite.run(*options)
    again.assert_outcomes(passed=1, failed=1)
    again.stdout.fnmatch_lines(["1 of 2 items reused; *"])


def test_a_method_that_needs_what_the_model_lacks_is_skipped_alone(suite, user_code):
    methods, _ = user_code
    result = suite.run(*SMALL, "--unmasking", "confidence", "--unmasking", f"{methods}:Needy")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["skipped, 1 item: *model must offer attention for method needy, *"])


def test_logits_that_are_not_finite_fail_the_sample_they_belong_to(suite, user_code):
    _, models = user_code
    result = suite.run(*SMALL, "--model", f"{models}:holes", "--unmasking", "random")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "failed, 1 item: 1 of 4 samples failed (model_error); first: model holes, method random, row *: "
            "the denoiser gave logits that are not finite; check the checkpoint and its dtype"
        ]
    )
    assert [record.failed for record in suite.records()].count(True) == 1
    (cell,) = json.loads(suite.summary())["cells"]
    assert (cell["n"], cell["n_failed"], cell["errors"]) == (3, 1, {"model_error": 1})


def test_a_model_that_raises_fails_every_sample_and_no_other_models_items(suite, user_code):
    _, models = user_code
    result = suite.run(
        *SMALL, "--model", f"{models}:raising", "--model", "ideal", "--unmasking", "random,margin"
    )
    result.assert_outcomes(failed=2, passed=2)
    result.stdout.fnmatch_lines(
        [
            "failed, 2 items: 4 of 4 samples failed (model_error); first: model raising raised "
            "ZeroDivisionError: half way"
        ]
    )


def test_a_model_that_cannot_be_loaded_is_tried_once_and_is_one_reason(suite, user_code):
    _, models = user_code
    options = ("--model", f"{models}:no_load", "--task", "copy,sort", "--unmasking", "random", "--k", "4,8")
    result = suite.run(*options, "--samples", "2")
    assert result.ret == 1
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(
        [f"failed, 4 items: model {models}:no_load: RuntimeError: weights are on another planet"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    assert (suite.pytester.path / "loads.txt").read_text() == "tried\n"


def test_a_load_function_that_returns_nothing_is_an_error(suite, user_code):
    _, models = user_code
    result = suite.run(*SMALL, "--model", f"{models}:nothing", "--unmasking", "random")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["failed, 1 item: * a model's load function must return the model, got None *"]
    )


def test_a_failing_items_model_is_gone_when_the_next_one_loads(suite, user_code):
    _, models = user_code
    suite.pytester.makepyfile(
        test_bench="""
        def test_cell(pb_cell, pb_model, pb_record):
            in_a_local = pb_model.get()
            pb_record(pb_cell)
            assert pb_cell.model.name.endswith(":next_heavy"), "fails while its frame holds the model"
        """
    )
    result = suite.run(
        *SMALL, "--model", f"{models}:heavy", "--model", f"{models}:next_heavy", "--unmasking", "random"
    )
    result.assert_outcomes(failed=1, passed=1)
    assert (suite.pytester.path / "alive.txt").read_text() == "False"
