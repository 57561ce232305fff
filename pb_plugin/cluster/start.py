"""A script that starts a pytest session as pytest-xdist starts a worker: ``config.workerinput`` marks it.

Commands come through one pipe and messages go through another; what it prints is its own. It imports nothing
of ours before pytest has read its arguments: pytest warns of plugins that it finds imported.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

NOT_AGAIN = ("lf", "failedfirst", "newfirst", "stepwise")
"""Options that choose or sort items by what an earlier run left on this machine; ours are given."""


def main(arguments: Sequence[str]) -> int:
    """Run a session; *arguments*: descriptors of commands and messages, name, store, temporary folder."""
    from _pytest.config import _prepareconfig  # as pytest-xdist does: there is no public way

    worker, store, temporary = arguments[2:]
    with os.fdopen(int(arguments[0]), "rb") as commands, os.fdopen(int(arguments[1]), "wb") as messages:
        setup = json.loads(commands.readline())
        config: Any = _prepareconfig([*setup["args"], f"--pb-store={store}", f"--basetemp={temporary}"])
        for name in NOT_AGAIN:
            setattr(config.option, name, False)
        config.option.no_header = True
        config.workerinput = {
            "workerid": worker,
            "workercount": setup["n_workers"],
            "testrunuid": setup["run_id"],
            "mainargv": setup["args"],
            "pb_run": setup["run_id"],
        }
        config.workeroutput = {}

        from pb_plugin.cluster.inner import InnerRun

        run = InnerRun(config, setup["nodeids"], commands, messages)
        config.pluginmanager.register(run, "pb-inner")
        code = int(config.hook.pytest_cmdline_main(config=config))
        run.tell({"kind": "output", "data": config.workeroutput})
        return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
