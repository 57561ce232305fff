"""Somebody else's package adds a task, a scorer, a method and a model, by entry point or by reference."""

import json

import pytest

from decoders.testing import check_denoiser, check_method
from pb_plugin.planning import registry

PACKAGE = '''
"""What another project would ship."""

from dataclasses import dataclass
from importlib.resources import files
from typing import ClassVar

import torch

from decoders.text.byte_tokenizer import ByteTokenizer
from decoders.state import StepUpdate
from task_specs.scoring import Scored

WORDS = ("cat", "dog")


@dataclass(frozen=True, kw_only=True, slots=True)
class FromBothEnds:
    """Commit the first and the last masked position."""

    name: ClassVar[str] = "both_ends"
    family: ClassVar[str] = "static"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar = ({"inwards": True}, {"inwards": False})
    needs: ClassVar = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    inwards: bool = True

    def init(self, view):
        return None

    def step(self, view, memory):
        position = torch.arange(view.eligible.shape[1]).expand_as(view.eligible).double()
        ranks = [view.rank(sign * position) for sign in ((-1, 1) if self.inwards else (1,))]
        unmask = torch.stack([rank == 0 for rank in ranks]).any(dim=0)
        return StepUpdate(unmask=unmask & view.eligible, tokens=view.proposals), None


class Speller:
    """Says the first word it was asked to say, letter by letter, then ends the text."""

    name = "speller"
    mask_id, pad_id, eos_ids, vocab_size = 256, 257, frozenset({257}), 258

    def __init__(self):
        self.tokenizer = ByteTokenizer(vocab_size=self.vocab_size)

    def encode_prompt(self, messages):
        return self.tokenizer.encode(messages[-1]["content"])

    def __call__(self, canvas, attend, query, contexts):
        logits = torch.zeros(len(query), self.vocab_size)
        for place, (row, position) in enumerate(query.tolist()):
            start = canvas.shape[1] - 8
            prompt = canvas[row, :start][attend[row, :start]].tolist()
            word = self.tokenizer.decode(prompt).split(" ")[-1].rstrip(".?") + "\\x00" * 99
            letter = word[position - start]
            logits[place, 257 if letter == "\\x00" else ord(letter)] = 9.0
        logits[:, self.mask_id] = float("-inf")
        return logits


def load(request):
    return Speller()


def echo(text, sample, measured):
    return Scored(values={"accuracy": float(text == sample.facts["word"])})


def task():
    return files(__package__) / "say.yaml"
'''

TASK = """
id: say
category: spelling
version: 1
prompt: "Say {word}."
canvas: 8
scorer: "acme.decoding:echo"
score: accuracy
data: say.jsonl
"""

ENTRY_POINTS = """
[pb.methods]
both_ends = acme.decoding:FromBothEnds
[pb.models]
speller = acme.decoding:load
[pb.tasks]
say = acme.decoding:task
"""


@pytest.fixture
def package(suite):
    """Put the package on the path: its module, its data, and what an installer writes beside it."""
    folder = suite.pytester.mkpydir("acme")
    (folder / "decoding.py").write_text(PACKAGE)
    (folder / "say.yaml").write_text(TASK)
    lines = [
        {"id": word, "fields": {"word": word}, "facts": {"word": word}, "answers": [word]}
        for word in ("cat", "horse", "ox")
    ]
    (folder / "say.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    suite.pytester.syspathinsert()

    def install(name="acme", entry_points=ENTRY_POINTS):
        info = suite.pytester.mkdir(f"{name}-0.1.dist-info")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text(entry_points)

    return install


BY_NAME = ("--model", "speller", "--task", "say", "--unmasking", "both_ends")
BY_REFERENCE = ("--model", "acme.decoding:load", "--task", "acme.decoding:task")
BY_REFERENCE += ("--unmasking", "acme.decoding:FromBothEnds")


def test_an_installed_package_is_used_by_its_names(suite, package):
    package()
    result = suite.run(*BY_NAME, "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "*::test_cell[[]say-speller-both_ends-inwards_true[]] PASSED score=1.00*",
            "*::test_cell[[]say-speller-both_ends-inwards_false[]] PASSED score=1.00*",
            "speller-both_ends *inwards=false *inwards=true",
        ]
    )
    records = suite.records()
    assert {record.parts["data_source"] for record in records} == {"user"}
    assert {(r.text, r.nfe) for r in records} == {
        (word, nfe) for word in ("cat", "horse", "ox") for nfe in (4, 8)
    }
    (score_key,) = {record.score_key for record in records}
    assert score_key.startswith("acme.decoding:echo@")
    assert all(cell["category"] == "spelling" for cell in json.loads(suite.summary())["cells"])


def test_the_same_package_is_used_by_reference_without_being_installed(suite, package):
    result = suite.run(*BY_REFERENCE, "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["*::test_cell[[]say-acme.decoding_load-both_ends-inwards_true[]] PASSED score=1.00*"]
    )


def test_a_changed_scorer_scores_stored_results_again_without_decoding(suite, package):
    suite.run(*BY_REFERENCE).assert_outcomes(passed=2)
    module = suite.pytester.path / "acme" / "scoring.py"
    module.write_text(
        "from task_specs.scoring import Scored\n"
        "def echo(text, sample, measured):\n    return Scored(values={'accuracy': 1.0, 'loud': 0.25})\n"
    )
    task = suite.pytester.path / "acme" / "say.yaml"
    task.write_text(task.read_text().replace("acme.decoding:echo", "acme.scoring:echo"))
    n_before = len(suite.records())
    result = suite.run(*BY_REFERENCE)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["2 of 2 items reused; *"])
    records = suite.records()
    assert [record.scores.get("loud") for record in records[n_before:]] == [0.25] * (len(records) - n_before)
    assert len(records) > n_before
    assert len({record.decode_key for record in records}) == n_before


def test_the_package_runs_on_the_exact_model_and_ours_on_its_model(suite, package):
    package()
    result = suite.run("--task", "say", "--unmasking", "both_ends,random", "--k", "1,8")
    result.assert_outcomes(passed=4)
    result = suite.run("--model", "speller", "--task", "say", "--unmasking", "confidence", "--k", "8")
    result.assert_outcomes(passed=1)


def test_the_package_passes_the_conformance_kit(suite, package):
    package()
    check_method(registry.resolve(registry.METHODS, "both_ends")())
    check_method(registry.resolve(registry.METHODS, "acme.decoding:FromBothEnds")(inwards=False))
    check_denoiser(registry.resolve(registry.MODELS, "speller")(None))


@pytest.mark.parametrize(
    ("entry_points", "message"),
    [
        (
            "[pb.methods]\nrandom = acme.decoding:FromBothEnds\n",
            "pb.methods *'random'*'acme.decoding:FromBothEnds'*",
        ),
        ("[pb.models]\nideal = acme.decoding:load\n", "pb.models *'ideal'*'acme.decoding:load'*"),
        (
            "[pb.tasks]\nshuffle = acme.decoding:task\n",
            "pb.tasks *'shuffle' claimed by this project and by *",
        ),
    ],
    ids=["method", "model", "task"],
)
def test_a_name_of_ours_cannot_be_claimed(suite, package, entry_points, message):
    package("acme", entry_points)
    result = suite.run("--samples", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}; rename or uninstall one of them"])


def test_two_packages_cannot_claim_one_name(suite, package):
    package("acme")
    package("other", ENTRY_POINTS.replace("acme.decoding:load", "acme.decoding:Speller"))
    result = suite.run("--samples", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: pb.models must have one owner per name, got 'speller' claimed by *"])


def test_a_clash_is_one_message_where_nothing_was_selected_too(suite, package):
    package("acme", "[pb.models]\nideal = acme.decoding:load\n")
    result = suite.pytester.runpytest_inprocess("-p", "pb_plugin.plugin", "-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["pb.models must have one owner per name, got 'ideal' claimed by *"])


@pytest.mark.slow
def test_the_package_runs_with_workers(suite, package):
    package()
    result = suite.run_apart(*BY_NAME, "-n", "2")
    result.assert_outcomes(passed=2)
