"""A drawing by matplotlib: a panel per task or suite, a line with its band per model and method.

Lengths are points of 1/72 inch, the unit of type. Equal curves give equal bytes under one matplotlib.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from functools import cache
from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import LoadFlags
from matplotlib.lines import Line2D

from pb_plugin.printable import printable
from pb_plugin.report.curves import Curves, Line, Spot
from pb_plugin.report.curves_style import Style, styles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE, SMALL = 7.0, 6.0
"""Sizes of type: names, and ticks with the caption; journals ask for 6 at least."""

LEADING = 1.2
MOST_COLUMNS, SMALLEST_PANEL, TALLEST_PANEL, ASPECT = 5, 80.0, 170.0, 0.8
LEFT, RIGHT, GAP, TICKS_BELOW, TICK_ROOM = 30.0, 7.0, 8.0, 11.0, 14.0
PERCENTS = (0, 25, 50, 75, 100)
POINT = 3.2
"""Diameter of the smallest mark."""

DARKEST, TOGETHER = 0.18, 0.8
"""Opacity of a band, and of all bands of a panel together where they are many."""

PIXELS = 4
"""Pixels to a point where texts are measured: at one, hinted type is up to 8 % wider."""

POINTS_PER_MM = 72 / 25.4
SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched and read aloud
    "svg.hashsalt": "pb plot",
    "pdf.fonttype": 42,  # Type 3 fonts are refused by some publishers
    "text.parse_math": False,
    "font.size": SIZE,
    "axes.linewidth": 0.5,
    "axes.edgecolor": "#777777",
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "savefig.dpi": 300,
}
METADATA = {
    "svg": {"Title": "title", "Description": "description", "Date": None},
    "png": {"Title": "title", "Description": "description", "Software": None},
    "pdf": {"Title": "title", "Subject": "description", "CreationDate": None},
}
SVG = "http://www.w3.org/2000/svg"
styled = matplotlib.style.context(["default", SETTINGS])
"""Decorates what draws, so that no settings of the user's change the drawing."""


@styled
def drawing(curves: Curves, kind: str, width: float) -> bytes:
    """Return *curves* as a file.

    Args:
        curves: What is drawn.
        kind: svg, png or pdf.
        width: In millimetres.

    Raises:
        ValueError: There are more models or methods than can be told apart.
    """
    metadata = {key: part and _plain(getattr(curves, part)) for key, part in METADATA[kind].items()}
    file = BytesIO()
    figure_of(curves, width).savefig(file, format=kind, metadata=metadata)
    return _described(file.getvalue(), curves) if kind == "svg" else file.getvalue()


@styled
def figure_of(curves: Curves, width: float) -> Figure:
    """Return the drawing of *curves*, *width* millimetres wide and as high as it needs to be."""
    styles = styles_of([(line.identity.model, line.method) for line in curves.lines])
    whole = width * POINTS_PER_MM
    figure = Figure(figsize=(whole / 72, whole / 72), dpi=PIXELS * 72)
    FigureCanvasAgg(figure)  # measures texts
    room = whole - LEFT - RIGHT
    rows, columns, panel = _grid(len(curves.panels), room)
    titles = [wrapped(name, SIZE, panel, bold=True) for name in curves.panels]
    above = LEADING * SIZE * max(map(len, titles)) + 4
    tall = min(ASPECT * panel, TALLEST_PANEL)
    caption = wrapped(curves.caption, SMALL, whole - 2 * RIGHT)
    legend = _legend(figure, curves.lines, styles, whole - 2 * RIGHT)
    legend_height = legend.get_window_extent().height / PIXELS
    caption_height = LEADING * SMALL * len(caption)
    plots = rows * (above + tall) + (rows - 1) * GAP / 2
    below = TICKS_BELOW + LEADING * SIZE + 8 + legend_height + 6 + caption_height + 4
    height = plots + below
    figure.set_size_inches(whole / 72, height / 72)
    shade = min(DARKEST, TOGETHER / len(curves.lines))
    for place, (name, title) in enumerate(zip(curves.panels, titles, strict=True)):
        row, column = divmod(place, columns)
        left = LEFT + column * (panel + GAP)
        bottom = height - (row + 1) * (above + tall) - row * GAP / 2
        axes = figure.add_axes((left / whole, bottom / height, panel / whole, tall / height))
        axes.set_title("\n".join(title), fontsize=SIZE, fontweight="bold", pad=3, linespacing=LEADING)
        _axes(axes, curves, panel, left=column == 0, lowest=place + columns >= len(curves.panels))
        for number, (line, style) in enumerate(zip(curves.lines, styles, strict=True)):
            _draw(axes, line.of(name), style, shade, f"points-{place}-{number}")
    middle = (LEFT + room / 2) / whole
    under = below - TICKS_BELOW
    figure.text(middle, under / height, "tokens per step", ha="center", va="top", fontsize=SIZE)
    side = (below + plots / 2) / height
    figure.text(2 / whole, side, "score (%)", rotation=90, ha="left", va="center", fontsize=SIZE)
    legend.set_bbox_to_anchor((RIGHT / whole, (under - LEADING * SIZE - 8) / height), figure.transFigure)
    figure.text(
        RIGHT / whole,
        (4 + caption_height) / height,
        "\n".join(caption),
        fontsize=SMALL,
        color="#555555",
        va="top",
        linespacing=LEADING,
    )
    return figure


def wrapped(text: str, size: float, room: float, *, bold: bool = False) -> list[str]:
    """Return the lines of *text* in type of *size* so that each fits into *room*.

    A line ends between words, or inside of one that is wider than a line. What the font lacks is escaped.
    """
    weight = "bold" if bold else "normal"
    words = [
        "".join(c if _advance(c, weight) is not None else ascii(c)[1:-1] for c in printable(word))
        for word in text.split()
    ]

    def fits(line: str) -> bool:
        return text_width(line, size, weight) <= room

    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".lstrip()
        if fits(longer):
            lines[-1] = longer
            continue
        lines += [word] if lines[-1] else []
        lines[-1] = word
        while not fits(lines[-1]):
            rest = lines[-1]
            end = max((n for n in range(1, len(rest)) if fits(rest[:n])), default=1)
            lines[-1:] = [rest[:end], rest[end:]]
    return lines


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Return how wide *text* is that the font has, without what kerning takes off it."""
    return size * sum(_advance(c, weight) or 0.0 for c in text)


@cache
def _advance(character: str, weight: str) -> float | None:
    """Return the width of a character in sizes of type; None where the font lacks it."""
    font = get_font(findfont(FontProperties(weight=weight)))
    if not font.get_char_index(ord(character)):
        return None
    font.set_size(100.0, 72.0)
    return float(font.load_char(ord(character), flags=LoadFlags.NO_HINTING).linearHoriAdvance) / 65536 / 100


def _grid(n: int, room: float) -> tuple[int, int, float]:
    """Return rows, columns and the width of a panel: rows of nearly equal length, five panels at most."""
    most = max(1, min(MOST_COLUMNS, int((room + GAP) / (SMALLEST_PANEL + GAP))))
    rows = math.ceil(n / most)
    columns = math.ceil(n / rows)
    return rows, columns, (room - GAP * (columns - 1)) / columns


def powers_of(tps: Iterable[float], room: float) -> tuple[int, int, list[int]]:
    """Return the powers of two around 1 and all of *tps*, and those that are labelled in *room*."""
    exponents = [math.log2(value) for value in tps]
    low, high = min(0, math.floor(min(exponents))), max(1, math.ceil(max(exponents)))
    stride = math.ceil((high - low + 1) * TICK_ROOM / room)
    return low, high, [exponent for exponent in range(low, high + 1) if exponent % stride == 0]


def _axes(axes: Axes, curves: Curves, room: float, *, left: bool, lowest: bool) -> None:
    low, high, shown = powers_of((spot.tps for _, spot in curves.points), room)
    axes.set_xscale("log", base=2)
    inset = 0.04 * (high - low)
    axes.set_xlim(2 ** (low - inset), 2 ** (high + inset))
    axes.set_xticks([2.0**e for e in shown], [str(2**e) if e >= 0 else f"1/{2**-e}" for e in shown])
    axes.minorticks_off()
    axes.set_ylim(-4, 104)
    axes.set_yticks(PERCENTS)
    axes.tick_params(labelsize=SMALL, labelleft=left, labelbottom=lowest, length=0, pad=2)
    axes.grid(visible=True)


def _draw(axes: Axes, spots: Sequence[Spot], style: Style, shade: float, name: str) -> None:
    """Draw the points of a line: a band of opacity *shade* where neighbours have intervals, else whiskers."""
    if not spots:
        return
    for known, together in groupby(spots, key=lambda spot: spot.interval is not None):
        if not known:
            continue
        ends = [
            (spot.tps, 100 * i.low, 100 * i.high) for spot in together if (i := spot.interval) is not None
        ]
        xs, lows, highs = (list(values) for values in zip(*ends, strict=True))
        if len(ends) > 1:
            axes.fill_between(xs, lows, highs, color=style.colour, alpha=shade, linewidth=0, zorder=1.5)
        else:
            axes.vlines(xs, lows, highs, color=style.colour, linewidth=0.6, zorder=1.5)
    (drawn,) = axes.plot([spot.tps for spot in spots], [spot.percent for spot in spots], **_look(style))
    drawn.set_gid(name)
    drawn.set_clip_on(False)


def _look(style: Style) -> dict[str, Any]:
    """Return how matplotlib draws *style*; a filled mark has a white edge, so that marks part."""
    return {
        "color": style.colour,
        "linewidth": 0.9,
        "linestyle": (0, style.dash) if style.dash else "-",
        "marker": style.marker,
        "markersize": POINT * style.scale,
        "markerfacecolor": "white" if style.hollow else style.colour,
        "markeredgecolor": style.colour if style.hollow else "white",
        "markeredgewidth": 0.7 if style.hollow else 0.3,
        "zorder": 2,
    }


def _legend(figure: Figure, lines: Sequence[Line], styles: Sequence[Style], room: float) -> Any:
    """Return the legend, in as many columns as fit, for the place of its upper left corner."""
    sample, gap, between = 2.8, 0.5, 1.0  # in sizes of type, as matplotlib counts them
    text_room = room - (sample + gap) * SIZE
    names = ["\n".join(wrapped(line.identity.label, SIZE, text_room)) for line in lines]
    widest = max(text_width(part, SIZE) for name in names for part in name.split("\n"))
    entry = (sample + gap + between) * SIZE + widest
    return figure.legend(
        [Line2D([], [], **_look(style)) for style in styles],
        names,
        loc="upper left",
        ncols=max(1, min(len(lines), int((room + between * SIZE) / entry))),
        fontsize=SIZE,
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        handlelength=sample,
        handletextpad=gap,
        columnspacing=between,
        labelspacing=0.3,
    )


def _described(svg: bytes, curves: Curves) -> bytes:
    """Return *svg* with a description and the words of every point, for screen readers and the mouse."""
    for prefix, space in (
        ("", SVG),
        ("xlink", "http://www.w3.org/1999/xlink"),
        ("rdf", "http://www.w3.org/1999/02/22-rdf-syntax-ns#"),
        ("dc", "http://purl.org/dc/elements/1.1/"),
        ("cc", "http://creativecommons.org/ns#"),
    ):
        ET.register_namespace(prefix, space)
    root = ET.fromstring(svg)
    root.attrib |= {"role": "img", "aria-labelledby": "title desc"}
    title = root[0]
    assert title.tag == f"{{{SVG}}}title", "matplotlib puts the title first"
    title.set("id", "title")
    described = ET.Element(f"{{{SVG}}}desc", id="desc")
    described.text = _plain(curves.description)
    root.insert(1, described)
    groups = {group.get("id"): group for group in root.iter(f"{{{SVG}}}g")}
    for place, panel in enumerate(curves.panels):
        for number, line in enumerate(curves.lines):
            if spots := line.of(panel):
                marks = groups[f"points-{place}-{number}"].iter(f"{{{SVG}}}use")
                for mark, spot in zip(marks, spots, strict=True):
                    ET.SubElement(mark, f"{{{SVG}}}title").text = _plain(spot.text(line.identity.label))
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _plain(text: str) -> str:
    """Return *text* with what XML cannot hold, and what could steer a terminal, as escapes."""
    return re.sub("[\ufffe\uffff]", lambda found: ascii(found[0])[1:-1], printable(text))
