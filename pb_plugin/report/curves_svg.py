"""The markup of a drawing: a panel per task, a line per model and method, a legend, a caption."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from pb_plugin.report.curves_layout import (
    GAP_X,
    LEFT,
    PERCENTS,
    PROSE_LETTER,
    Frame,
    Grid,
    text_width,
)
from pb_plugin.report.curves_style import Style, styles_of

TITLE_SIZE, SIZE, SMALL = 12.0, 11.0, 10.0
LEGEND_ROW, CAPTION_ROW, SAMPLE = 18.0, 15.0, 46.0
INK, GREY, FAINT = "#222222", "#777777", "#e4e4e4"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """One point: tokens per step, score in percent, ends of its interval in percent or None, its tooltip."""

    tps: float
    percent: float
    interval: tuple[float, float] | None
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One line of every panel: its marks by panel, in the order in which they are joined."""

    name: str
    model: str
    method: str
    marks: Mapping[str, tuple[Mark, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """All that is drawn; panels are named as they are titled."""

    title: str
    caption: str
    panels: tuple[str, ...]
    series: tuple[Series, ...]
    grid: Grid


def svg(picture: Picture) -> str:
    """Return *picture* as an SVG document; equal pictures give equal text.

    Raises:
        ValueError: There are more models or methods than can be told apart.
    """
    styles = styles_of([(series.model, series.method) for series in picture.series])
    grid = picture.grid
    body = [line for place in range(len(picture.panels)) for line in _panel(picture, styles, place)]
    axis = grid.bottom + 32
    body.append(_text("tokens per step", (LEFT + grid.right) / 2, axis, SIZE, text_anchor="middle"))
    middle = (grid.frame(0).top + grid.bottom) / 2
    turned = f"rotate(-90 16 {_n(middle)})"
    body.append(_text("score (%)", 16, middle, SIZE, transform=turned, text_anchor="middle"))
    legend, below = _legend(picture, styles, axis + 26)
    words = textwrap.wrap(_clean(picture.caption), int((grid.right - LEFT) / (PROSE_LETTER * SMALL)))
    body += legend
    body += [
        _text(line, LEFT, below + 10 + row * CAPTION_ROW, SMALL, fill="#555555")
        for row, line in enumerate(words)
    ]
    height = below + 10 + len(words) * CAPTION_ROW
    size = f'width="{_n(grid.width)}" height="{_n(height)}" viewBox="0 0 {_n(grid.width)} {_n(height)}"'
    font = "font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\""
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title desc" {font}>',
            f'<title id="title">{_escape(picture.title)}</title>',
            f'<desc id="desc">{_escape(_description(picture))}</desc>',
            _tag("rect", x="0", y="0", width="100%", height="100%", fill="#ffffff"),
            *body,
            "</svg>\n",
        ]
    )


def _polyline(style: Style, points: str) -> str:
    dash = {"stroke_dasharray": style.dash} if style.dash else {}
    line = {"fill": "none", "stroke": style.colour, "stroke_width": "1.5", "stroke_linejoin": "round"}
    return _tag("polyline", points=points, **line, **dash)


def _shape(style: Style, x: float, y: float) -> str:
    """Return the mark at a point; its outline is white where it is filled, so that marks part."""
    fill, edge, width = ("#ffffff", style.colour, "1.2") if style.hollow else (style.colour, "#ffffff", "0.6")
    place = f"translate({_n(x)} {_n(y)}) scale({_n(style.scale)})"
    return _tag("path", d=style.shape, transform=place, fill=fill, stroke=edge, stroke_width=width)


def _description(picture: Picture) -> str:
    names = ", ".join(series.name for series in picture.series)
    return f"Panels: {', '.join(picture.panels)}. Lines: {names}. {picture.caption}"


def _panel(picture: Picture, styles: list[Style], place: int) -> Iterator[str]:
    """Yield panel number *place*: axes, then all lines, all whiskers, and all points with their tooltips."""
    name, grid = picture.panels[place], picture.grid
    frame = grid.frame(place)
    yield '<g class="panel">'
    yield from _axes(frame, grid, place)
    title = frame.left + frame.width / 2
    yield _text(
        name, title, frame.top - 8, TITLE_SIZE, room=frame.width, text_anchor="middle", font_weight="bold"
    )
    styled = list(zip(picture.series, styles, strict=True))
    for series, style in styled:
        marks = series.marks[name]
        if len(marks) > 1:
            yield _polyline(style, " ".join(f"{_n(frame.x(m.tps))},{_n(frame.y(m.percent))}" for m in marks))
    points = [(m, style) for series, style in styled for m in series.marks[name]]
    for mark, style in points:
        yield from _whisker(mark, style, frame)
    for mark, style in points:
        yield _point(mark, style, frame)
    yield "</g>"


def _axes(frame: Frame, grid: Grid, place: int) -> Iterator[str]:
    right, bottom = frame.left + frame.width, frame.top + frame.height
    for tps, label in grid.ticks():
        x = frame.x(tps)
        yield _line(x, frame.top, x, bottom, FAINT)
        if grid.has_x_labels(place):
            yield _text(label, x, bottom + 14, SMALL, text_anchor="middle")
    for percent in PERCENTS:
        y = frame.y(percent)
        yield _line(frame.left, y, right, y, FAINT)
        if grid.has_y_labels(place):
            yield _text(str(percent), frame.left - 6, y + 3.5, SMALL, text_anchor="end")
    yield _tag(
        "rect",
        x=_n(frame.left),
        y=_n(frame.top),
        width=_n(frame.width),
        height=_n(frame.height),
        fill="none",
        stroke=GREY,
        stroke_width="0.8",
    )


def _whisker(mark: Mark, style: Style, frame: Frame) -> Iterator[str]:
    if mark.interval is not None:
        x, (low, high) = frame.x(mark.tps), mark.interval
        yield _line(x, frame.y(low), x, frame.y(high), style.colour, **{"class": "whisker"})


def _point(mark: Mark, style: Style, frame: Frame) -> str:
    shown = _shape(style, frame.x(mark.tps), frame.y(mark.percent))
    return f'<g class="point"><title>{_escape(mark.text)}</title>{shown}</g>'


def _legend(picture: Picture, styles: list[Style], top: float) -> tuple[list[str], float]:
    """Return an entry per line, column by column, and where the next row of text may stand."""
    room = picture.grid.right - LEFT
    widest = SAMPLE + max(text_width(series.name, SIZE) for series in picture.series) + GAP_X
    columns = max(1, min(len(picture.series), int((room + GAP_X) / widest)))
    rows = -(-len(picture.series) // columns)
    entries = []
    for place, (series, style) in enumerate(zip(picture.series, styles, strict=True)):
        column, row = divmod(place, rows)
        x, y = LEFT + column * min(widest, room), top + row * LEGEND_ROW
        sample = _polyline(style, f"{_n(x)},{_n(y)} {_n(x + SAMPLE - 8)},{_n(y)}") + _shape(
            style, x + (SAMPLE - 8) / 2, y
        )
        name = _text(series.name, x + SAMPLE, y + 4, SIZE, room=room - SAMPLE)
        entries.append(f'<g class="entry">{sample}{name}</g>')
    return entries, top + rows * LEGEND_ROW


def _text(text: str, x: float, y: float, size: float, *, room: float | None = None, **attributes: str) -> str:
    """Return a text; one that is likely to be wider than *room* is squeezed into it."""
    if room is not None and text_width(text, size) > room:
        attributes |= {"textLength": _n(room), "lengthAdjust": "spacingAndGlyphs"}
    settings = {"fill": INK, **attributes}
    return _tag("text", text, x=_n(x), y=_n(y), font_size=_n(size), **settings)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, **more: str) -> str:
    return _tag("line", x1=_n(x1), y1=_n(y1), x2=_n(x2), y2=_n(y2), stroke=colour, stroke_width="0.8", **more)


def _tag(element: str, content: str = "", /, **attributes: str) -> str:
    shown = "".join(
        f" {name.replace('_', '-')}={quoteattr(_clean(value))}" for name, value in attributes.items()
    )
    return f"<{element}{shown}>{_escape(content)}</{element}>" if content else f"<{element}{shown}/>"


def _escape(text: str) -> str:
    return escape(_clean(text))


def _clean(text: str) -> str:
    """Return *text* with what XML cannot hold shown as the replacement character."""
    return _NOT_XML.sub("\ufffd", text)


def _n(value: float) -> str:
    """Return *value* to a hundredth of a pixel, without needless zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
