"""All methods side by side on `ideal` and `tiny`: ``python bench_tests/comparison.py STORE``.

With ``--write docs/methods.md`` the table goes into that page. The suite ``core`` is decoded with every
method at its default sweep into STORE; what is there is not decoded again. ``pc_sampler`` needs a table of
token counts and gets that of the README, as nothing larger is at hand offline.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pb_plugin.analyses.oracle import oracle
from pb_plugin.cli import main as pb
from pb_plugin.planning.registry import BUILTIN, METHODS
from pb_plugin.report.stored import read_report
from pb_plugin.report.terminal import HEADLINE, pbx_text, range_text
from pb_plugin.results.differences import comparisons
from pb_plugin.results.suites import SUITES
from pb_plugin.results.summary import Curve, Summary

MODELS = ("ideal", "tiny")
SUITE, COUNT, WORK = "core", "canvas", "per_canvas"
SAMPLES = 25
MARKS = ("<!-- comparison -->\n", "<!-- end of comparison -->\n")
ROOT = Path(__file__).resolve().parents[1]
HEADER = (
    "method",
    *(f"{what} {model}" for model in MODELS for what in ("PB80", "95 %", "group", "gap")),
    "work",
)


def decode(store: Path, samples: int) -> None:
    """Run the suite, every method at its default sweep on both models, into *store*.

    Raises:
        RuntimeError: pytest did not end well.
    """
    store.mkdir(parents=True, exist_ok=True)
    counts = store / "counts.json"
    if not counts.exists() and pb(["frequencies", str(counts), str(ROOT / "README.md")]):
        raise RuntimeError(f"token counts must be written to {counts}, got none; see above")
    chosen = [f"{name}:table={counts}" if name == "pc_sampler" else name for name in BUILTIN[METHODS]]
    command = [sys.executable, "-m", "pytest", str(ROOT / "bench_tests"), "-q", "--pb-store", str(store)]
    command += ["--samples", str(samples), *(part for model in MODELS for part in ("--model", model))]
    command += [part for task in SUITES[SUITE] for part in ("--task", task)]
    command += [part for method in chosen for part in ("--unmasking", method)]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code:
        raise RuntimeError(f"the run must pass to be shown, got exit code {code}; see what pytest says")


def table(summary: Summary) -> str:
    """Return the table of a run: methods down, both models across.

    ``gap`` is how much lower the score is than that of the oracle over ``threshold``, in percent at the
    oracle's tokens per step. ``work`` is PB80 by evaluated canvases on `tiny`, else on `ideal`, where it is
    not PB80.
    """
    gaps = {row["curve"]: row["gap_in_score"] for row in oracle(summary).rows if row["tasks"] == SUITE}
    letters = {label: text for c in comparisons(summary, SUITE) for label, text in c.letters.items()}
    curves = {(curve.identity.model, curve.identity.method): curve for curve in summary.curves}
    methods = dict.fromkeys(method for _, method in curves)
    lines = [HEADER, ("---",) * len(HEADER)]
    for method in methods:
        cells: list[str] = []
        for model in MODELS:
            cells += _cells(curves.get((model, method)), gaps, letters)
        lines.append((method, *cells, _work([curves.get((model, method)) for model in MODELS[::-1]])))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(curve: Curve | None, gaps: Mapping[str, float | None], letters: Mapping[str, str]) -> list[str]:
    if curve is None or curve.suites[SUITE].reason is not None:
        return ["-"] * 4
    found, label = curve.suites[SUITE], curve.identity.label
    gap = gaps.get(label)
    return [
        pbx_text(found.pbx(HEADLINE, COUNT)),
        range_text(found.pbx_interval(HEADLINE, COUNT)),
        letters.get(label, "-"),
        "-" if gap is None else f"{gap:.1f}",
    ]


def _work(curves: Sequence[Curve | None]) -> str:
    for curve in curves:
        if curve is not None and curve.suites[SUITE].reason is None:
            by_canvas = curve.suites[SUITE].pbx(HEADLINE, WORK)
            return "" if by_canvas == curve.suites[SUITE].pbx(HEADLINE, COUNT) else pbx_text(by_canvas)
    return ""


def write(text: str, page: Path) -> None:
    """Put *text* between the marks of *page*.

    Raises:
        ValueError: The page has no marks.
    """
    begin, end = MARKS
    whole = page.read_text(encoding="utf-8")
    if whole.count(begin) != 1 or whole.count(end) != 1:
        raise ValueError(f"{page} must have the mark {begin.strip()} once, and its end; add them")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    page.write_text(pattern.sub(lambda _: begin + text + end, whole), encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    """Decode what is missing, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path, metavar="STORE", help="where results are kept")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="samples of a task")
    parser.add_argument(
        "--only-show", action="store_true", help="decode nothing, show the newest run of STORE"
    )
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    arguments = parser.parse_args(argv)
    if not arguments.only_show:
        decode(arguments.store.resolve(), arguments.samples)
    text = table(read_report(arguments.store, None).summary)
    print(text)
    if arguments.write:
        write(text, arguments.write)


if __name__ == "__main__":
    main()
