"""The page is one file, says what was measured, and nothing that others wrote is more than text in it."""

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from pb_plugin.gates.judge import Verdict
from pb_plugin.printable import printable
from pb_plugin.report.html.page import packed, page, write_html
from pb_plugin.report.html.target import check_html
from unit_tests.pb_plugin.report.html.conftest import NASTY

VOID = {"meta", "link", "img", "br", "input"}


class Elements(HTMLParser):
    """Every element with its attributes and the text in it, as a browser's parser finds them."""

    def __init__(self, text):
        super().__init__()
        self.found, self._open = [], []
        self.feed(text)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs), []))
        if tag not in VOID:
            self._open.append(self.found[-1])

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        for _, _, texts in self._open:
            texts.append(data)

    def named(self, tag):
        return [(attributes, "".join(texts)) for name, attributes, texts in self.found if name == tag]


def made(report, **settings):
    text, held = page(
        report, **{"verdicts": None, "folders": {}, "before": None, "most_bytes": 10**9, **settings}
    )
    return text, held, Elements(text)


def data(elements, name):
    (text,) = [text for attributes, text in elements.named("script") if attributes.get("id") == name]
    held = json.loads(text)
    assert held["encoding"] == "gzip+base64"
    return json.loads(gzip.decompress(base64.b64decode(held["data"])))


def sha(text):
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_the_policy_runs_the_one_script_by_its_hash_and_loads_nothing(exact):
    _, _, elements = made(exact)
    (policy,) = [a["content"] for a, _ in elements.named("meta") if "http-equiv" in a]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    (script,) = [text for attributes, text in elements.named("script") if "type" not in attributes]
    ((_, style),) = elements.named("style")
    assert rules == {
        "default-src": "'none'",
        "script-src": f"'{sha(script)}'",
        "style-src": f"'{sha(style)}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_nothing_comes_from_outside_and_no_markup_is_made_of_data(exact):
    text, _, elements = made(exact)
    links = [a[name] for _, a, _ in elements.found for name in ("src", "href", "action") if name in a]
    assert all(link.startswith(("#", "data:,")) for link in links)
    script = max((text for a, text in elements.named("script") if "type" not in a), key=len)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", script)
    assert re.findall(r"https?://[^\"'\s]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r'\son\w+=|style="', text.partition("<script")[0])


def test_the_numbers_are_those_of_the_summary(exact):
    _, _, elements = made(exact)
    numbers = data(elements, "pb-numbers")
    curves = {curve["label"]: curve for curve in numbers["curves"]}
    assert set(curves) == {curve.identity.label for curve in exact.summary.curves}
    for curve in exact.summary.curves:
        found = {(cell["task"], cell["s"]): cell for cell in curves[curve.identity.label]["cells"]}
        for cell in curve.cells:
            plain = found[cell.task, cell.label.partition("[")[2][:-1]]
            assert plain["y"] == pytest.approx(cell.percent, rel=1e-5)
            assert plain["t"][0][0] == pytest.approx(cell.tps["canvas"], rel=1e-5)
            low, high = plain["i"]
            assert low <= plain["y"] <= high


def test_the_verdict_has_gates_what_was_measured_and_what_is_missing(exact):
    verdicts = [
        Verdict(gate="PB80>=9", subject="ideal-random", passed=False, value=1.0, message="PB80 is 1"),
        Verdict(gate="PB80>=1", subject="ideal-random", passed=True, value=1.0, message="it holds"),
    ]
    text, held, _ = made(exact, verdicts=verdicts)
    assert held == {"samples_shown": 48, "samples": 48}
    for sentence in ("failed", "PB80&gt;=9", "it holds", "48 of 48 planned samples decoded", "a note"):
        assert sentence in text
    assert "suite all has no PBx: not measured: sort, reverse" in text
    assert "No gate was judged for this page" in made(exact)[0]
    assert "Nothing was gated" in made(exact, verdicts=[])[0]


def test_what_attacks_is_text_and_nothing_else(nasty, exact):
    """The elements of the page are those of any page: none came out of the data."""
    verdict = Verdict(gate=f"g{NASTY}", subject=f"s{NASTY}", passed=True, value=1.0, message=f"m{NASTY}")
    text, _, elements = made(nasty, verdicts=[verdict])
    kinds = {tag for tag, _, _ in elements.found}
    assert kinds <= {tag for tag, _, _ in made(exact, verdicts=[verdict])[2].found}
    assert len(elements.named("script")) == 3
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", text)
    bodies = "".join(text for _, text in elements.named("main"))
    for first in "gsmxn":
        assert f"{first}{printable(NASTY)}" in bodies, "it is read as it was written"


def test_the_data_hold_what_attacks_with_its_marks_as_escapes(nasty):
    samples = data(made(nasty)[2], "pb-samples")
    ((task, (first, second, third)),) = samples["tasks"].items()
    safe = printable(NASTY)
    assert (task, first["id"], second["id"], third["id"]) == (f"t{safe}", f"0{safe}", f"1{safe}", f"2{safe}")
    assert "not known here any more" in first["reason"]
    (cell,) = samples["cells"]
    rows = {row["q"]: row for row in cell["rows"]}
    assert (rows[0]["a"], rows[0]["o"], rows[1]["o"], rows[2]["o"]) == (
        f"a{safe}",
        "wrong",
        "right",
        "failed",
    )
    assert rows[0]["why"] == {f"s{safe}": f"r{safe}"}
    assert rows[2]["error"] == f"oom: e{safe}"


def test_what_is_packed_has_no_character_of_html_and_equal_data_are_equal_bytes():
    text = packed({NASTY: [NASTY, 1.5, None]})
    assert text == packed({NASTY: [NASTY, 1.5, None]})
    assert not set("<>&'") & set(text)


def test_too_much_is_shown_in_part_which_is_said(exact):
    whole, _, _ = made(exact)
    text, held, elements = made(exact, most_bytes=3000)
    assert 0 < held["samples_shown"] < held["samples"] == 48
    assert f"{held['samples_shown']} of 48 results are in this file, a subset" in text
    assert len(text) < len(whole)
    samples = data(elements, "pb-samples")
    assert sum(len(cell["rows"]) for cell in samples["cells"]) == held["samples_shown"]


def test_a_page_is_written_whole_and_says_its_size(exact, tmp_path):
    out = tmp_path / "report.html"
    held = write_html(exact, out)
    assert held == {"file": str(out), "bytes": out.stat().st_size, "samples_shown": 48, "samples": 48}
    assert held["bytes"] < 200_000
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("page.htm", "--html must end in .html, got "),
        ("made.html", "--html must be a file, got the folder "),
        ("none/page.html", "--html must lie in a folder that exists, got "),
    ],
)
def test_a_place_where_no_page_can_be_is_refused(tmp_path, name, message):
    (tmp_path / "made.html").mkdir()
    with pytest.raises(ValueError, match=re.escape(message)):
        check_html(tmp_path / name)


def test_without_jinja2_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("pb_plugin.report.html.target.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'--pb-html must have jinja2, .*pip install -e "\.\[report\]"'):
        check_html(tmp_path / "page.html", "--pb-html")
