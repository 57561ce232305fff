"""The layout of a drawing: type that can be read, names that fit, lines that are told apart."""

import re
from dataclasses import replace
from itertools import combinations
from xml.etree import ElementTree as ET

import matplotlib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import TextToPath

from pb_plugin.report.curves import Curves, Line, Spot
from pb_plugin.report.curves_drawing import _grid, drawing, figure_of, powers_of, text_width, wrapped
from pb_plugin.report.curves_file import width_of
from pb_plugin.report.curves_style import MOST_METHODS, MOST_MODELS, styles_of
from pb_plugin.results.summary import Identity
from pb_plugin.statistics.intervals import Interval

LONG = (
    "a_checkpoint_with_a_very_long_name_of_many_words_and_7B_parameters-threshold_gamma=0.95 low_confidence"
)


def curves(panels=("copy", "shuffle", "insert_random"), methods=("random", "threshold"), interval=(0.4, 0.6)):
    """Return a drawing whose lines have three points in every panel."""
    ends = None if interval is None else Interval(low=interval[0], high=interval[1], level=0.95)
    return Curves(
        run="r.json",
        created="2026-01-02T03:04:05Z",
        kind="task",
        panels=panels,
        lines=tuple(
            Line(
                identity=Identity(
                    model="m", method=method, variant="", tagged=(), upstream_exact=False, block_length=None
                ),
                spots=tuple(
                    Spot(panel=panel, setting={"k": k}, tps=float(k), percent=50.0, interval=ends, n=4)
                    for panel in panels
                    for k in (1, 4, 32)
                ),
            )
            for method in methods
        ),
        left_out={},
        without_panel=(),
    )


def shown_texts(figure):
    """Return every text of *figure* that is drawn, with its rectangle in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    return [
        (text, text.get_window_extent(renderer))
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and is_shown(text)
    ]


def is_shown(text):
    """Return whether no tick or axis around *text* leaves it out; a label outside of the limits is none."""
    box = text.get_window_extent()
    return box.width > 0 and box.height > 0


@pytest.mark.parametrize(
    "panels", [("copy",), ("copy", "sort", "shuffle"), tuple(f"task_{n}" for n in range(17))]
)
def test_in_a_column_of_a_paper_all_type_is_6_points_or_more(panels):
    figure = figure_of(curves(panels), 84.0)
    sizes = {text.get_fontsize() for text, _ in shown_texts(figure)}
    assert min(sizes) >= 6
    assert figure.get_figwidth() * 25.4 == pytest.approx(84)


def test_the_type_of_the_svg_is_6_points_or_more_and_the_file_as_wide_as_asked():
    root = ET.fromstring(drawing(curves(), "svg", 84.0))
    width = float(root.get("width").removesuffix("pt"))
    assert width == pytest.approx(84 / 25.4 * 72)
    assert float(root.get("viewBox").split()[2]) == width
    styles = [element.get("style", "") for element in root.iter("{http://www.w3.org/2000/svg}text")]
    sizes = [
        float(size) for style in styles for size in re.findall(r"font(?:-size)?:[^;]*?([\d.]+)px", style)
    ]
    assert len(sizes) >= len(styles) > 10
    assert min(sizes) >= 6


@pytest.mark.parametrize("width", [60.0, 84.0, 174.0])
@pytest.mark.parametrize("panels", [(LONG,), (LONG, "copy", LONG + "2", "sort")], ids=["one", "four"])
def test_long_names_fit_and_no_two_texts_lie_on_each_other(width, panels):
    figure = figure_of(curves(panels, methods=(LONG, LONG + "2")), width)
    found = shown_texts(figure)
    wide, high = figure.bbox.width, figure.bbox.height
    for text, box in found:
        assert box.x0 >= 0, text
        assert box.x1 <= wide, text
        assert box.y0 >= 0, text
        assert box.y1 <= high, text
    for (one, first), (other, second) in combinations(found, 2):
        apart = (
            first.x1 <= second.x0 + 1
            or second.x1 <= first.x0 + 1
            or first.y1 <= second.y0 + 1
            or second.y1 <= first.y0 + 1
        )
        assert apart, (one, other)


@given(text=st.text(max_size=60), room=st.floats(20, 200))
@settings(max_examples=25)
def test_wrapped_lines_keep_what_the_font_has_in_its_order(text, room):
    """What the font lacks stands as its escape; spaces alone may go."""
    kept = "".join(wrapped(text, 7, room)).replace(" ", "")
    letters = "".join(c for c in text if c.isascii() and c.isprintable() and c != " ")
    rest = iter(kept)
    assert all(c in rest for c in letters)
    assert kept.isprintable()


@pytest.mark.parametrize("room", [30.0, 60.0, 120.0])
def test_every_line_is_as_narrow_as_its_room(room):
    lines = wrapped(LONG, 7, room)
    font = FontProperties(size=7)
    widths = [TextToPath().get_text_width_height_descent(line, font, False)[0] for line in lines]
    assert max(widths) <= room + 0.1
    assert widths == [pytest.approx(text_width(line, 7), rel=0.03) for line in lines]
    assert "".join(lines).replace(" ", "") == LONG.replace(" ", "")


def test_markup_and_formulas_in_names_are_text():
    root = ET.fromstring(drawing(curves(panels=("<b>$x^2$&\x00\u202e\u4e2d",)), "svg", 84.0))
    words = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any("<b>$x^2$&" in word for word in words)


def test_settings_of_the_user_change_nothing():
    before = drawing(curves(), "svg", 84.0)
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "svg.fonttype": "path"}):
        assert drawing(curves(), "svg", 84.0) == before


def test_a_point_whose_neighbours_have_no_interval_has_a_whisker():
    whole = curves(("copy",), methods=("random",))
    (line,) = whole.lines
    first, *others = line.spots
    bare = Line(identity=line.identity, spots=(first, *(replace(spot, interval=None) for spot in others)))
    (axes,) = figure_of(replace(whole, lines=(bare,)), 84.0).axes
    (whiskers,) = axes.collections
    assert [path.vertices.tolist() for path in whiskers.get_paths()] == [[[1, 40], [1, 60]]]


@pytest.mark.parametrize(
    ("n", "columns"), [(1, 1), (2, 2), (5, 5), (6, 3), (7, 4), (8, 4), (9, 5), (10, 5), (12, 4), (17, 5)]
)
def test_rows_are_nearly_equal_and_five_panels_at_most(n, columns):
    rows, found, panel = _grid(n, 456.0)
    assert found == columns
    assert rows == -(-n // columns)
    assert panel * columns + 8 * (columns - 1) == pytest.approx(456)


def test_a_column_of_a_paper_has_two_panels_side_by_side():
    assert _grid(17, 84 / 25.4 * 72 - 37)[:2] == (9, 2)


@given(
    tps=st.lists(st.floats(min_value=0.01, max_value=1024.0), min_size=1, max_size=4), room=st.floats(60, 400)
)
def test_ticks_are_powers_of_two_around_all_points_with_room_for_their_labels(tps, room):
    low, high, shown = powers_of(tps, room)
    assert 2.0**low <= min(1.0, *tps) <= max(2.0, *tps) <= 2.0**high
    assert 0 in shown
    assert set(shown) <= set(range(low, high + 1))
    assert (len(shown) - 1) * 14 <= room


@pytest.mark.parametrize(
    ("text", "width"), [("84mm", 84.0), ("8.4 cm", 84.0), ("3.3in", 83.82), ("238pt", 238 / 72 * 25.4)]
)
def test_a_width_has_one_of_four_units(text, width):
    assert width_of(text) == pytest.approx(width)


def test_lines_differ_in_colour_and_marker_by_method_and_in_dashes_and_filling_by_model():
    one, other, second = styles_of([("m", "random"), ("m", "wino"), ("n", "random")])
    assert one.colour != other.colour
    assert one.marker != other.marker
    assert (one.colour, one.marker) == (second.colour, second.marker)
    assert (one.dash, one.hollow) == (other.dash, other.hollow) == ((), False)
    assert (second.dash, second.hollow) == ((6, 2), True)


def test_no_two_lines_look_alike_up_to_the_limit():
    lines = [(f"m{a}", f"u{b}") for a in range(MOST_MODELS) for b in range(MOST_METHODS)]
    found = {(style.colour, style.marker, style.dash, style.hollow) for style in styles_of(lines)}
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
