"""``pb merge``: the stores of several machines or jobs become one, from which a run prints everything."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pb_plugin.cli.verb import Outcome, Verb, shown
from pb_plugin.records.merging import Merged, merge


def to_json(merged: Merged) -> dict[str, Any]:
    """Return *merged* as plain data."""
    before, after = merged.results
    return {
        "into": str(merged.into),
        "stores": [str(store) for store in merged.stores],
        "results": after,
        "new": after - before,
        "copied": merged.copied,
        "conflicts": [
            {
                "decode_key": conflict.decode_key,
                "differs": list(conflict.differs),
                "first": str(conflict.first),
                "other": str(conflict.other),
            }
            for conflict in merged.conflicts
        ],
    }


def lines(merged: Merged) -> list[str]:
    """Return *merged* for people."""
    before, after = merged.results
    n = len(merged.stores)
    found = [
        f"{after} results in {merged.into}, {after - before} of them new, from {n} store{'s' * (n > 1)} "
        f"({merged.copied} files copied)"
    ]
    return [*found, *(f"conflict: {conflict.message}" for conflict in merged.conflicts)]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "stores", metavar="STORE", type=Path, nargs="+", help="folders of records (--pb-store)"
    )
    parser.add_argument(
        "--into", metavar="DIR", type=Path, default=Path(".pb"), help="the store to add to; default: .pb"
    )


def _run(arguments: argparse.Namespace) -> Outcome:
    merged = merge(arguments.stores, arguments.into)
    return shown(arguments, to_json(merged), lambda _: lines(merged)), 1 if merged.conflicts else 0


VERB = Verb(
    what="join the stores of several jobs into one",
    example="merge shards/* --into .pb",
    arguments=_arguments,
    run=_run,
)
