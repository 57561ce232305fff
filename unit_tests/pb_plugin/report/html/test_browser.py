"""The page in a real browser: every section shows, filters and the trace player work, nothing is an error."""

import base64
import json
import os
import shutil
from pathlib import Path
from threading import Thread

import pytest

from pb_plugin.analyses.oracle import oracle
from pb_plugin.analyses.order import order_benefit, parallelizability
from pb_plugin.analyses.reference import against_ideal
from pb_plugin.cli import main
from pb_plugin.report.html.page import write_html
from pb_plugin.report.html.samples import shown_cells
from pb_plugin.report.terminal import pbx_text
from pb_plugin.statistics.pbx import RULES, pbx
from pb_plugin.viewing.live import Live, run_going_on
from pb_plugin.viewing.server import Server
from unit_tests.pages import ROOT
from unit_tests.pb_plugin.report.html.conftest import NASTY
from unit_tests.pb_plugin.viewing.conftest import GoingOn

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
MODULES = [ROOT / "node_modules", *map(Path, filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep)))]
AXE = next((file for folder in MODULES if (file := folder / "axe-core" / "axe.min.js").is_file()), None)
pytestmark = [
    pytest.mark.skipif(
        BROWSER is None or DRIVER is None,
        reason="no browser: install Chromium and its driver (apt-get install chromium chromium-driver)",
    ),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

DASH = "\N{EN DASH}"
SECTIONS = ("verdict", "tradeoff", "pbx", "heat", "analyses", "samples", "trace", "environment")


class Page:
    """A page in a browser, and what a test asks of it."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path, width=1280, scheme="light"):
        self.size(width)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        self.driver.get(path.as_uri())
        self.until("document.documentElement.dataset.samples === 'shown'")

    def size(self, width):
        shape = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", shape)

    def js(self, expression, *arguments):
        return self.driver.execute_script(f"return {expression}", *arguments)

    def until(self, expression):
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 20, poll_frequency=0.05).until(lambda _: self.js(expression))

    def set(self, name, value):
        self.driver.execute_script(
            "const node = document.querySelector(`[name='${arguments[0]}']`); node.value = arguments[1];"
            "node.dispatchEvent(new Event(node.tagName === 'SELECT' ? 'change' : 'input', {bubbles: true}));",
            name,
            str(value),
        )

    def texts(self, selector):
        return self.js(
            "[...document.querySelectorAll(arguments[0])].map((node) => node.textContent)", selector
        )

    @property
    def errors(self):
        return self.driver.get_log("browser")

    def picture(self):
        return base64.b64decode(self.driver.execute_cdp_cmd("Page.captureScreenshot", {})["data"])


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_page_load_timeout(30)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def file(exact, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "a 'quoted' <name>&.html"
    write_html(exact, out)
    return out


@pytest.fixture
def shown(browser, file):
    found = Page(browser)
    found.open(file)
    yield found
    assert found.errors == []


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_section_shows_and_nothing_is_wider_than_the_screen(browser, file, width, scheme, tmp_path):
    found = Page(browser)
    found.open(file, width, scheme)
    for name in SECTIONS:
        assert found.js("document.getElementById(arguments[0]).innerText.length", name) > 80, name
    assert found.js("document.documentElement.scrollWidth") <= width
    assert len(found.texts("#tradeoff-chart .mark")) == 4
    assert len(found.texts("#heat-table td")) == 6
    assert found.errors == []
    picture = found.picture()
    (tmp_path / "page.png").write_bytes(picture)
    assert len(picture) > 10_000
    assert found.js("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)" if scheme == "light" else "rgb(22, 24, 27)"
    )


def test_pbx_is_read_off_at_the_line_as_python_computes_it(shown, exact):
    """Of every curve and task by both rules; a movable line at 50, 80 and 100 %."""
    for task in ("copy", "shuffle"):
        shown.set("place", f"task {task}")
        for rule in RULES:
            shown.set("rule", rule)
            for x in (50, 80, 100):
                shown.set("x", x)
                rows = shown.texts("#tradeoff-legend table:first-of-type tbody tr td:nth-child(2)")[:2]
                expected = []
                for curve in exact.summary.curves:
                    points = [(c.tps["canvas"], c.percent) for c in curve.cells if c.task == task]
                    expected.append(pbx_text(pbx(points, x, rule, curve.family == "static")))
                assert [row.replace("≥", ">=") for row in rows] == expected


def test_pbx_between_bounds_is_read_off_as_python_computes_it(browser, bounded, tmp_path):
    """The page's own computation at a movable line against ours, and the table of PBx with the kind."""
    out = tmp_path / "page.html"
    write_html(bounded, out)
    page = Page(browser)
    page.open(out)
    (curve,) = bounded.summary.curves
    page.set("place", "suite puzzles")
    for rule in RULES:
        page.set("rule", rule)
        for x in (50, 70, 80, 95, 100):
            page.set("x", x)
            row = page.texts("#tradeoff-legend table:first-of-type tbody tr td:nth-child(2)")[0]
            expected = pbx_text(curve.suites["puzzles"].pbx(x, "canvas", rule))
            assert row.replace("≥", ">=").replace(DASH, "..") == expected, (rule, x)
    page.set("suite", "puzzles")
    cells = page.texts("#pbx-table tbody tr td")
    assert cells[-1] == "counted+bounds"
    assert DASH in cells[1]
    assert "2.00 to 4.00 tokens per step (bounds)" in " ".join(page.texts("#tradeoff-chart .mark title"))


def test_curves_are_switched_off_and_counts_switched(shown):
    shown.set("place", "task shuffle")
    before = shown.texts("#tradeoff-legend tbody th")
    at_canvas = shown.js("document.querySelector('polyline.curve').getAttribute('points')")
    shown.set("count", 2)
    assert shown.js("document.querySelector('polyline.curve').getAttribute('points')") != at_canvas
    shown.driver.execute_script("document.querySelector('[name=method]').click()")
    assert len(shown.texts("#tradeoff-legend tbody th")) < len(before)


def test_every_analysis_has_its_table_and_picture(browser, analysed, tmp_path):
    """The oracle as a star and a table, Figure 6 as a scatter, scores minus ideal; the numbers are ours."""
    out = tmp_path / "page.html"
    write_html(analysed, out)
    found = Page(browser)
    found.open(out)
    rows = oracle(analysed.summary).rows
    found.set("place", "suite core")
    titles = found.texts("#tradeoff-chart .star title")
    assert titles == [
        f"oracle of {name}: {row['score']:.1f} %, {row['tps']:.2f} tokens per step"
        for name, row in {r["oracle"]: r for r in rows if r["tasks"] == "core"}.items()
    ]
    found.set("count", 2)
    assert found.texts("#tradeoff-chart .star") == [], "it is by canvas tokens"
    assert len(found.texts("#oracle-table tbody tr")) == len([r for r in rows if r["tasks"] == "core"])
    wide = {(r["task"], r["model"]): r["value"] for r in parallelizability(analysed.summary).rows}
    benefit = {(r["task"], r["model"]): r["value"] for r in order_benefit(analysed.summary).rows}
    shown = [
        row.split("\t")
        for row in found.js("document.querySelector('#scatter-table tbody').innerText").split("\n")
    ]
    assert {(row[0], row[1]): (row[2], row[4]) for row in shown} == {
        place: (f"{value:.2f}", f"{benefit[place]:.2f}") for place, value in wide.items()
    }
    assert len(found.texts("#scatter-chart .mark")) == len(wide)
    against = against_ideal(analysed.summary).rows
    curve = found.js("document.querySelector('[name=reference]').value")
    cells = [text for text in found.texts("#reference-table td") if text]
    own = [row["difference"] for row in against if row["curve"] == curve]
    assert sorted(int(text) for text in cells) == sorted(round(value) for value in own)
    assert found.errors == []


def test_samples_are_filtered_and_opened(shown):
    assert shown.texts("#samples-count") == ["48 results, the first 20 are listed"]
    shown.set("task", "shuffle")
    shown.set("outcome", "wrong")
    (count,) = shown.texts("#samples-count")
    assert 0 < int(count.split()[0]) < 24
    assert all(text.startswith("less than full shuffle") for text in shown.texts("#samples-list summary"))
    shown.driver.execute_script("document.querySelector('#samples-list details').open = true")
    shown.until("document.querySelector('#samples-list dl') !== null")
    names = shown.texts("#samples-list dt")
    assert {"question (user)", "answer", "valid answers", "score accuracy"} <= set(names)


def test_samples_that_changed_since_another_run_are_listed(browser, exact, earlier, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert main(["report", str(exact.store), "--html", str(out), "--against", str(earlier)]) == 0
    found = Page(browser)
    found.open(out)
    for change, n in {"better": 1, "other": 1, "worse": 0, "same": 46}.items():
        found.set("change", change)
        assert found.texts("#samples-count")[0].startswith(f"{n} results")
    found.set("change", "better")
    found.driver.execute_script("document.querySelector('#samples-list details').open = true")
    found.until("document.querySelector('#samples-list dl') !== null")
    assert "something wrong" in found.texts("#samples-list .said")
    assert found.errors == []


def test_the_trace_is_stepped_and_played(shown):
    shown.driver.execute_script("document.querySelector('#samples-list details').open = true")
    shown.until("document.querySelector('#samples-list details button') !== null")
    shown.driver.execute_script("document.querySelector('#samples-list details button').click()")
    masked = "document.querySelectorAll('.pane:first-child .masked').length"
    assert shown.js(masked) == 32
    assert len(shown.texts(".pane")) == 2
    shown.set("step", 5)
    assert shown.js(masked) == 27, "one token per step"
    assert len(shown.texts(".pane:first-child .new")) == 1
    shown.driver.execute_script("document.querySelector('#trace-controls button').click()")
    assert shown.texts("#trace-controls button") == ["Pause"]
    shown.until(f"{masked} === 0")
    shown.until("document.querySelector('#trace-controls button').textContent === 'Play'")
    answer = "".join(shown.texts(".pane:first-child .token"))
    assert answer.startswith(shown.texts("#samples-list dd:has(+ dt) .said")[-1][:8])


def test_a_stored_trace_shows_confidences_and_what_was_masked_again(browser, traced, tmp_path):
    """Step by step as the record tells it; at the end stands the answer."""
    out = tmp_path / "page.html"
    write_html(traced, out)
    found = Page(browser)
    found.open(out)
    (cell,) = shown_cells(traced)
    place, record = next(
        (n, record) for n, record in enumerate(cell.by_sample.values()) if record.trace["remasks"]
    )
    found.set("sample", place)
    step, position = record.trace["remasks"][0]
    found.set("step", step + 1)
    tokens = "[...document.querySelectorAll('.pane:first-child .token')]"
    assert found.js(f"{tokens}[{position}].className") == "token masked again"
    assert found.js(f"{tokens}[{position}].title") == f"position {position}, masked again at step {step + 1}"
    committed = {told[1]: told for told in record.trace["commits"] if told[0] == step}
    for at, (_, _, _, sure) in committed.items():
        title = f"position {at}, committed at step {step + 1} with confidence {sure:g}"
        assert found.js(f"{tokens}[{at}].title") == title
    found.set("step", 99)
    assert "".join(found.texts(".pane:first-child .token")).startswith(record.text)
    assert found.errors == []


def test_a_run_that_is_going_on_fills_in(browser, tmp_path):
    going_on = GoingOn(tmp_path / "store")
    live = Live(going_on.store, *run_going_on(going_on.store))
    with Server(0, {"/": live.page, "/live.json": live.json}) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        found = Page(browser)
        found.size(1280)
        found.driver.get(server.url)
        found.until("document.documentElement.dataset.live === 'followed'")
        assert found.texts("#live-state") == ["0/12 samples, 0.0 forwards/s"]
        found.set("place", "task copy")
        assert found.texts("#tradeoff-chart .mark") == []
        going_on.decode("copy")
        found.until("document.querySelectorAll('#tradeoff-chart .mark').length === 2")
        assert found.js("document.querySelector('[name=place]').value") == "task copy", "a choice stays"
        assert found.js("document.getElementById('live-bar').value") == 6
        going_on.decode("shuffle")
        going_on.end()
        found.until("document.documentElement.dataset.live === 'ended'")
        assert found.texts("#live-state") == ["The run has ended."]
        assert found.errors == []
        server.shutdown()
        thread.join()


def test_the_keyboard_reaches_every_control(shown):
    shown.js("(document.activeElement.blur(), window.scrollTo(0, 0))")
    from selenium.webdriver.common.keys import Keys

    wanted = set(
        shown.js(
            "[...document.querySelectorAll('select, input, button')].map((n) => n.name || n.textContent)"
        )
    )
    seen = set()
    for _ in range(120):
        shown.driver.switch_to.active_element.send_keys(Keys.TAB)
        seen.add(shown.js("document.activeElement.name || document.activeElement.textContent"))
    assert wanted <= seen


def test_every_control_and_picture_has_a_name(shown):
    unnamed = shown.js(
        "[...document.querySelectorAll('select, input, button, svg, [role=region]')].filter((node) =>"
        "!node.closest('label') && !node.textContent.trim() && !node.getAttribute('aria-label')"
        "&& !node.getAttribute('aria-hidden')).map((node) => node.outerHTML)"
    )
    assert unnamed == []


@pytest.mark.skipif(AXE is None, reason="no axe-core: npm install axe-core, in this folder or in NODE_PATH")
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(browser, analysed, width, scheme, tmp_path):
    out = tmp_path / "page.html"
    write_html(analysed, out)
    found = Page(browser)
    found.open(out, width, scheme)
    found.driver.execute_script("document.querySelector('#samples-list details').open = true")
    found.until("document.querySelector('#samples-list dl') !== null")
    found.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": AXE.read_text(encoding="utf-8")})
    violations = found.driver.execute_async_script(
        "const done = arguments[0]; axe.run().then((found) => done(found.violations))"
    )
    assert [(one["impact"], one["id"], one["nodes"][0]["html"]) for one in violations] == []


def test_what_attacks_does_not_run_and_is_read(browser, nasty, tmp_path):
    out = tmp_path / "page.html"
    write_html(nasty, out)
    found = Page(browser)
    found.open(out)
    found.driver.execute_script(
        "document.querySelectorAll('#samples-list details').forEach((node) => { node.open = true; })"
    )
    found.until("document.querySelectorAll('#samples-list dl').length === 3")
    assert found.js("window.ran === undefined")
    assert found.js("document.querySelectorAll('img, script:not([type])').length") == 1
    said = found.texts("#samples-list .said")
    start = NASTY.partition("\x00")[0]
    for first in "abe":
        assert any(f"{first}{start}" in text for text in said)
    assert not any(mark in text for text in said for mark in "\x00\x1b\u202e\u2066\u2028")
    assert found.errors == []


def test_damaged_data_are_told(browser, file, tmp_path):
    text = file.read_text(encoding="utf-8")
    start = text.index('id="pb-numbers">') + len('id="pb-numbers">')
    end = text.index("</script>", start)
    out = tmp_path / "damaged.html"
    out.write_text(text[:start] + json.dumps({"data": "AAAA"}) + text[end:], encoding="utf-8")
    found = Page(browser)
    found.size(1280)
    found.driver.get(out.as_uri())
    found.until("document.querySelector('[role=alert]') !== null")
    assert found.texts("[role=alert]")[0].startswith("The data of this page cannot be shown: ")
    assert [entry["level"] for entry in found.errors] == ["SEVERE"]
