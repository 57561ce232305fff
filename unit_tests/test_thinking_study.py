"""The study of thinking: its blocks part trace and answer, its table says what is stored."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip("transformers", reason="tiny needs the extra models")

from bench_tests import fine_tuning
from bench_tests.fine_tuning import Study
from bench_tests.page_marks import read
from bench_tests.thinking import ASKED, MARK, STUDIES, WAYS, Thinking, followed, follows, rows
from decoders.models import ideal, tiny
from decoders.protocols import ModelRequest
from pb_plugin.cli.fine_tune import asked_for
from pb_plugin.cli.theory import thinking_bits
from task_specs.answers import as_list_text
from task_specs.load import load_samples
from task_specs.vocabulary import vocabulary
from unit_tests.pages import ROOT
from unit_tests.pb_plugin.conftest import build_record

QUESTIONS = [(name, one) for name, asked in ASKED.items() for one in asked]


@pytest.mark.parametrize(
    ("name", "one"), QUESTIONS, ids=[f"{name}-{one.trace}-{one.operation}" for name, one in QUESTIONS]
)
def test_a_block_ends_between_the_trace_and_the_first_letter(name, one):
    request = ModelRequest(name=name, device="cpu", vocabulary=vocabulary())
    model = (ideal if name == "ideal" else tiny).load(request)
    spec = one.spec(cot=True)
    assert spec.canvas % one.block == 0
    for sample in load_samples(spec)[:5]:
        trace, _, _ = sample.example.partition("\n")
        before, opening, _ = sample.example.partition('["')
        assert len(model.tokenizer.encode(trace)) <= one.block
        assert one.block <= len(model.tokenizer.encode(before + opening))


@pytest.mark.parametrize("name", [name for name, study in STUDIES.items() if study.config is not None])
def test_what_it_trains_is_taken_by_the_command(name, tmp_path):
    study, config = STUDIES[name], tmp_path / "config.yaml"
    config.write_text(json.dumps(study.config), encoding="utf-8")
    asked = asked_for(study.model, study.tasks, config, full=study.full, device="cpu", adapter_only=False)
    expected = [one.spec(cot=cot).id for one in ASKED[name] for cot in (False, True)[not one.has_plain :]]
    assert [spec.id for spec in asked.specs] == expected
    assert (asked.settings.way, asked.settings.epochs) == ("full", 4)


@pytest.mark.parametrize("full", [False, True])
def test_all_weights_are_trained_where_a_study_says_so(monkeypatch, tmp_path, full):
    asked = []
    monkeypatch.setattr(fine_tuning, "pb", lambda command: asked.append(command) or 0)
    study = Study(model="tiny", tasks=("copy",), config={"epochs": 1}, speeds=(), full=full)
    fine_tuning.train(tmp_path, "a study", study)
    assert [("--full" in command, command[-2:]) for command in asked] == [(full, ["--tasks", "copy"])]


ONE = Thinking(trace="draws", operation="replace_random", block=5)


@pytest.mark.parametrize(
    ("trace", "answer", "expected"),
    [("1", "AZCD", True), ("1", "ZBCD", False), ("4", "ABCZ", False), ("x", "AZCD", False), ("1", "", False)],
)
def test_an_answer_follows_its_trace_or_not(trace, answer, expected):
    spec = ONE.spec(cot=True)
    sample = replace(
        load_samples(spec)[0], facts={"operation": ONE.operation, "items": [*"ABCD"], "word": "Z"}
    )
    text = f"{trace}\n{spec.answer_marker}\n{as_list_text(answer)}"
    assert follows(sample, spec, text) is expected


def test_shares_are_of_the_newest_record_of_each_thought():
    spec = ONE.spec(cot=True)
    first, second = load_samples(spec)[:2]
    parts = {"task": spec.id, "method": "random", "block_length": 5, "k": 2}
    records = [
        build_record(text=text, parts={**parts, **more, "sample_id": sample.id})
        for sample, text, more in (
            (first, "lost", {}),
            (first, first.example, {}),
            (second, first.example, {}),
            (second, second.example, {"k": 4}),
            (second, second.example, {"task": ONE.spec(cot=False).id}),
        )
    ]
    place = (spec.id, "random", 5)
    assert followed(records, [ONE]) == {(*place, 2): 0.5, (*place, 4): 1.0}


def cell(task, k, percent, block=None, method="confidence"):
    interval = SimpleNamespace(low=percent / 100 - 0.1, high=percent / 100 + 0.1)
    return SimpleNamespace(
        task=task,
        identity=SimpleNamespace(method=method, block_length=block),
        setting={"k": k},
        percent=percent,
        interval=interval,
        reason=None,
        tps={"content": k / 2},
    )


def test_the_table_has_a_row_for_each_way_with_every_speed():
    task = "think_draws_replace_random"
    cells = [cell(task, 1, 90), cell(task, 2, 50), cell(task, 2, 40, method="random")]
    cells += [cell(f"{task}_cot", 2, 60), cell(f"{task}_cot", 2, 80, block=5), cell(task, 2, 30, block=10)]
    shares = {(f"{task}_cot", "confidence", 5, 2): 0.75}
    assert rows("tiny thinking", [ONE], cells, shares) == [
        "| tiny | draws | replace_random of 4 | without | k=1 (0.5): 90 (80..100), k=2 (1.0): 50 (40..60) | "
        "k=2 (1.0): 40 (30..50) |\n",
        "| tiny | draws | replace_random of 4 | thinking | k=2 (1.0): 60 (50..70) |  |\n",
        "| tiny | draws | replace_random of 4 | thinking, trace first | "
        "k=2 (1.0): 80 (70..90), follow 75 |  |\n",
    ]
    alone = replace(ONE, has_plain=False)
    assert [line.split(" | ")[3] for line in rows("tiny thinking", [alone], cells, {})] == [*WAYS[1:]]


def test_the_table_says_what_is_incomplete():
    lost = cell("think_draws_replace_random", 4, 50)
    lost.reason = "3 samples are missing"
    assert "| without | k=4: incomplete |  |" in "".join(rows("tiny", [ONE], [lost], {}))


@pytest.mark.parametrize("one", ASKED["ideal"], ids=lambda one: f"{one.trace}-{one.operation}")
def test_the_bits_of_the_page_are_those_of_the_theory(one):
    page = (ROOT / "docs" / "tuning.md").read_text(encoding="utf-8")
    bits = thinking_bits(one.trace, one.operation, 4).values()
    shown = " | ".join("0" if value == 0.0 else f"{value:.2f}" for value in bits)
    assert f"| {one.trace} | {one.operation} of 4 | {shown} |" in page


def test_the_rows_of_the_page_are_those_of_studies_in_their_order():
    shown = [line.split(" | ")[:4] for line in read(ROOT / "docs" / "tuning.md", MARK).splitlines()[2:]]
    known = [line.split(" | ")[:4] for name, asked in ASKED.items() for line in rows(name, asked, [], {})]
    assert shown == [row for row in known if row in shown]
    assert {row[3] for row in shown} == set(WAYS)
