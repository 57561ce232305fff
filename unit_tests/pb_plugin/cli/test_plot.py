"""``pb plot``: a drawing of a stored run whose points, bands, names and bytes are those of the records."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from pb_plugin.cli import all_verbs, command_line, main
from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.store import Store
from pb_plugin.report.curves import curves_of, suite_curves_of
from pb_plugin.report.curves_drawing import figure_of
from pb_plugin.report.stored import read_report
from pb_plugin.results.run_file import describe
from pb_plugin.results.summary import SuitePoint
from pb_plugin.running.bench import Bench
from pb_plugin.statistics.intervals import Interval, wilson
from unit_tests.pb_plugin.cli.conftest import RUN_ONE

SVG = "{http://www.w3.org/2000/svg}"
TASKS = ("shuffle", "copy")


@pytest.fixture(scope="module")
def decoded(tmp_path_factory):
    """A run of the exact model: two tasks, one of them twice right, and a method with a curve of its own."""
    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("plot") / "store"
    options = Options(
        task=TASKS, unmasking=("random", "threshold:gamma=1.0"), k=(1, 8, 32), samples=4, store=folder
    )
    planned = plan(options)
    bench = Bench(options, Store(folder, worker="main"))
    bench.decode(planned.cells)
    run = describe(bench.resources, planned.cells, missing_tasks=(), notes=())
    bench.close()
    return run, folder


@pytest.fixture
def pb(capsys):
    """Return a function that runs ``pb plot`` and returns its output."""

    def run(*arguments, code=0):
        assert main(["plot", *map(str, arguments)]) == code
        shown = capsys.readouterr()
        assert shown.err.count("\n") == (1 if code else 0)
        return shown.err if code else shown.out

    return run


def parsed(out):
    return ET.fromstring(out.read_bytes())


def texts(root):
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]


def words_of(out):
    """Return what the points of a drawing say when the mouse is on them."""
    return [title.text for use in parsed(out).iter(f"{SVG}use") for title in use.iter(f"{SVG}title")]


def drawn(curves):
    """Return the axes of a drawing by panel, and in each the lines by name of their curve."""
    figure = figure_of(curves, 174.0)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    return {
        axes.get_title(): {names[int(line.get_gid().split("-")[2])]: line for line in axes.lines}
        for axes in figure.axes
    }


def test_every_command_of_the_parser_is_run_and_no_other():
    usage = next(action for action in command_line(all_verbs())._actions if action.dest == "command")
    assert list(usage.choices) == list(all_verbs())


def test_a_panel_per_task_in_benchmark_order_whatever_the_plan_was(store):
    assert list(drawn(curves_of(read_report(store, None)))) == ["copy", "shuffle"]


def test_the_order_of_panels_is_that_of_the_benchmark_with_other_tasks_behind(store):
    report = read_report(store, None)
    own = [
        replace(cell, asked=replace(cell.asked, task="abc"))
        for cell in report.run.cells
        if cell.asked.task == "copy"
    ]
    known = replace(report, run=replace(report.run, cells=(*own, *report.run.cells[::-1])))
    with pytest.raises(LookupError, match=r"choose from copy, shuffle, abc$"):
        curves_of(known, ["x"])


def test_every_point_of_the_report_stands_where_it_was_measured(store):
    cells = read_report(store, None).summary.cells
    panels = drawn(curves_of(read_report(store, None)))
    found = {
        (task, name, tps, percent)
        for task, lines in panels.items()
        for name, line in lines.items()
        for tps, percent in zip(*line.get_data(), strict=True)
    }
    assert len(cells) == 8
    assert found == {(c.task, c.identity.label, c.tps["canvas"], c.percent) for c in cells}


def test_a_point_says_in_words_what_it_shows(pb, store, tmp_path):
    """Copy is always right: 4 of 4 have the Wilson interval 4 / (4 + 1.96^2) = 51.0 % to 100 %."""
    pb(store, tmp_path / "a.svg")
    found = words_of(tmp_path / "a.svg")
    assert len(found) == 8
    assert (
        "copy, ideal-random, k=8: 100.0 % (95 % interval 51.0 to 100.0), 8.00 tokens per step, 4 samples"
        in found
    )


def test_a_band_is_the_interval_of_its_points(store):
    curves = curves_of(read_report(store, None), ["copy"])
    (axes,) = figure_of(curves, 174.0).axes
    (band,) = [collection for collection in axes.collections if len(collection.get_paths()[0]) > 3]
    (line,) = [line for line in curves.lines if len(line.spots) == 3]
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices}
    low = pytest.approx(100 * wilson(4, 4).low)
    assert {x for x, _ in corners} == {spot.tps for spot in line.spots} == {1, 8, 32}
    assert sorted({y for _, y in corners}) == [low, 100]


def test_a_line_joins_its_points_in_the_order_of_tokens_per_step(store):
    for lines in drawn(curves_of(read_report(store, None))).values():
        xs = list(lines["ideal-random"].get_xdata())
        assert len(xs) == 3
        assert xs == sorted(xs)


def test_the_legend_names_every_line_with_its_look(store):
    (legend,) = figure_of(curves_of(read_report(store, None)), 174.0).legends
    assert [text.get_text() for text in legend.get_texts()] == ["ideal-random", "ideal-threshold"]
    looks = [(line.get_color(), line.get_marker()) for line in legend.get_lines()]
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == 2


def test_the_caption_says_run_date_samples_and_axes(pb, store, tmp_path):
    pb(store, tmp_path / "a.svg")
    words = " ".join(" ".join(texts(parsed(tmp_path / "a.svg"))).split())
    assert f"Run {RUN_ONE}.json, made 2026-01-02 03:04 UTC; 4 samples per point." in words
    assert "tokens per step, the mean over samples of generated positions / forwards" in words
    assert "Bands: 95 % intervals." in words


def test_a_renamed_run_is_made_at_an_unknown_time(store):
    (store / "runs" / f"{RUN_ONE}.json").rename(store / "runs" / "mine.json")
    assert "Run mine.json, made at an unknown time; 4" in curves_of(read_report(store, None)).caption


def test_points_without_an_interval_have_no_band_and_the_caption_says_so(store):
    report = read_report(store, None)
    curves = tuple(
        replace(curve, cells=tuple(replace(cell, interval=None, n=cell.n + 1) for cell in curve.cells))
        for curve in report.summary.curves[:1]
    )
    found = curves_of(replace(report, summary=replace(report.summary, curves=curves)))
    assert found.caption.endswith("intervals, where a point has one.")
    assert {(point["interval"], point["n"]) for point in found.to_json()["points"]} == {(None, 5)}
    assert [list(axes.collections) for axes in figure_of(found, 174.0).axes] == [[], []]


def test_points_of_unequal_size_are_said_to_be(store):
    report = read_report(store, None)
    (first, *others) = report.summary.curves[0].cells
    curve = replace(report.summary.curves[0], cells=(replace(first, n=2), *others))
    found = curves_of(replace(report, summary=replace(report.summary, curves=(curve,))))
    assert "; 2 to 4 samples per point." in found.caption


def test_suites_are_drawn_with_the_intervals_of_the_joint_resample(store):
    """The run lacks most of every suite, so its suites are made of what it has."""
    report = read_report(store, None)
    curve = report.summary.curves[0]
    suite = replace(
        curve.suites["core"],
        points=(
            SuitePoint(
                setting={"k": 8},
                score=60.0,
                tps={"canvas": 8.0},
                interval=Interval(low=50, high=75, level=0.95),
            ),
            SuitePoint(setting={"k": 32}, reason="shuffle: not measured"),
        ),
    )
    curves = (replace(curve, suites={**curve.suites, "core": suite}),)
    found = suite_curves_of(replace(report, summary=replace(report.summary, curves=curves)), ["core"])
    (point,) = found.to_json()["points"]
    assert (point["suite"], point["tps"], point["percent"], point["n"]) == ("core", 8.0, 60.0, 8)
    assert point["interval"] == {"low": 0.5, "high": 0.75, "level": 0.95}
    assert found.text_lines("a.svg")[1] == "left out, 1 point: shuffle: not measured"


def test_readers_of_the_screen_and_dark_pages_are_served(pb, store, tmp_path):
    pb(store, tmp_path / "a.svg")
    root = parsed(tmp_path / "a.svg")
    assert (root.get("role"), root.get("aria-labelledby")) == ("img", "title desc")
    assert [(child.tag, child.get("id")) for child in root[:2]] == [
        (f"{SVG}title", "title"),
        (f"{SVG}desc", "desc"),
    ]
    assert root[0].text == f"Score over tokens per step, run {RUN_ONE}.json"
    assert root[1].text.startswith("Panels: copy, shuffle. Lines: ideal-random, ideal-threshold. Run ")
    ground = next(root.iter(f"{SVG}path"))
    assert "fill: #ffffff" in ground.get("style")


@pytest.mark.parametrize(("ending", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG\r\n"), ("pdf", b"%PDF-")])
def test_equal_stores_give_equal_bytes_and_an_old_drawing_is_replaced(
    pb, store, tmp_path, monkeypatch, ending, start
):
    first, second = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    second.write_text("old")
    pb(store, first, "--width", "84mm")
    moved = store.rename(tmp_path / "moved")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    pb(moved, second, "--width", "84mm")
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(start)
    assert {path.name for path in tmp_path.iterdir()} == {first.name, second.name, "moved"}


@pytest.mark.parametrize("stage", ["pb_plugin.report.curves_drawing.drawing", "pathlib.Path.replace"])
def test_a_drawing_that_cannot_be_finished_leaves_the_old_one(pb, store, tmp_path, monkeypatch, stage):
    def fail(*_):
        raise OSError("no space left")

    (tmp_path / "a.svg").write_text("old")
    monkeypatch.setattr(stage, fail)
    assert pb(store, tmp_path / "a.svg", code=2) == "pb: no space left\n"
    assert (tmp_path / "a.svg").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"a.svg", "store"}


def test_chosen_tasks_only_in_benchmark_order(pb, store, tmp_path):
    assert pb(store, tmp_path / "a.svg", "--tasks", "copy") == (
        f"{tmp_path / 'a.svg'}: 1 panel, 2 lines, 4 points, run {RUN_ONE}.json\n"
    )
    assert curves_of(read_report(store, None), ["shuffle", "copy"]).panels == ("copy", "shuffle")


def test_json_has_the_points_of_the_report(pb, store, tmp_path):
    found = json.loads(pb(store, tmp_path / "a.svg", "--json"))
    assert (found["run"], found["tasks"], found["count"]) == (
        f"{RUN_ONE}.json",
        ["copy", "shuffle"],
        "canvas",
    )
    assert (found["left_out"], found["without_panel"]) == ({}, [])
    cells = {(c.task, c.identity.method, str(c.setting)): c for c in read_report(store, None).summary.cells}
    assert len(found["points"]) == len(cells)
    for point in found["points"]:
        cell = cells[point["task"], point["method"], str(point["setting"])]
        assert (point["tps"], point["percent"]) == (cell.tps["canvas"], cell.percent)
        assert (point["interval"], point["n"]) == (cell.interval.to_json(), cell.n)
    assert parsed(tmp_path / "a.svg").tag == f"{SVG}svg"


def test_items_without_all_results_are_left_out_and_counted(pb, store, tmp_path):
    """One record of copy is gone, and shuffle is not scored at all."""
    (file,) = store.glob("*.jsonl")
    lines = file.read_text(encoding="ascii").splitlines(keepends=True)
    parts = {line: json.loads(line)["parts"] for line in lines}
    gone = next(line for line in lines if (parts[line]["task"], parts[line]["k"]) == ("copy", 8))
    file.write_text("".join(line for line in lines if line != gone), encoding="ascii")
    name = store / "runs" / f"{RUN_ONE}.json"
    run = json.loads(name.read_text(encoding="ascii"))
    for cell in run["cells"]:
        if cell["asked"]["task"] == "shuffle":
            cell["keys"], cell["unscored"] = [], "no tool"
    name.write_text(json.dumps(run), encoding="ascii")
    out = pb(store, tmp_path / "a.svg").splitlines()
    assert out[0].endswith(f": 1 panel, 2 lines, 3 points, run {RUN_ONE}.json")
    assert out[1:] == [
        "left out, 1 item: 3 of 4 planned samples decoded (1 missing, 0 failed)",
        "left out, 4 items: no tool",
        "no panel: shuffle",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["STORE", "a.jpg"],
            "OUT must end in .svg or .png or .pdf, got 'a.jpg'; name the store first, then the drawing",
        ),
        (["STORE", "DIR/none/a.svg"], "OUT must lie in a folder that exists, got 'DIR/none/a.svg'; make the"),
        (["STORE", "DIR/folder.svg"], "OUT must be a file, got the folder 'DIR/folder.svg'; choose another"),
        (["DIR/nothing", "DIR/a.svg"], "store must be a directory, got 'DIR/nothing'"),
        (["DIR/empty", "DIR/a.svg"], "DIR/empty must hold a finished run, got none; run pytest with --pb-st"),
        (["STORE", "DIR/a.svg", "--run", "two"], f"must hold the run 'two', got {RUN_ONE}.json; run pytest"),
        (
            ["STORE", "DIR/a.svg", "--tasks", "copy,shufle"],
            f"--tasks must be tasks of the run {RUN_ONE}.json, got 'shufle'; did you mean 'shuffle'? choose",
        ),
        (["STORE", "DIR/a.svg", "--tasks", "sort"], "got 'sort'; choose from copy, shuffle"),
        (
            ["STORE", "DIR/a.svg", "--tasks", "copy,"],
            "--tasks must be a list without empty items, got 'copy,'",
        ),
        (
            ["STORE", "DIR/a.svg", "--suites", "cor"],
            "--suites must be suites, got 'cor'; did you mean 'core'? choose from all, core, ",
        ),
        (
            ["STORE", "DIR/a.svg", "--suites", "core"],
            f"the run {RUN_ONE}.json must have an item with all its results among core, got ",
        ),
        (
            ["STORE", "DIR/a.svg", "--width", "84"],
            "--width must be a width from 60mm to 500mm, with its unit (mm, cm, in, pt), got '84'; 84mm is",
        ),
        (["STORE", "DIR/a.svg", "--width", "1in"], "--width must be a width from 60mm to 500mm, "),
        (["STORE"], "the following arguments are required: OUT; see pb plot --help"),
    ],
    ids=[
        "suffix",
        "parent",
        "folder",
        "store",
        "empty",
        "run",
        "task",
        "other",
        "comma",
        "suite",
        "lacking",
        "unit",
        "narrow",
        "out",
    ],
)
def test_a_bad_request_is_told_in_one_line_and_draws_nothing(pb, store, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.svg").mkdir()
    given_ = [word.replace("STORE", str(store)).replace("DIR", str(tmp_path)) for word in arguments]
    err = pb(*given_, code=2)
    assert message.replace("DIR", str(tmp_path)) in err
    assert not (tmp_path / "a.svg").exists()


def test_without_matplotlib_the_extra_is_named(pb, store, tmp_path, monkeypatch):
    monkeypatch.setattr("pb_plugin.report.curves_file.find_spec", lambda name: None)
    assert pb(store, tmp_path / "a.svg", code=2) == (
        'pb: pb plot must have matplotlib, got none installed; pip install -e ".[report]" '
        "(it is in all too)\n"
    )


def test_nothing_to_draw_says_why_and_how_to_finish(pb, store, tmp_path):
    for file in store.glob("*.jsonl"):
        file.unlink()
    err = pb(store, tmp_path / "a.svg", "--tasks", "copy", code=2)
    assert (
        f"the run {RUN_ONE}.json must have an item with all its results among copy, got 4 without: 0 of 4 "
        "planned samples decoded (4 missing, 0 failed); finish the run"
    ) in err
    assert not (tmp_path / "a.svg").exists()


def test_an_unknown_nfe_is_no_point(store):
    report = read_report(store, None)
    unknown = [replace(cell, tps=None) for cell in report.summary.cells if cell.task == "copy"]
    kept = [cell for cell in report.summary.cells if cell.task != "copy"]
    curves = tuple(
        replace(curve, cells=tuple(c for c in (*unknown, *kept) if c.identity == curve.identity))
        for curve in report.summary.curves
    )
    summary = replace(report.summary, cells=(*unknown, *kept), curves=curves)
    found = curves_of(replace(report, summary=summary))
    assert found.panels == ("shuffle",)
    assert found.left_out == {"forwards neither counted nor commanded, so no tokens per step": 4}
