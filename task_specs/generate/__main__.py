"""``python -m task_specs.generate [--check]``: write the committed samples, or say which are stale."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from task_specs.generate.frozen import refresh

PACKAGE = Path(__file__).parents[1]


def main(arguments: Sequence[str], root: Path = PACKAGE) -> int:
    """Return the exit code: 1 where ``--check`` finds a file that its seed does not give.

    Args:
        arguments: The command line.
        root: The folder that holds ``specs`` and ``data``.
    """
    parser = argparse.ArgumentParser(prog="python -m task_specs.generate", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if something is out of date"
    )
    check = parser.parse_args(arguments).check
    stale = refresh(root, write=not check)
    for line in stale:
        print(line)
    print(f"{len(stale)} task(s) {'out of date' if check else 'written'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
