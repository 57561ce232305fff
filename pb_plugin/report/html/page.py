"""``pb report --html``: one file with everything in it, which opens from a disk without a network.

The plots are drawn by the page's own script as SVG. Vega-Altair with vl-convert was the candidate: its
libraries would be in every report, need a second build (the AST interpreter) under a policy without
``unsafe-eval``, and have no PBx that is read off at a movable line; what is drawn here is a line, a band and
a whisker.

What others wrote (answers, task names, file names) reaches the page in two ways only. The template escapes
it; and the data are JSON, compressed and base64, which the script shows through ``textContent``. The policy
of the page runs the one script whose hash it names, loads nothing and sends nothing. Characters that reorder
or hide text are written as escapes (`pb_plugin.printable`).
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pb_plugin.gates.judge import Verdict
from pb_plugin.printable import printable
from pb_plugin.report.html.numbers import gate_rows, numbers_of
from pb_plugin.report.html.provenance import asked_of, citations, keys_of, missing_of, versions
from pb_plugin.report.html.samples import Before, Shown, chosen_samples, shown_cells, texts_of
from pb_plugin.report.stored import StoredReport
from pb_plugin.report.terminal import measured_lines

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("base.js", "chart.js", "tables.js", "analyses.js", "samples.js", "trace.js", "live.js", "main.js")

MOST_BYTES = 12_000_000
"""Of the compressed samples, so that a whole file stays below 15 MB; above it a subset is shown."""


def write_html(
    report: StoredReport,
    out: Path,
    *,
    verdicts: Sequence[Verdict] | None = None,
    folders: Mapping[str, Path] | None = None,
    before: Before | None = None,
    most_bytes: int = MOST_BYTES,
) -> dict[str, Any]:
    """Write the page of *report* to *out*, whole or not at all, and return what it holds.

    Args:
        report: The run.
        out: The file; one that is there is replaced.
        verdicts: Judged gates; None where nobody judged any, as in a stored run.
        folders: Folder of the tokenizer by model, where the package has none.
        before: What an earlier run answered, or None.
        most_bytes: Of the compressed samples, above which a subset is shown.
    """
    text, held = page(report, verdicts=verdicts, folders=folders or {}, before=before, most_bytes=most_bytes)
    unfinished = out.with_name(f"{out.name}.part")
    try:
        unfinished.write_text(text, encoding="utf-8", newline="\n")
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    return {"file": str(out), "bytes": len(text.encode()), **held}


def held_line(held: Mapping[str, Any]) -> str:
    """Return what `write_html` did, in one line."""
    n_bytes = held["bytes"]
    size = f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.0f} kB"
    return f"{held['file']}: {size}, {held['samples_shown']} of {held['samples']} results with their texts"


def page(
    report: StoredReport,
    *,
    verdicts: Sequence[Verdict] | None,
    folders: Mapping[str, Path],
    before: Before | None,
    most_bytes: int,
    live: bool = False,
) -> tuple[str, dict[str, Any]]:
    """Return the page as text, and how many samples it shows of how many there are.

    A *live* one asks where it came from for newer numbers, and may do nothing else over the network.
    """
    import jinja2
    from markupsafe import Markup

    cells = shown_cells(report)
    samples, held = _packed_samples(report, cells, folders, before, most_bytes)
    script = "(() => {\n" + "\n".join(_asset(name) for name in SCRIPTS) + "\n})();"
    style = _asset("page.css")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(_asset("page.html.j2"))
    texts = {
        "title": f"ParallelBench report {report.path.stem}",
        "gates": None if verdicts is None else gate_rows(verdicts),
        "measured": _measured(report),
        "missing": missing_of(report),
        "notes": [*report.run.notes, *report.run.remote_code_lines],
        "held": held,
        "asked": asked_of(report),
        "versions": versions(),
        "keys": keys_of(record for cell in cells for record in cell.by_sample.values()),
        "citations": citations(report),
    }
    text = template.render(
        **_safe(texts),
        policy=_policy(script, style, live=live),
        live=live,
        script=Markup(script),
        style=Markup(style),
        numbers=Markup(packed(numbers_of(report))),
        samples=Markup(samples),
    )
    return text, held


def _packed_samples(
    report: StoredReport,
    cells: Sequence[Shown],
    folders: Mapping[str, Path],
    before: Before | None,
    most_bytes: int,
) -> tuple[str, dict[str, Any]]:
    """Return the samples as `packed`, fewer and fewer of each task until they fit."""
    n_all = sum(len(cell.by_sample) for cell in cells)
    most: int | None = None
    while True:
        chosen = chosen_samples(cells, most)
        text = packed(texts_of(report, cells, chosen, folders, before))
        n = sum(len(set(chosen[cell.cell.asked.task]) & cell.by_sample.keys()) for cell in cells)
        longest = max(map(len, chosen.values()), default=0)
        if len(text) <= most_bytes or most == 1:
            return text, {"samples_shown": n, "samples": n_all}
        share = most_bytes / len(text)
        most = max(1, int(min(longest if most is None else most, longest) * min(share, 0.8)))


def packed(data: Any) -> str:
    """Return *data* as a small JSON object that holds it compressed; no character of it means HTML."""
    plain = json.dumps(_safe(data), separators=(",", ":"), allow_nan=False).encode()
    squeezed = base64.b64encode(gzip.compress(plain, 9, mtime=0)).decode("ascii")
    return json.dumps({"encoding": "gzip+base64", "data": squeezed})


def _safe(data: Any) -> Any:
    """Return *data* with every text as `printable` writes it."""
    if isinstance(data, str):
        return printable(data)
    if isinstance(data, Mapping):
        return {_safe(key): _safe(value) for key, value in data.items()}
    return [_safe(value) for value in data] if isinstance(data, list | tuple) else data


def _measured(report: StoredReport) -> list[str]:
    cells, curves = report.summary.cells, report.summary.curves
    decoded, failed = sum(cell.n for cell in cells), sum(cell.n_failed for cell in cells)
    planned = sum(cell.n_planned for cell in cells)
    models = dict.fromkeys(curve.identity.model for curve in curves)
    lines = [
        f"{len(dict.fromkeys(cell.task for cell in cells))} tasks, {len(models)} models "
        f"({', '.join(models)}), {len(curves)} curves, {len(cells)} cells",
        f"{decoded} of {planned} planned samples decoded, {failed} failed",
    ]
    lines += [] if report.batch_check is None else [report.batch_check.line]
    return [*lines, *measured_lines(report.measured)]


def _policy(script: str, style: str, *, live: bool) -> str:
    """Return the Content-Security-Policy: this script, this style, nothing from anywhere."""
    return (
        ("connect-src 'self'; " if live else "")
        + f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8").strip()
