"""A comparison as Markdown, LaTeX (booktabs) or one HTML page: the best in bold, the second underlined."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType

from pb_plugin.export.latex import escaped
from pb_plugin.printable import printable
from pb_plugin.report.comparison.gathered import Comparison
from pb_plugin.report.comparison.tables import BEST, SECOND, Entry, Line, Table
from pb_plugin.report.comparison.text import (
    RATE_COLUMNS,
    THOUGHT_COLUMNS,
    THOUGHT_EXPLANATION,
    THOUGHT_TITLE,
    interval_text,
    kinds_text,
    rate_text,
    thought_row,
    value_text,
)

TITLE = "Comparison of models"


def _with_interval(entry: Entry, value: str, interval: Callable[[str], str]) -> str:
    text = interval_text(entry.interval)
    return f"{value} {interval(text)}" if text else value


def _rates(line: Line) -> list[str]:
    return [rate_text(line), kinds_text(line)]


# Markdown


def markdown(found: Comparison) -> str:
    """Return the comparison as Markdown, a table each."""
    parts = [f"## {TITLE}", ""]
    for table in found.tables:
        titles = [f"{c.group} {c.title}".strip() for c in table.columns]
        rows = [
            [_plain(line.label), *map(_markdown_entry, line.entries), *_rates(line)] for line in table.lines
        ]
        parts += [*_pipes(table.title, [*titles, *RATE_COLUMNS], rows), ""]
    if found.thoughts:
        rows = [[_plain(text) for text in thought_row(thought)] for thought in found.thoughts]
        parts += [*_pipes(THOUGHT_TITLE, THOUGHT_COLUMNS[1:], rows), "", f"{THOUGHT_EXPLANATION}.", ""]
    return "\n".join([*parts, *(f"- {_plain(text)}" for text in found.lines_below), ""])


def _plain(text: str) -> str:
    """Return *text* so that no letter of it is markup."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in printable(text))


def _pipes(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {title} | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def _markdown_entry(entry: Entry) -> str:
    marks = {BEST: "**{}**", SECOND: "<u>{}</u>", "": "{}"}
    return _with_interval(entry, marks[entry.rank].format(value_text(entry)), lambda text: text)


# LaTeX


def latex(found: Comparison) -> str:
    r"""Return the comparison as ``tabular`` environments, the best as ``\textbf``."""
    parts = [r"% needs \usepackage{booktabs}", *(f"% {printable(text)}" for text in found.lines_below), ""]
    for table in found.tables:
        titles = [[escaped(c.title) for c in table.columns] + [*RATE_COLUMNS]]
        rows = [
            [escaped(line.label), *map(_latex_entry, line.entries), *_rates(line)] for line in table.lines
        ]
        parts += _tabular(table.title, _latex_groups(table), titles[0], rows)
    if found.thoughts:
        rows = [[escaped(text) for text in thought_row(thought)] for thought in found.thoughts]
        parts += _tabular(THOUGHT_TITLE, None, [escaped(text) for text in THOUGHT_COLUMNS[1:]], rows)
    return "\n".join(parts)


def _tabular(
    title: str, groups: str | None, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> list[str]:
    return [
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
        *([] if groups is None else [groups]),
        rf"{' & '.join([escaped(title), *columns])} \\",
        r"\midrule",
        *(rf"{' & '.join(row)} \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        "",
    ]


def _latex_groups(table: Table) -> str | None:
    spans = [
        rf"\multicolumn{{{len(list(same))}}}{{c}}{{{escaped(group)}}}"
        for group, same in groupby(column.group for column in table.columns)
    ]
    return rf" & {' & '.join(spans)} & & \\" if any(c.group for c in table.columns) else None


def _latex_entry(entry: Entry) -> str:
    value = "--" if entry.value is None else value_text(entry)
    marks = {BEST: r"\textbf{%s}", SECOND: r"\underline{%s}", "": "%s"}
    return _with_interval(entry, marks[entry.rank] % value, lambda text: rf"{{\scriptsize {text}}}")


# HTML

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 90rem; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1.5rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; }
th, td { padding: .25rem .6rem; text-align: right; vertical-align: top; }
tbody th, thead th:first-child { text-align: left; font-weight: normal; }
thead { border-top: 2px solid; border-bottom: 1px solid; }
tbody { border-bottom: 2px solid; }
tr.reference { font-style: italic; }
.best { font-weight: 700; }
.second { text-decoration: underline; }
small { display: block; opacity: .75; }
@media (prefers-color-scheme: dark) { body { background: #16181b; color: #e8e8e8; } }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(found: Comparison) -> str:
    """Return the comparison as one HTML file that loads nothing and runs nothing."""
    body = [f"<h1>{TITLE}</h1>", *map(_html_table, found.tables)]
    if found.thoughts:
        rows = [
            f'<tr><th scope="row">{_safe(first)}</th>{"".join(f"<td>{_safe(one)}</td>" for one in rest)}</tr>'
            for first, *rest in map(thought_row, found.thoughts)
        ]
        head = "".join(f'<th scope="col">{_safe(text)}</th>' for text in THOUGHT_COLUMNS)
        body += [_html(THOUGHT_TITLE, f"<tr>{head}</tr>", rows), f"<p>{THOUGHT_EXPLANATION}.</p>"]
    body += [f"<ul>{''.join(f'<li>{_safe(text)}</li>' for text in [*found.lines_below, *found.runs])}</ul>"]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{TITLE}</title><style>{_STYLE}</style></head><body>",
            *body,
            "</body></html>",
            "",
        ]
    )


def _safe(text: str) -> str:
    return html.escape(printable(text))


def _html(title: str, head: str, rows: Sequence[str]) -> str:
    return (
        f'<div class="wide"><table><caption>{_safe(title)}</caption><thead>{head}</thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _html_table(table: Table) -> str:
    titles = [c.title for c in table.columns] + [*RATE_COLUMNS]
    head = '<tr><th scope="col"></th>' + "".join(f'<th scope="col">{_safe(text)}</th>' for text in titles)
    if any(column.group for column in table.columns):
        groups = [(group, len(list(same))) for group, same in groupby(c.group for c in table.columns)]
        above = "".join(f'<th scope="colgroup" colspan="{n}">{_safe(group)}</th>' for group, n in groups)
        head = f'<tr><td></td>{above}<td colspan="2"></td></tr>{head}'
    return _html(table.title, f"{head}</tr>", [_html_line(line) for line in table.lines])


def _html_line(line: Line) -> str:
    entries = "".join(f"<td>{_html_entry(entry)}</td>" for entry in line.entries)
    rates = "".join(f"<td>{_safe(text)}</td>" for text in _rates(line))
    kind = ' class="reference"' if line.is_reference else ""
    return f'<tr{kind}><th scope="row">{_safe(line.label)}</th>{entries}{rates}</tr>'


def _html_entry(entry: Entry) -> str:
    value = value_text(entry)
    marked = f'<span class="{entry.rank}">{value}</span>' if entry.rank else value
    return _with_interval(entry, marked, lambda text: f"<small>{text}</small>")


FORMATS: Mapping[str, Callable[[Comparison], str]] = MappingProxyType(
    {"markdown": markdown, "latex": latex, "html": page}
)
"""Option of ``pb report --layout comparison`` that names a file -> what is written to it."""
