"""``pb plot``: a drawing of a stored run whose points, whiskers, names and bytes are those of the records."""

import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.cli import all_verbs, command_line, main
from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.store import Store
from pb_plugin.report.curves import curves_of
from pb_plugin.report.curves_layout import Grid
from pb_plugin.report.curves_style import MOST_METHODS, MOST_MODELS, styles_of
from pb_plugin.report.curves_svg import Mark, Picture, Series, svg
from pb_plugin.report.stored import read_report
from pb_plugin.results.run_file import describe, save
from pb_plugin.results.suites import SUITES
from pb_plugin.running.bench import Bench
from pb_plugin.statistics.intervals import wilson

SVG = "{http://www.w3.org/2000/svg}"
NAME = "20260102T030405000006Z-one"
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
def store(decoded, tmp_path):
    run, folder = decoded
    copy = tmp_path / "store"
    copy.mkdir()
    for file in folder.glob("*.jsonl"):
        (copy / file.name).write_bytes(file.read_bytes())
    save(run, copy).rename(copy / "runs" / f"{NAME}.json")
    return copy


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


def by_class(root, name):
    return [element for element in root.iter() if element.get("class") == name]


def texts(root):
    return [element.text for element in root.iter(f"{SVG}text")]


def place_of(point):
    """Return where the mark of a point stands."""
    (shape,) = point.iter(f"{SVG}path")
    x, y = re.match(r"translate\((\S+) (\S+)\)", shape.get("transform")).groups()
    return float(x), float(y)


def point_of(root, start):
    (found,) = [point for point in by_class(root, "point") if point[0].text.startswith(start)]
    return found


def picture(percents=(50.0,), *, panels=("copy",), name="m-random", interval=None, tps=(1.0, 2.0, 4.0)):
    marks = tuple(
        Mark(tps=x, percent=percent, interval=interval, text=f"{name} {percent:g}")
        for x, percent in zip(tps, percents, strict=False)
    )
    series = Series(name=name, model="m", method=name, marks=dict.fromkeys(panels, marks))
    return Picture(
        title=name, caption=name, panels=panels, series=(series,), grid=Grid.of(len(panels), (1.0, 4.0))
    )


def test_every_command_of_the_parser_is_run_and_no_other():
    usage = next(action for action in command_line(all_verbs())._actions if action.dest == "command")
    assert list(usage.choices) == list(all_verbs())


def test_a_panel_per_task_in_benchmark_order_whatever_the_plan_was(pb, store, tmp_path):
    out = tmp_path / "a.svg"
    pb(store, out)
    panels = by_class(parsed(out), "panel")
    titles = [next(e.text for e in panel.iter(f"{SVG}text") if e.get("font-weight")) for panel in panels]
    assert titles == ["copy", "shuffle"]


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


def test_every_point_of_the_report_is_drawn_once(pb, store, tmp_path):
    out = tmp_path / "a.svg"
    pb(store, out)
    cells = read_report(store, None).summary.cells
    assert len(cells) == 8
    points = by_class(parsed(out), "point")
    assert len(points) == len(by_class(parsed(out), "whisker")) == len(cells)
    for cell in cells:
        start = f"{cell.task}, {cell.identity.label}, "
        shown = [point[0].text for point in points if point[0].text.startswith(start)]
        assert sum(f": {cell.percent:.1f} % (" in text for text in shown) >= 1


def test_the_tooltip_has_task_model_setting_score_interval_and_tokens_per_step(pb, store, tmp_path):
    """Copy is always right: 4 of 4 have the Wilson interval 4 / (4 + 1.96^2) = 51.0 % to 100 %."""
    out = tmp_path / "a.svg"
    pb(store, out)
    assert point_of(parsed(out), "copy, ideal-random, k=8")[0].text == (
        "copy, ideal-random, k=8: 100.0 % (95 % interval 51.0 to 100.0), 8.00 tokens per step, 4 samples"
    )


def test_points_stand_where_a_ruler_says(pb, store, tmp_path):
    """Two panels 253 wide and 192.28 high from (58, 30) on, 14 apart, values 8 inside: 5 powers on 237."""
    out = tmp_path / "a.svg"
    pb(store, out)
    root = parsed(out)
    assert place_of(point_of(root, "copy, ideal-random, k=1:")) == (66.0, 38.0)
    assert place_of(point_of(root, "copy, ideal-random, k=8:")) == (66 + 237 * 3 / 5, 38.0)
    assert place_of(point_of(root, "copy, ideal-random, k=32:")) == (303.0, 38.0)
    one_step = point_of(root, "shuffle, ideal-random, k=32:")
    assert "k=32: 0.0 %" in one_step[0].text
    assert place_of(one_step) == (267 + 303.0, 214.28)


def test_whiskers_end_at_the_wilson_interval(pb, store, tmp_path):
    out = tmp_path / "a.svg"
    pb(store, out)
    ends = [
        (float(line.get("y1")), float(line.get("y2")))
        for line in by_class(parsed(out), "whisker")
        if line.get("x1") == "66"
    ]
    low = wilson(4, 4).low
    assert ends == [(pytest.approx(38 + (1 - low) * 176.28, abs=0.01), 38.0)]


def test_a_whisker_reaches_from_low_to_high_and_a_point_without_interval_has_none():
    """One panel 520 x 395.2 from (58, 30) on: 379.2 for 100 percent."""
    (line,) = by_class(ET.fromstring(svg(picture((50.0,), interval=(25.0, 75.0)))), "whisker")
    assert (float(line.get("y1")), float(line.get("y2"))) == (38 + 284.4, 38 + 94.8)
    assert (line.get("x1"), line.get("x2")) == ("66", "66")
    assert by_class(ET.fromstring(svg(picture((50.0,)))), "whisker") == []


def test_a_line_joins_its_points_in_the_order_of_tokens_per_step(pb, store, tmp_path):
    out = tmp_path / "a.svg"
    pb(store, out)
    for panel in by_class(parsed(out), "panel"):
        for line in panel.iter(f"{SVG}polyline"):
            xs = [float(pair.split(",")[0]) for pair in line.get("points").split()]
            assert len(xs) == 3
            assert xs == sorted(xs)


def test_the_legend_names_every_line_with_its_colour(pb, store, tmp_path):
    out = tmp_path / "a.svg"
    pb(store, out)
    entries = by_class(parsed(out), "entry")
    assert [texts(entry) for entry in entries] == [["ideal-random"], ["ideal-threshold"]]
    colours = [next(entry.iter(f"{SVG}polyline")).get("stroke") for entry in entries]
    assert len(set(colours)) == 2


def test_the_caption_says_run_date_samples_and_axes(pb, store, tmp_path):
    out = tmp_path / "a.svg"
    pb(store, out)
    words = " ".join(text for text in texts(parsed(out)) if text)
    assert f"Run {NAME}.json, made 2026-01-02 03:04 UTC; 4 samples per point." in words
    assert "tokens per step, the mean over samples of generated positions / forwards" in words
    assert "Whiskers: Wilson 95\u00a0% interval." in words


def test_a_renamed_run_is_made_at_an_unknown_time(pb, store, tmp_path):
    (store / "runs" / f"{NAME}.json").rename(store / "runs" / "mine.json")
    pb(store, tmp_path / "a.svg")
    assert "Run mine.json, made at an unknown time; 4" in " ".join(texts(parsed(tmp_path / "a.svg")))


def test_scores_between_0_and_1_have_no_whisker_and_the_caption_says_so(store):
    report = read_report(store, None)
    curves = tuple(
        replace(curve, cells=tuple(replace(cell, interval=None, n=cell.n + 1) for cell in curve.cells[:1]))
        for curve in report.summary.curves[:1]
    )
    found = curves_of(replace(report, summary=replace(report.summary, curves=curves)))
    assert found.caption.endswith("interval where every sample scores 0 or 1.")
    (point,) = found.to_json()["points"]
    assert (point["interval"], point["n"]) == (None, 5)
    assert by_class(ET.fromstring(svg(found.picture())), "whisker") == []


def test_points_of_unequal_size_are_said_to_be(store):
    report = read_report(store, None)
    (first, *others) = report.summary.curves[0].cells
    curve = replace(report.summary.curves[0], cells=(replace(first, n=2), *others))
    found = curves_of(replace(report, summary=replace(report.summary, curves=(curve,))))
    assert "; 2 to 4 samples per point." in found.caption


def test_readers_of_the_screen_and_dark_pages_are_served(pb, store, tmp_path):
    out = tmp_path / "a.svg"
    pb(store, out)
    root = parsed(out)
    assert [root[0].tag, root[1].tag] == [f"{SVG}title", f"{SVG}desc"]
    assert root[0].text == f"Score over tokens per step, run {NAME}.json"
    assert root[1].text.startswith("Panels: copy, shuffle. Lines: ideal-random, ideal-threshold. Run ")
    assert (root[2].tag, root[2].get("fill"), root[2].get("width")) == (f"{SVG}rect", "#ffffff", "100%")
    assert root.get("font-family").endswith("sans-serif")


def test_equal_stores_give_equal_bytes_and_an_old_drawing_is_replaced(pb, store, tmp_path):
    first, second = tmp_path / "a.svg", tmp_path / "b.svg"
    second.write_text("old")
    pb(store, first)
    moved = store.rename(tmp_path / "moved")
    pb(moved, second)
    assert first.read_bytes() == second.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"a.svg", "b.svg", "moved"}


@pytest.mark.parametrize("stage", ["pb_plugin.report.curves.svg", "pathlib.Path.replace"])
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
        f"{tmp_path / 'a.svg'}: 1 panel, 2 lines, 4 points, run {NAME}.json\n"
    )
    pb(store, tmp_path / "b.svg", "--tasks", "shuffle,copy")
    assert texts(parsed(tmp_path / "b.svg")).index("copy") < texts(parsed(tmp_path / "b.svg")).index(
        "shuffle"
    )


def test_json_has_the_points_of_the_report(pb, store, tmp_path):
    found = json.loads(pb(store, tmp_path / "a.svg", "--json"))
    assert (found["run"], found["tasks"], found["count"]) == (f"{NAME}.json", ["copy", "shuffle"], "canvas")
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
    name = store / "runs" / f"{NAME}.json"
    run = json.loads(name.read_text(encoding="ascii"))
    for cell in run["cells"]:
        if cell["asked"]["task"] == "shuffle":
            cell["keys"], cell["unscored"] = [], "no tool"
    name.write_text(json.dumps(run), encoding="ascii")
    out = pb(store, tmp_path / "a.svg").splitlines()
    assert out[0].endswith(f": 1 panel, 2 lines, 3 points, run {NAME}.json")
    assert out[1:] == [
        "left out, 1 item: 3 of 4 planned samples decoded (1 missing, 0 failed)",
        "left out, 4 items: no tool",
        "no panel: shuffle",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["STORE", "a.png"], "OUT must end in .svg, got 'a.png'; name the store first, then the drawing"),
        (["STORE", "DIR/none/a.svg"], "OUT must lie in a folder that exists, got 'DIR/none/a.svg'; make the"),
        (["STORE", "DIR/folder.svg"], "OUT must be a file, got the folder 'DIR/folder.svg'; choose another"),
        (["DIR/nothing", "DIR/a.svg"], "store must be a directory, got 'DIR/nothing'"),
        (["DIR/empty", "DIR/a.svg"], "DIR/empty must hold a finished run, got none; run pytest with --pb-st"),
        (["STORE", "DIR/a.svg", "--run", "two"], f"must hold the run 'two', got {NAME}.json; run pytest"),
        (
            ["STORE", "DIR/a.svg", "--tasks", "copy,shufle"],
            f"--tasks must be tasks of the run {NAME}.json, got 'shufle'; did you mean 'shuffle'? choose",
        ),
        (["STORE", "DIR/a.svg", "--tasks", "sort"], "got 'sort'; choose from copy, shuffle"),
        (
            ["STORE", "DIR/a.svg", "--tasks", "copy,"],
            "--tasks must be a list without empty items, got 'copy,'",
        ),
        (["STORE"], "the following arguments are required: OUT.svg; see pb plot --help"),
    ],
    ids=["suffix", "parent", "folder", "store", "empty", "run", "task", "other", "comma", "out"],
)
def test_a_bad_request_is_told_in_one_line_and_draws_nothing(pb, store, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.svg").mkdir()
    given_ = [word.replace("STORE", str(store)).replace("DIR", str(tmp_path)) for word in arguments]
    err = pb(*given_, code=2)
    assert message.replace("DIR", str(tmp_path)) in err
    assert not (tmp_path / "a.svg").exists()


def test_nothing_to_draw_says_why_and_how_to_finish(pb, store, tmp_path):
    for file in store.glob("*.jsonl"):
        file.unlink()
    err = pb(store, tmp_path / "a.svg", "--tasks", "copy", code=2)
    assert (
        f"the run {NAME}.json must have an item with all its results among copy, got 4 without: 0 of 4 "
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
    assert found.tasks == ("shuffle",)
    assert found.left_out == {"nfe unknown, so no tokens per step": 4}


def test_names_are_escaped_wherever_they_stand():
    root = ET.fromstring(svg(picture((50.0, 20.0), panels=('a<b&"c',), name="x<y&\"z'")))
    assert {'a<b&"c', "x<y&\"z'"} <= set(texts(root))
    assert root[0].text == "x<y&\"z'"
    assert by_class(root, "point")[0][0].text == "x<y&\"z' 50"


@given(name=st.text(min_size=1, max_size=60))
def test_any_name_gives_valid_xml(name):
    ET.fromstring(svg(picture(panels=(name,), name=name)).encode("utf-8"))


def test_what_xml_cannot_hold_is_shown_as_a_replacement():
    assert "a\ufffdb" in texts(ET.fromstring(svg(picture(name="a\x00b"))))


def test_a_name_wider_than_its_room_is_squeezed_into_it():
    """520 wide; a letter of the title counts 0.58 x 12."""
    for letters, squeezed in ((74, None), (75, "520")):
        root = ET.fromstring(svg(picture(panels=("w" * letters,))))
        (title,) = [element for element in root.iter(f"{SVG}text") if element.text == "w" * letters]
        assert title.get("textLength") == squeezed


@pytest.mark.parametrize(
    ("n", "columns"), [(1, 1), (2, 2), (5, 5), (6, 3), (7, 4), (8, 4), (9, 5), (10, 5), (12, 4), (17, 5)]
)
def test_rows_are_nearly_equal_and_five_panels_at_most(n, columns):
    assert Grid.of(n, [1.0]).columns == columns


rates = st.floats(min_value=0.01, max_value=1024.0)
grids = st.builds(Grid.of, st.integers(1, len(SUITES["all"])), st.lists(rates, min_size=1, max_size=5))


@given(data=st.data(), n=st.integers(1, 17), tps=st.lists(rates, min_size=2, max_size=6, unique=True))
def test_the_axis_of_tokens_per_step_is_monotone_and_inside_the_frame(data, n, tps):
    grid = Grid.of(n, tps)
    frame = grid.frame(data.draw(st.integers(0, n - 1)))
    places = [frame.x(value) for value in sorted(tps)]
    assert places == sorted(places)
    assert all(frame.left < place < frame.left + frame.width for place in places)
    assert frame.x(1.0) - frame.x(0.5) == pytest.approx(frame.x(8.0) - frame.x(4.0))


@given(grid=grids, low=st.floats(0, 100), high=st.floats(0, 100))
def test_the_axis_of_scores_goes_up_and_stays_inside_the_frame(grid, low, high):
    low, high = sorted((low, high))
    frame = grid.frame(0)
    assert frame.top < frame.y(high) <= frame.y(low) < frame.top + frame.height


@given(grid=grids)
def test_panels_lie_apart_and_inside_the_drawing(grid):
    frames = [grid.frame(place) for place in range(grid.n)]
    assert len({(frame.left, frame.top) for frame in frames}) == grid.n
    for first, second in pairwise(frames):
        below = second.top >= first.top + first.height
        assert below or second.left >= first.left + first.width
    assert all(frame.left + frame.width <= grid.right + 1e-6 for frame in frames)
    assert all(frame.top + frame.height <= grid.bottom + 1e-6 for frame in frames)


@given(tps=st.lists(rates, min_size=1, max_size=4))
def test_ticks_are_powers_of_two_with_room_for_their_labels(tps):
    ticks = Grid.of(1, tps).ticks()
    assert (1.0, "1") in ticks
    assert 2 <= len(ticks) <= 8
    for value, label in ticks:
        assert math.log2(value).is_integer()
        assert Fraction(label) == value


def test_labels_stand_at_the_left_and_below_the_last_panel_of_each_column():
    grid = Grid.of(7, [1.0])
    assert [place for place in range(7) if grid.has_x_labels(place)] == [3, 4, 5, 6]
    assert [place for place in range(7) if grid.has_y_labels(place)] == [0, 4]


def test_lines_differ_in_colour_and_shape_by_method_and_in_dashes_and_filling_by_model():
    one, other, second = styles_of([("m", "random"), ("m", "wino"), ("n", "random")])
    assert one.colour != other.colour
    assert one.shape != other.shape
    assert (one.colour, one.shape) == (second.colour, second.shape)
    assert (one.dash, one.hollow) == (other.dash, other.hollow) == ("", False)
    assert (second.dash, second.hollow) == ("6 3", True)


def test_no_two_lines_look_alike_up_to_the_limit():
    lines = [(f"m{a}", f"u{b}") for a in range(MOST_MODELS) for b in range(MOST_METHODS)]
    found = {(style.colour, style.shape, style.dash, style.hollow) for style in styles_of(lines)}
    assert len(found) == len(lines)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([(f"m{i}", "u") for i in range(11)], "models of a drawing must be at most 10, got 11; more would"),
        ([("m", f"u{i}") for i in range(57)], "methods of a drawing must be at most 56, got 57; more would"),
    ],
    ids=["models", "methods"],
)
def test_more_lines_than_can_be_told_apart_are_refused(lines, message):
    with pytest.raises(ValueError, match=message):
        styles_of(lines)
