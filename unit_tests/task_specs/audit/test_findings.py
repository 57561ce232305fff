"""Laws of the audit: each rule sees its own violation; the released files break what the table says."""

import json
from pathlib import Path

import pytest

from task_specs.audit.findings import Finding, as_table, audit_released, audit_task, main
from task_specs.audit.tables import as_json
from task_specs.released.files import RELEASED_FILES

GOLDEN = Path(__file__).parents[1] / "golden" / "released_findings.json"
RELEASED = Path(__file__).resolve().parents[3] / ".." / "shared" / "released_data"
needs_released = pytest.mark.skipif(
    not RELEASED.is_dir(), reason="the released files are not beside the checkout (../shared/released_data)"
)

LABEL = "the label obeys the rule of the prompt (positions from 0)"
PUBLISHED = "the label scores 1 under the released scorer"
SHOT = "the shot obeys the rule of the prompt (positions from 0)"


def line(context, answer, length, **fields):
    shot = {"input": {"context": '["Uma Vine", "Ben West"]', "word": "New Shot", "index": 1}}
    shot["answer"] = '["Uma Vine", "New Shot"]'
    question = {"context": json.dumps(context), **fields, "icl_examples": [shot]}
    return {"input": question, "answer": answer, "metadata": {"length": length}}


def folder(tmp_path, group, name, prompt, lines):
    (tmp_path / group).mkdir(exist_ok=True)
    text = "\n".join(json.dumps(one) for one in lines)
    (tmp_path / group / f"{name}.jsonl").write_text(text + "\n", encoding="utf-8")
    config = json.dumps({f"{group}/{name}": {"prompt": prompt}})
    (tmp_path / group / "task_config.yaml").write_text(config, encoding="utf-8")
    return tmp_path


def violations(findings):
    return {row.rule: row.violations for row in findings if row.violations}


GOOD = line(["Ann Moss", "Bob Lane"], '["Zoe Park", "Bob Lane"]', 2, word="Zoe Park", index=0)
PROMPT = "Positions count from 0. Put {word} at {index}: {context}"


@pytest.mark.parametrize(
    ("prompt", "second", "broken"),
    [
        (PROMPT, line(["Al Hay", "Bo Cox"], '["Al Hay", "Zoe Park"]', 2, word="Zoe Park", index=1), {}),
        (
            PROMPT,
            line(["Al Hay", "Bo Cox"], '["Zoe Park", "Bo Cox"]', 2, word="Zoe Park", index=1),
            {LABEL: 1},
        ),
        (
            "Put {word} at {index}: {context}",
            line(["Al Hay", "Bo Cox"], '["Al Hay", "Zoe Park"]', 2, word="Zoe Park", index=1),
            {"the prompt states where positions start": 2},
        ),
        (PROMPT, GOOD, {"the question occurs once": 1}),
        (
            PROMPT,
            line(["Al Hay", "Bo Cox"], '["Al Hay", "Al Park"]', 3, word="Al Park", index=1),
            {"no first name occurs twice": 1, "the metadata give the length of the list": 1},
        ),
        (
            PROMPT,
            line(["Al Hay", "Bo Cox"], '["Al Hay", "Zoe Hay"]', 2, word="Zoe Hay", index=1),
            {"no last name occurs twice": 1},
        ),
        (
            PROMPT,
            line(["Al Hay", "Al Hay"], '["Al Hay", "Zoe Park"]', 2, word="Zoe Park", index=1),
            {
                "no person is in the list twice": 1,
                "no first name occurs twice": 1,
                "no last name occurs twice": 1,
            },
        ),
        (
            PROMPT,
            line(["Al Hay", "Bo Cox"], '["Al Hay", "Bo Cox"]', 2, word="Bo Cox", index=1),
            {
                "the new person is not in the list": 1,
                "no first name occurs twice": 1,
                "no last name occurs twice": 1,
                "the answer differs from the question": 1,
            },
        ),
        (
            PROMPT,
            line(["Uma Vine", "Ben West"], '["Uma Vine", "New Shot"]', 2, word="New Shot", index=1),
            {"the shot is another question": 1},
        ),
    ],
    ids=[
        "nothing-wrong",
        "label",
        "base-unstated",
        "question-twice",
        "first-name-and-length",
        "last-name",
        "person-twice",
        "word-in-list",
        "shot-is-the-question",
    ],
)
def test_a_violation_is_counted_under_its_own_rule(tmp_path, prompt, second, broken):
    directory = folder(tmp_path, "waiting_line", "replace_index", prompt, [GOOD, second])
    findings = audit_task("replace_index", directory)
    assert violations(findings) == broken
    assert {row.total for row in findings} == {2}
    assert {row.task for row in findings} == {"replace_index"}


def test_a_shot_that_breaks_the_rule_and_a_label_that_cannot_be_scored_are_counted(tmp_path):
    shots = [{"input": {"context": '["Ann Moss", "Cid Abel"]'}, "answer": '["Ann Moss", "Cid Abel"]'}]
    bad = {"input": {"context": '["Bob Lane", "Al Hay"]', "icl_examples": shots}, "metadata": {"length": 2}}
    bad["answer"] = '["Bob Lane", "Al Hay"'
    findings = audit_task("sort", folder(tmp_path, "waiting_line", "sort", "Sort {context}", [bad]))
    assert violations(findings) == {LABEL: 1, SHOT: 1}
    assert PUBLISHED in {row.rule for row in findings}


def puzzle(sudoku, answer, clues):
    return {"input": {"sudoku": sudoku}, "answer": answer, "metadata": {"length": clues}}


def test_sudoku_rules_see_their_violations(tmp_path):
    good = puzzle("0042\n2031\n4023\n3214", "1342\n2431\n4123\n3214", 12)
    open_grid = puzzle("0000\n0000\n0000\n0000", "1342\n2431\n4123\n3214", 0)
    wrong_label = puzzle("0342\n2431\n4123\n3214", "1342\n2431\n4123\n3211", 15)
    lost_clue = puzzle("0342\n2431\n4123\n3210", "1342\n2431\n4123\n3214", 15)
    lines = [good, open_grid, wrong_label, lost_clue]
    findings = audit_task("sudoku", folder(tmp_path, "puzzle", "sudoku_n4_12", "{sudoku}", lines))
    assert violations(findings) == {
        LABEL: 1,
        "there is exactly one solution": 1,
        "the metadata give the number of clues": 1,
    }


def test_latin_square_rules_see_their_violations(tmp_path):
    square = "A,B\nB,A"
    bad = {"input": {"symbols": "[A, C]"}, "answer": {"symbols": ["A", "B"], "example": square}}
    worse = {"input": {"symbols": "[A, B]"}, "answer": {"symbols": ["A", "B"], "example": "A,B\nA,B"}}
    lines = [{**one, "metadata": {"length": 2}} for one in (bad, worse)]
    findings = audit_task("latin_square", folder(tmp_path, "puzzle", "latin_square_n4", "{symbols}", lines))
    assert violations(findings) == {"the scored symbols are those shown": 1, LABEL: 1, PUBLISHED: 1}


@needs_released
def test_the_released_files_break_exactly_what_the_committed_table_says():
    """Rewritten by ``python -m task_specs.audit.findings DIR --write FILE`` and by nothing else."""
    assert as_json(audit_released(RELEASED)) == GOLDEN.read_text(encoding="utf-8")


def test_the_committed_table_holds_the_known_faults():
    rows = {(row["task"], row["rule"]): row for row in json.loads(GOLDEN.read_text(encoding="utf-8"))}
    assert rows["sort", LABEL]["violations"] == 95
    assert rows["insert_index", "the prompt states where positions start"]["violations"] == 100
    assert rows["sudoku", "there is exactly one solution"]["violations"] == 0
    assert rows["sudoku", "there is exactly one solution"]["total"] == 108
    assert not any(row["violations"] for (_, rule), row in rows.items() if rule == PUBLISHED)
    for task in ("w2s_easy", "w2s_medium", "w2s_hard"):
        assert rows[task, "there is a reference"] == {
            "task": task,
            "rule": "there is a reference",
            "violations": 99,
            "total": 100,
        }
    assert rows["paraphrasing", "no two references are equal"]["violations"] == 1
    assert {task for task, _ in rows} == set(RELEASED_FILES)


TEXT_GROUP, W2S_GROUP = "paraphrase_summarize", "words_to_sentence"


def text_line(shown, scored, **answer):
    return {"input": {"text": shown}, "answer": {"text": scored, **answer}, "metadata": {"length": 1}}


@pytest.mark.parametrize(
    ("shown", "references", "broken"),
    [
        ("A sees B.", ["B is seen.", "A looks at B."], {}),
        ("C sees D.", ["B is seen."], {"the scored text is the one shown": 1}),
        ("A sees B.", ["B is seen.", "b is seen"], {"no two references are equal": 1}),
        ("A sees B.", ["B is seen.", "a sees b"], {"no reference is the text itself": 1}),
        ("E sees F.", ["A"], {"the scored text is the one shown": 1, "the question occurs once": 1}),
    ],
    ids=["nothing-wrong", "other-text", "equal-references", "echo", "question-twice"],
)
def test_rules_of_paraphrases_see_their_violations(tmp_path, shown, references, broken):
    good = text_line("E sees F.", "E sees F.", examples="['F is seen.']")
    second = text_line(shown, "A sees B.", examples=repr(references))
    directory = folder(tmp_path, TEXT_GROUP, "chatgpt-paraphrases", "{text}", [good, second])
    assert violations(audit_task("paraphrasing", directory)) == broken


def test_rules_of_summaries_see_their_violations(tmp_path):
    lines = [text_line("A: hi", "A: hi", summary=summary) for summary in ("Hi.", "A greets.")]
    findings = audit_task("summarization", folder(tmp_path, TEXT_GROUP, "samsum", "{text}", lines))
    assert violations(findings) == {"the summary is shorter than the text": 1, "the question occurs once": 1}


def test_rules_of_words_to_sentence_see_their_violations_and_ask_only_references_that_are_there(tmp_path):
    lines = [
        {"input": {"words": "tea, cup, and sugar"}, "answer": {"words": ["tea", "cup", "sugar"]}},
        {"input": {"words": "sun and sun"}, "answer": {"words": ["sun", "sun"], "example": "Suns rise."}},
        {"input": {"words": "dog"}, "answer": {"words": ["cat"], "example": "The Cat sat."}},
    ]
    lines = [{**one, "metadata": {}} for one in lines]
    findings = audit_task("w2s_easy", folder(tmp_path, W2S_GROUP, "easy", "{words}", lines))
    assert violations(findings) == {
        "there is a reference": 1,
        "no word is given twice": 1,
        "the scored words are those shown": 1,
        "every reference holds every word": 1,
    }
    assert {row.rule: row.total for row in findings}["every reference holds every word"] == 2


def test_the_markdown_table_shows_only_broken_rules():
    rows = [
        Finding(task="sort", rule="kept", violations=0, total=9),
        Finding(task="sort", rule="broken", violations=2, total=9),
    ]
    assert (
        as_table(rows) == "| task | rule | violations | of |\n|---|---|---|---|\n| sort | broken | 2 | 9 |\n"
    )


@needs_released
def test_the_command_prints_the_broken_rules_or_stores_every_row(capsys, tmp_path):
    assert main([str(RELEASED)]) == 0
    assert (
        "| sort | the label obeys the rule of the prompt (positions from 0) | 95 | 100 |"
        in capsys.readouterr().out
    )
    assert main([str(RELEASED), "--write", str(tmp_path / "rows.json")]) == 0
    assert (tmp_path / "rows.json").read_text(encoding="utf-8") == GOLDEN.read_text(encoding="utf-8")
