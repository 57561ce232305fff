"""A comparison in the terminal, as Markdown, LaTeX and HTML: the best is marked, and names are but text."""

import json
import re
from xml.etree import ElementTree

import pytest

from pb_plugin.cli import main
from pb_plugin.results.suites import SUITES
from unit_tests.pb_plugin.conftest import build_cell, write_run

NASTY = "<b>m_1|*&$\u202e"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Puzzles and thinking aloud: `good` 75 and 90 %, a model of an evil name 50 %, and `ideal`."""
    cells = []
    for model, right in (("good", 15), (NASTY, 10), ("ideal", 20)):
        scores = [1.0] * right + [0.0] * (20 - right)
        for task in SUITES["puzzles"]:
            cells.append(
                build_cell(
                    task,
                    model=model,
                    scores=scores,
                    nfe=(2, 4) if model == "good" else 4,
                    exact=model == "ideal",
                )
            )
    for task, right in (("shuffle", 8), ("shuffle_cot", 18)):
        cells.append(build_cell(task, model="good", scores=[1.0] * right + [0.0] * (20 - right)))
    cells.append(build_cell("paraphrasing", model="good", scores=[None], n_planned=1))
    return write_run(tmp_path_factory.mktemp("comparison") / "store", cells)


@pytest.fixture
def pb(store, capsys):
    def run(*arguments, code=0):
        assert main(["report", str(store), *map(str, arguments)]) == code
        shown = capsys.readouterr()
        return shown.err if code else shown.out

    return run


def test_the_terminal_marks_the_best(pb):
    lines = pb("--layout", "comparison").splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("Puzzles"))
    assert lines[start].split() == ["Puzzles", "Sudoku", "Latin", "Square", "tokens/step", "forwards"]
    rows = lines[start + 1 : start + 7]
    assert rows[0].split() == ["<b>m_1|*&$\\u202e-confidence[k=2]", "+50.0", "+50.0", "2.00", "counted"]
    assert rows[1].split() == ["[30,", "70]"] * 2
    assert rows[2].split() == ["good-confidence[k=2]", "*75.0", "*75.0", "2.00..4.00", "bounds"]
    assert rows[4].split() == ["ideal-confidence[k=2]", "100.0", "100.0", "2.00", "counted"]
    thought = next(line for line in lines if line.startswith("shuffle good-confidence[k=2]"))
    assert thought.split()[2:5] == ["40.0", "90.0", "+50.0"]
    assert "* best, + second best" in lines
    assert any(
        line.startswith("no value: good-confidence[k=2]: no grammar backend (paraphrasing)") for line in lines
    )


def test_json_has_every_table(pb):
    found = json.loads(pb("--layout", "comparison", "--json"))
    assert [table["title"] for table in found["tables"]] == ["Waiting line", "Text writing", "Puzzles"]
    entry = found["tables"][2]["lines"][1]["entries"][0]
    assert (entry["value"], entry["rank"]) == (75.0, "best")
    assert found["tables"][2]["lines"][1]["tps"] == [2.0, 4.0]
    (thought,) = found["chain_of_thought"]
    assert (thought["gain"], thought["cot_per_token"]) == (50.0, 22.5)


def test_markdown_has_the_best_in_bold_and_no_markup_of_others(pb, tmp_path):
    out = tmp_path / "c.md"
    assert pb("--layout", "comparison", "--markdown", out) == f"written: {out}\n"
    lines = out.read_text(encoding="utf-8").splitlines()
    assert (
        "| good-confidence\\[k=2\\] | **75.0** [53, 89] | **75.0** [53, 89] | 2.00..4.00 | bounds |" in lines
    )
    (nasty,) = [line for line in lines if "50.0" in line and "m\\_1" in line]
    assert nasty.startswith("| \\<b\\>m\\_1\\|\\*&$\\\\u202e-confidence\\[k=2\\] | <u>50.0</u> [30, 70] |")
    cells = {len(re.split(r"(?<!\\)\|", line)) for line in lines if line.startswith("| ") and "Latin" in line}
    assert {len(re.split(r"(?<!\\)\|", nasty))} == cells


def test_latex_has_the_best_in_bold_and_escapes(pb, tmp_path):
    out = tmp_path / "c.tex"
    pb("--layout", "comparison", "--latex", out)
    text = out.read_text(encoding="utf-8")
    assert r"good-confidence[k=2] & \textbf{75.0} {\scriptsize [53, 89]} &" in text
    assert r"m\_1" in text
    assert r"\underline{50.0}" in text
    assert r"\multicolumn{3}{c}{Paraphrasing} & \multicolumn{2}{c}{Summarization}" in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 4
    for block in re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.DOTALL):
        assert len({len(re.split(r"(?<!\\)&", row)) for row in block.strip().splitlines()}) == 1


def test_the_page_loads_nothing_and_shows_names_as_text(pb, tmp_path):
    out = tmp_path / "c.html"
    pb("--layout", "comparison", "--html", out)
    text = out.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert "\u202e" not in text
    assert "&lt;b&gt;m_1|*&amp;$\\u202e-confidence" in text
    assert '<span class="best">75.0</span> <small>[53, 89]</small>' in text
    body = ElementTree.fromstring(re.search(r"<body>.*</body>", text, re.DOTALL)[0])
    tables = body.findall(".//table")
    assert [table.find("caption").text for table in tables] == [
        *("Waiting line", "Text writing", "Puzzles"),
        "Chain of thought",
    ]
    for table in tables:
        widths = [sum(int(cell.get("colspan", 1)) for cell in row) for row in table.iter("tr")]
        assert len(set(widths)) == 1, table.find("caption").text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--at", "k=2"], "--at must come with --layout comparison, got it alone; add that"),
        (["--with", "x"], "--with must come with --layout comparison"),
        (["--markdown", "x.md"], "--markdown must come with --layout comparison"),
        (["--layout", "comparison", "--against", "x"], "--against must come without --layout comparison"),
        (["--layout", "comparison", "--latex", "none/x.tex"], "--latex must lie in a folder that exists"),
        (["--layout", "comparison", "--at", "k=3"], "--at must name a setting of the run, got 'k=3'"),
        (["--layout", "table"], "invalid choice: 'table'"),
    ],
)
def test_a_bad_argument_is_refused(pb, arguments, message):
    assert message in pb(*arguments, code=2)
