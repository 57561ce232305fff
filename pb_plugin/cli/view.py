"""``pb view``: the report of a run while it goes on, in the browser of this machine."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from threading import Thread

from pb_plugin.cli.verb import Outcome, Verb, shown
from pb_plugin.planning.option_grammar import parse_int
from pb_plugin.printable import printable
from pb_plugin.report.html.page import MOST_BYTES, page
from pb_plugin.report.html.target import check_jinja
from pb_plugin.report.stored import read_report
from pb_plugin.viewing.live import Live, run_going_on
from pb_plugin.viewing.server import Server

EVERY_S = 1.0
"""How often is looked whether the run has ended."""

GRACE_S = 5.0
"""How long the server stays after that, so that open pages hear of it."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", metavar="STORE", type=Path, help="the folder of records (--pb-store)")
    parser.add_argument(
        "--port", metavar="N", default="0", help="where to listen on 127.0.0.1. Default: a free port"
    )


def _run(arguments: argparse.Namespace) -> Outcome:
    check_jinja("pb view")
    port = parse_int(arguments.port, name="--port", minimum=0)
    going_on = run_going_on(arguments.store)
    if going_on is None:
        return _serve_report(arguments, port)
    live = Live(arguments.store, *going_on)
    with Server(port, {"/": live.page, "/live.json": live.json}) as server:
        _serve(server, f"{server.url} shows the run that is going on, and ends with it")
        while not live.ended:
            time.sleep(EVERY_S)
        time.sleep(GRACE_S)
        server.shutdown()
    data = {"store": str(arguments.store), "ended": True}
    return shown(arguments, data, lambda _: [f"the run has ended: pb report {arguments.store}"]), 0


def _serve_report(arguments: argparse.Namespace, port: int) -> Outcome:
    """Serve the newest finished run until the user stops it."""
    report = read_report(arguments.store, None)
    text, _ = page(report, verdicts=None, folders={}, before=None, most_bytes=MOST_BYTES)
    with Server(port, {"/": lambda: text}) as server:
        print(_line(f"{server.url} shows {report.path.name}; no run is going on. Ctrl-C ends it"), flush=True)
        server.serve_forever()
    return shown(arguments, {"store": str(arguments.store), "ended": True}, lambda _: []), 0


def _serve(server: Server, line: str) -> None:
    Thread(target=server.serve_forever, name="pb-view", daemon=True).start()
    print(_line(line), flush=True)


def _line(text: str) -> str:
    return printable(text, sys.stdout.encoding)


VERB = Verb(
    what="show a run in the browser while it goes on, on this machine only",
    example="view .pb",
    arguments=_arguments,
    run=_run,
)
