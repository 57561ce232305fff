"""``pb compare``: two runs or baselines, sample by sample: what fell, what rose, and what else differs."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from pb_plugin.cli.verb import Outcome, Verb, shown
from pb_plugin.comparing.baseline import load as load_baseline
from pb_plugin.comparing.comparison import COMMON, Changed, Comparison, compare
from pb_plugin.comparing.markdown import count_lines, drop_row, markdown
from pb_plugin.comparing.side import Side, side_of_store
from pb_plugin.planning.option_grammar import parse_float, parse_pbx
from pb_plugin.records.plain_files import plain_files
from pb_plugin.records.store import Store
from pb_plugin.report.terminal import table
from pb_plugin.results.run_file import FOLDER

MOST_SAMPLES = 20
"""Changed samples that the text lists; JSON has all."""


def read_side(text: str) -> Side:
    """Return what *text* names: a baseline file, a store (its newest run), or STORE@RUN.

    Raises:
        ValueError: It is none of these, or damaged.
    """
    path = Path(text)
    if path.is_file():
        return load_baseline(path)
    if path.is_dir():
        return side_of_store(path)
    folder, at, run = text.rpartition("@")
    if at and Path(folder).is_dir():
        return side_of_store(Path(folder), run)
    raise ValueError(
        f"a side must be a baseline file, a store, or STORE@RUN with a file of STORE/runs, got {text!r}; "
        "correct the path"
    )


def _sides(given: list[str]) -> tuple[Side, Side]:
    if len(given) == 2:
        return read_side(given[0]), read_side(given[1])
    store = Path(given[0] if given else ".pb")
    runs = plain_files(store / FOLDER, "*.json")
    if len(given) > 2 or len(runs) < 2:
        what = f"{len(given)} sides" if len(given) > 2 else f"{len(runs)} runs in {store}"
        raise ValueError(
            f"compare must have two sides, or a store with two runs (default .pb), got {what}; name both"
        )
    return side_of_store(store, runs[-2].name), side_of_store(store, runs[-1].name)


def lines(found: Comparison, samples: list[str]) -> list[str]:
    """Return the comparison for people."""
    differs = found.pairing.differs
    what = ", ".join(differs) if differs else "nothing"
    n = len(differs)
    out = [f"{found.before} -> {found.after}", f"{n} thing{'s' * (n != 1)} differ: {what}", ""]
    for curve in found.curves:
        if curve.problem is not None:
            out += [f"{curve.label}: not compared: {curve.problem}", ""]
            continue
        rows = [drop_row(drop) for drop in curve.drops]
        out += [*table([curve.label, "before", "after", "change", "95 %", "verdict"], rows), ""]
    out += [f"{COMMON} tasks: {', '.join(found.tasks)}", *count_lines(found)]
    for side, cells in (("first", found.pairing.only_before), ("second", found.pairing.only_after)):
        if cells:
            out.append(f"only on the {side} side, {len(cells)} cells: {cells[0]}{', ...' * (len(cells) > 1)}")
    return [*out, *samples]


def _sample_lines(found: Comparison, sides: tuple[Side, Side], task: str) -> list[str]:
    """Return every changed sample of *task* with both texts, where a store has them."""
    changed = [change for change in found.changed if change.task == task]
    known = Counter(change.task for change in found.changed)
    if not changed:
        raise ValueError(
            f"--samples must name a task with changed samples, got {task!r}; there are "
            f"{', '.join(f'{name} ({n})' for name, n in known.items()) or 'none'}"
        )
    stores = [None if side.store is None else Store(side.store).index() for side in sides]

    def texts(change: Changed) -> list[str]:
        found_texts = []
        for mark, index, key in zip("-+", stores, change.decode_keys, strict=True):
            record = None if index is None else index.get(key)
            found_texts.append(f"  {mark} {record.text!r}" if record else f"  {mark} (no text is stored)")
        return found_texts

    out = [""]
    for change in changed[:MOST_SAMPLES]:
        out.append(f"{task} {change.sample}, {change.setting}: {change.before:g} -> {change.after:g}")
        out += texts(change)
    more = len(changed) - MOST_SAMPLES
    return [*out, f"and {more} more (--json lists all)"] if more > 0 else out


def _models(pairs: list[str]) -> dict[str, str]:
    names = {}
    for text in pairs:
        one, equals, other = text.partition("=")
        if not (one and equals and other):
            raise ValueError(f"--pair must be MODEL=MODEL, got {text!r}; write llada=dream")
        names[one] = other
    return names


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sides",
        metavar="SIDE",
        nargs="*",
        help="two of: a store (its newest run), STORE@RUN, a baseline file; one store or none (.pb): its "
        "last two runs",
    )
    parser.add_argument("--at", metavar="PBX", default="PB80", help="the PBx to compare. Default: PB80")
    parser.add_argument("--margin", metavar="POINTS", default="1", help="points that may be lost. Default: 1")
    parser.add_argument(
        "--pair",
        metavar="A=B",
        action="append",
        default=[],
        help="compare model A of the first side with model B of the second; repeatable",
    )
    parser.add_argument(
        "--samples", metavar="TASK", help="list the changed samples of a task with their texts"
    )
    parser.add_argument("--markdown", action="store_true", help="a table for a pull request")


def _run(arguments: argparse.Namespace) -> Outcome:
    x, count = parse_pbx(arguments.at, name="--at")
    margin = parse_float(arguments.margin, name="--margin", low=0.0, high=100.0)
    sides = _sides(arguments.sides)
    found = compare(*sides, x=x, count=count, margin=margin, models=_models(arguments.pair))
    samples = [] if arguments.samples is None else _sample_lines(found, sides, arguments.samples)
    if arguments.markdown:
        return markdown(found), 0
    return shown(arguments, found.to_json(), lambda _: lines(found, samples)), 0


VERB = Verb(
    what="compare two runs or baselines sample by sample",
    example="compare before.json .pb",
    arguments=_arguments,
    run=_run,
)
