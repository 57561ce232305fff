"""Nothing that others wrote steers a terminal: every place that prints goes through `printable`."""

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.cli import main
from pb_plugin.printable import printable

ESCAPES = "\x1b]0;owned\x07\x1b[31m\x9b2J\r\b\u202egnp\u2028"

TASK = """\
id: mine
category: own_words
version: 1
prompt: "Say {{word}}."
canvas: 64
scorer: {scorer}
score: accuracy
data: mine.jsonl
notes: "{notes}"
"""


@given(text=st.text(), encoding=st.sampled_from([None, "ascii", "latin-1", "utf-8"]))
def test_what_is_printable_stays_and_the_rest_is_written_as_escapes(text, encoding):
    shown = printable(text, encoding)
    assert not set(shown) & set(ESCAPES.replace("owned", "").replace("gnp", "")) - set(printable(ESCAPES))
    assert all(c in "\n\t" or (c >= " " and not "\x7f" <= c <= "\x9f") for c in shown)
    assert printable(shown, encoding) == shown
    if text.isascii() and text.isprintable():
        assert shown == text
    if encoding is not None:
        shown.encode(encoding)


def test_escapes_are_shown_as_they_are_written_in_python():
    assert printable("a\x1b[31mb\r\n\tc\u202e") == "a\\x1b[31mb\\r\n\tc\\u202e"
    assert printable("東\x1b", "ascii") == "\\u6771\\x1b"


def task_of(folder, *, scorer="list", word=ESCAPES, notes="none"):
    (folder / "mine.yaml").write_text(TASK.format(scorer=scorer, notes=notes), encoding="utf-8")
    line = {"id": f"a{word}", "fields": {"word": word}, "answers": [json.dumps(["x"])]}
    line["facts"] = {"operation": "copy", "items": ["x"]}
    (folder / "mine.jsonl").write_text(json.dumps(line), encoding="utf-8")
    return str(folder / "mine.yaml")


def test_browse_shows_a_sample_without_its_escapes(tmp_path, capsys):
    assert main(["browse", task_of(tmp_path, notes="\\e[31m")]) == 0
    out = capsys.readouterr().out
    assert "Say \\x1b]0;owned\\x07\\x1b[31m" in out
    assert "notes     \\x1b[31m" in out
    assert "\x1b" not in out


def test_browse_on_an_ascii_terminal_writes_what_it_cannot_hold_as_escapes(tmp_path, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["browse", task_of(tmp_path, word="東京")]) == 0
    terminal.seek(0)
    assert "Say \\u6771\\u4eac." in terminal.read()


def test_a_message_of_the_command_line_is_printable(capsys, tmp_path):
    assert main(["browse", f"{tmp_path}/no\x1b[31m.yaml"]) == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("fails", [False, True], ids=["right", "scorer-raises"])
def test_a_run_and_its_report_print_no_escapes_of_others(suite, capsys, fails):
    folder = suite.pytester.path
    raises = f"raise KeyError({ESCAPES!r})" if fails else "pass"
    (folder / "mine.py").write_text(
        "from task_specs.scoring import Scored\n"
        f"def score(text, sample, measured):\n    if not measured:\n        {raises}\n"
        "    return Scored(values={'accuracy': 1.0})\n"
    )
    suite.pytester.syspathinsert()
    task = task_of(folder, scorer="mine:score")
    result = suite.run("--task", task, "--unmasking", "random", "--k", "1", "-v")
    assert result.parseoutcomes().get("failed" if fails else "passed") == 1
    printed = result.stdout.str() + result.stderr.str()
    assert not set(ESCAPES) - set(printable(ESCAPES)) & set(printed)
    assert fails is ("\\x1b]0;owned" in printed)
    main(["report", str(folder / "store")])
    assert "\x1b" not in capsys.readouterr().out
