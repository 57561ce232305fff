"""Models that own their loop and know their forwards in different ways, from a command to its report."""

import json

import pytest

from pb_plugin.cli import main

GENERATORS = '''
"""Knows every answer; what it tells of its forwards depends on the name it is loaded by."""

from decoders.rows import Decoded
from decoders.text.tokenizer import EOS_ID, PieceTokenizer

TOLD = {
    "counted": {"nfe": 16},
    "commanded": {"nfe": 16},
    "bounds": {"nfe": None, "nfe_low": 16, "nfe_high": 32},
    "unknown": {"nfe": None},
}


class Told:
    owns_loop = True
    uses_answers = True
    eos_ids = frozenset({EOS_ID})
    device = "cpu"

    def __init__(self, kind, vocabulary):
        self.name, self.kind = f"told-{kind}", kind
        self.tokenizer = PieceTokenizer(vocabulary)

    def encode_prompt(self, messages):
        return []

    def generate(self, rows, params):
        kind = list(TOLD)[params["level"]] if params else self.kind
        return [
            Decoded(
                key=row.key,
                ids=tuple(row.context.ids[0].tolist()),
                nfe_kind=kind,
                commit_step=None,
                **TOLD[kind],
            )
            for row in rows
        ]


def counted(request):
    return Told("counted", request.vocabulary)


def commanded(request):
    return Told("commanded", request.vocabulary)


def bounds(request):
    return Told("bounds", request.vocabulary)


def unknown(request):
    return Told("unknown", request.vocabulary)
'''
KINDS = ("counted", "commanded", "bounds", "unknown")
TASKS = ("--task", "latin_square,sudoku", "--samples", "3")
"""The suite puzzles: a canvas of 64, so that 16 forwards are 4 tokens per step, and 16 to 32 are 2 to 4."""


@pytest.fixture
def generators(pytester, monkeypatch):
    """An installed package with a generator for every kind."""
    pytester.makepyfile(told=GENERATORS)
    info = pytester.mkdir("told-0.1.dist-info")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: told\nVersion: 0.1\n")
    entries = "\n".join(f"told-{kind} = told:{kind}" for kind in KINDS)
    (info / "entry_points.txt").write_text(f"[pb.generators]\n{entries}\n")
    monkeypatch.syspath_prepend(str(pytester.path))


def models(*kinds):
    return [part for kind in kinds for part in ("--model", f"told-{kind}")]


def gates(*texts):
    return [part for text in texts for part in ("--pb-gate", text)]


def test_each_kind_from_the_command_line_to_the_report(suite, generators, capsys):
    """Counted and commanded have a value, bounds two ends, unknown a score; gates ask no more of each."""
    asked = gates("puzzles:PB80>=2", "puzzles:PB80>=3", "puzzles:told-bounds:PB80>=5")
    result = suite.run(*models(*KINDS), *TASKS, *asked)
    assert {
        (r.parts["model"], r.nfe_kind, r.nfe, r.nfe_low, r.nfe_high, r.scores["accuracy"])
        for r in suite.records()
    } == {
        ("told-counted", "counted", 16, None, None, 1.0),
        ("told-commanded", "commanded", 16, None, None, 1.0),
        ("told-bounds", "bounds", None, 16, 32, 1.0),
        ("told-unknown", "unknown", None, None, None, 1.0),
    }
    said = [line for line in result.outlines if line.startswith("gate ")]
    assert [line.split()[1] for line in said] == [
        *("passed:", "passed:", "passed:", "FAILED:"),  # bounds, commanded, counted, unknown
        *("FAILED:", "passed:", "passed:", "FAILED:"),
        "FAILED:",
    ], said
    capsys.readouterr()
    assert main(["report", str(suite.store)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("suite puzzles") and line.endswith("nfe") for line in lines)
    (bounds,) = [
        line for line in lines if line.startswith("told-bounds-native ") and "bounds" in line.split()
    ]
    assert ">=2.00..>=4.00" in bounds.split()
    (unknown,) = [line for line in lines if line.startswith("suite puzzles: None")]
    assert "None for told-unknown-native: nfe unknown (nfe_kind unknown" in unknown
    assert main(["report", str(suite.store), "--json"]) == 0
    curves = json.loads(capsys.readouterr().out)["summary"]["curves"]
    assert {c["model"]: c["nfe_kinds"] for c in curves} == {f"told-{kind}": [kind] for kind in KINDS}


def test_one_curve_with_settings_of_every_kind(suite, generators, capsys):
    """Counted, commanded and bounded settings make one curve; with an unknown one it has no PBx."""
    kinds = "native:level=0,1,2"
    suite.run(*models("counted"), *TASKS, "--unmasking", kinds)
    capsys.readouterr()
    main(["report", str(suite.store)])
    assert "counted+commanded+bounds" in capsys.readouterr().out
    result = suite.run(*models("counted"), *TASKS, "--unmasking", f"{kinds},3", *gates("puzzles:PB80>=1"))
    result.stdout.fnmatch_lines(["gate FAILED: *nfe unknown*level=3*"])
