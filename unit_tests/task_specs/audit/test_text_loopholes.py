"""Laws of the loophole table of the text tasks: it equals the committed one, what needs Java apart."""

import json
import os
from pathlib import Path

import pytest

from task_specs import BENCHMARK_IDS
from task_specs.audit import text_loopholes
from task_specs.audit.tables import as_json
from task_specs.audit.text_loopholes import (
    BY_TOOL,
    CONSTANT,
    OUTPUTS,
    TextLoophole,
    as_markdown,
    by_grammar,
    main,
    text_loophole_table,
    text_outputs,
)
from task_specs.load import load_samples
from task_specs.scoring.languagetool.checker import Grammar, launch, resolve
from task_specs.spec import builtin_spec

pytest.importorskip("rouge_score", reason="needs rouge-score")
pytest.importorskip("sacrebleu", reason="needs sacrebleu")

GOLDEN = Path(__file__).parents[1] / "golden" / "text_loopholes.json"
LANGUAGETOOL = Path(__file__).resolve().parents[3] / ".." / "shared" / "languagetool"
W2S = ("w2s_easy", "w2s_medium", "w2s_hard")


def anywhere(rows):
    """The scores of JSON *rows* that no tool takes part in."""
    return [
        row | {"scores": {name: s for name, s in row["scores"].items() if name not in BY_TOOL}}
        for row in rows
    ]


@pytest.fixture(scope="module")
def table():
    return text_loophole_table()


@pytest.fixture(scope="module")
def committed():
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_what_needs_no_tool_equals_the_committed_table(table, committed):
    """Rewritten by ``python -m task_specs.audit.text_loopholes --write FILE`` with a LanguageTool only."""
    assert anywhere(json.loads(as_json(table))) == anywhere(committed)


def test_without_a_tool_its_scores_are_none_but_for_an_empty_text(table):
    for row in table:
        by_tool = {score for name, score in row.scores.items() if name in BY_TOOL}
        assert by_tool == ({0.0} if row.output == "empty" else {None}), row


@pytest.mark.slow
def test_the_committed_grammar_is_what_languagetool_says(committed, tmp_path):
    place = os.environ.get("PB_LANGUAGETOOL") or str(LANGUAGETOOL)
    if "://" not in place and not Path(place).is_dir():
        pytest.skip("needs LanguageTool in ../shared/languagetool, or PB_LANGUAGETOOL")
    try:
        backend = resolve(place, os.environ)
    except ValueError as error:
        pytest.skip(f"LanguageTool cannot run here: {error}")
    running, server = launch(backend, directory=tmp_path, env=os.environ)
    try:
        assert json.loads(as_json(text_loophole_table(by_grammar(Grammar(running))))) == committed
    finally:
        if server is not None:
            server.close()


def test_every_task_has_every_output_that_makes_sense_there(committed):
    for task in BENCHMARK_IDS["text_writing"]:
        expected = [name for name in OUTPUTS if name != "words in a frame" or task in W2S]
        assert [row["output"] for row in committed if row["task"] == task] == expected


def test_grammar_alone_is_solved_by_any_correct_sentence_and_never_by_an_empty_one(committed):
    """What the averages use does not see whether the question was answered: the other scores do."""
    for row in committed:
        grammar = row["scores"]["grammar"]
        if row["output"] in ("refusal", "constant sentence", "answer of the next sample", "right"):
            assert grammar == 1.0, row
        if row["output"] == "empty":
            assert set(row["scores"].values()) == {0.0}


def test_the_other_scores_tell_a_right_answer_from_a_constant_one(committed):
    found = {(row["task"], row["output"]): row["scores"] for row in committed}
    for task in W2S:
        assert found[task, "right"]["combined"] == 1.0
        assert found[task, "words in a frame"]["combined"] == 1.0, "a known loophole"
        for output in ("refusal", "constant sentence", "answer of the next sample"):
            assert found[task, output]["inclusion"] == 0.0
        assert (found[task, "input"]["inclusion"], found[task, "input"]["grammar"]) == (1.0, 0.0)
    assert found["summarization", "right"]["rouge1"] == 1.0
    assert found["summarization", "constant sentence"]["rouge1"] < 0.25
    assert found["paraphrasing", "input"]["one_minus_bleu"] == 0.0
    assert found["paraphrasing", "right"]["one_minus_bleu"] > 0.95


def test_degenerate_outputs_of_one_sample_are_these():
    spec = builtin_spec("w2s_easy")
    sample, following = load_samples(spec)[:2]
    outputs = text_outputs(spec, sample, following)
    assert tuple(outputs) == OUTPUTS
    assert outputs["input"] == "kettle, steam, kitchen, morning"
    assert outputs["words in a frame"] == "The words are kettle, steam, kitchen, and morning."
    assert (outputs["constant sentence"], outputs["right"]) == (CONSTANT, sample.example)
    assert outputs["answer of the next sample"] == following.example
    chat = load_samples(builtin_spec("summarization"))
    assert text_outputs(builtin_spec("summarization"), *chat[:2])["input"] == chat[0].facts["text"]


def test_the_markdown_table_shows_grammar_first_and_a_dash_for_what_was_not_measured():
    row = TextLoophole(task="t", output="o", scores={"inclusion": 0.256, "grammar": None, "combined": None})
    assert as_markdown([row]).splitlines()[2] == "| t | o | - | inclusion 26, combined - |"


def test_the_command_prints_markdown_or_stores_json(capsys, tmp_path, monkeypatch, table):
    monkeypatch.setattr(text_loopholes, "resolve", lambda spec, env: resolve("none", env))
    monkeypatch.setattr(text_loopholes, "text_loophole_table", lambda: table)
    assert main([]) == 0
    assert capsys.readouterr().out == as_markdown(table)
    assert main(["--write", str(tmp_path / "rows.json")]) == 0
    assert (tmp_path / "rows.json").read_text(encoding="utf-8") == as_json(table)


def test_the_command_measures_with_the_languagetool_it_finds_and_ends_its_server(
    capsys, monkeypatch, tmp_path
):
    """A folder's server is started for the table and closed behind it."""
    events = []

    class Checker:
        def __init__(self, backend):
            events.append(backend)

        def check(self, texts):
            return [Clean() for _ in texts]

    class Clean:
        def measured(self):
            return {"matches": 0, "rules": [], "version": "6.8"}

    class Running:
        def __enter__(self):
            events.append("open")

        def __exit__(self, *error):
            events.append("closed")

    folder = resolve("none", {})
    found = type(folder)(kind="folder", name="languagetool", folder="x", java="y")
    monkeypatch.setattr(text_loopholes, "resolve", lambda spec, env: found)
    monkeypatch.setattr(text_loopholes, "launch", lambda backend, directory, env: ("running", Running()))
    monkeypatch.setattr(text_loopholes, "Grammar", Checker)
    monkeypatch.setattr(text_loopholes, "task_ids", lambda: ("copy", "w2s_easy"))
    assert main([]) == 0
    assert events == ["open", "running", "closed"]
    out = capsys.readouterr().out.splitlines()
    assert "| w2s_easy | constant sentence | 100 | inclusion 0, inclusion_share 0, combined 0 |" in out
    assert len(out) == 2 + len(OUTPUTS)
