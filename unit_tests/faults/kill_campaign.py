"""Kills runs with SIGKILL at random moments and compares the final report with that of an undisturbed run.

``python -m unit_tests.faults.kill_campaign --kills 100`` is the long form for runs in one process, each a
fork of this one, so that a kill takes half a second; ``-n 2`` for runs with two workers, where also a worker
is killed beneath a run; ``--engine ray`` for runs on a Ray cluster of two machines, where also a session, an
actor or a machine is.
Slow tests make the short forms.

A run that was killed is started again. One that lost something else has to come to its end by itself, with
exit code 0; where so many kills met one row or item that docs/faults.md and docs/cluster.md promise to leave
it out, with exit code 1 and the reason. That is counted and said, and the same command then makes it good.
"""

import argparse
import os
import random
import re
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import psutil

from unit_tests.faults.campaign_runs import (
    Forked,
    difference,
    folder_of,
    kill_group,
    n_records,
    processes,
    report,
    spawned,
)

ROOT = Path(__file__).resolve().parents[2]
STILL_S = 300.0
"""A run that has neither stored nor said anything for so long hangs."""

GONE_S = 60.0
"""What a run that is over has started is gone after so long."""

LEFT_OUT = {
    r"failed \(worker_crash\).*it stopped the decoding \d+ times, the last time alone": 2,
    r"worker_crash: the worker that ran it ended without a word": 3,
}
"""The reasons to leave something out, and how many kills beneath a run each takes at least."""


def kill_run(run):
    """Kill the run itself."""
    kill_group(run)
    return True


@dataclass(frozen=True)
class Way:
    """A way to run.

    Args:
        start: Starts a run in a folder, with options.
        options: They.
        victims: By name what is killed in turn; each returns whether there was one.
        left: Returns which processes of finished runs are still there.
        files: Where workers write what a worker that was killed leaves there until the next run.
    """

    start: Callable[[Path, list[str]], Any]
    options: list[str]
    victims: dict[str, Callable[[Any], bool]]
    left: Callable[[], list[Any]] = list
    files: Path | None = None


COPY = ["--task", "copy", "--k", "1,4"]
ONE_PROCESS = Way(Forked, COPY, {"run": kill_run})


def with_workers(number, seed):
    """Return the way to run with so many processes of pytest-xdist."""
    chance = random.Random(seed)

    def kill_worker(run):
        """Kill a worker; return whether there was one.

        One whose execnet has no thread yet is left alone: pytest-xdist does not survive its end.
        """
        try:
            found = [worker for worker in psutil.Process(run.pid).children() if worker.num_threads() > 1]
            chance.choice(found).kill()
        except (psutil.NoSuchProcess, IndexError):
            return False
        return True

    return Way(spawned, [*COPY, "-n", str(number)], {"run": kill_run, "worker": kill_worker})


@contextmanager
def on_ray(seed, parent):
    """Give the way to run on a cluster of Ray, which writes below *parent*."""
    from unit_tests.faults.ray_cluster import two_machines

    folder = parent / "machines"
    folder.mkdir()
    with two_machines(seed, folder) as cluster:
        options = ["--task", "copy,sort", "--k", "1,2,4", "--pb-batch", "4", "--pb-engine=ray"]
        yield Way(
            spawned,
            [*options, f"--pb-ray-address={cluster.address}"],
            {
                "run": kill_run,
                "session": cluster.kill_session,
                "actor": cluster.kill_actor,
                "machine": cluster.kill_machine,
            },
            left=cluster.actors,
            files=folder,
        )


@contextmanager
def ended(run):
    """Let *run* not outlive an error of this process, which it does not hear of."""
    try:
        yield
    except BaseException:
        kill_group(run)
        raise


def until_end(run, folder, waiting, moments, longest):
    """Kill the first of *waiting* at a random moment, then the next, until *run* ends.

    Returns: its exit code and the names of what was killed.
    """
    killed = Counter()
    moment = time.monotonic() + moments.uniform(0.0, 0.9 * longest)
    seen, since = -1, time.monotonic()
    with ended(run):
        while (code := run.poll()) is None:
            now = time.monotonic()
            if waiting and now >= moment:
                name, kill = waiting[0]
                if kill(run):
                    killed[name] += 1
                    waiting.pop(0)
                moment = time.monotonic() + moments.uniform(0.0, 0.9 * longest)
            if (size := n_written(folder)) != seen:
                seen, since = size, now
            assert now - since < STILL_S, f"{folder}: it hangs, after {dict(killed)}\n{said(folder)}"
            time.sleep(0.005)
    return code, killed


def n_written(folder):
    """Return how much runs have stored and said."""
    return sum(path.stat().st_size for path in [*folder.glob("store/*.jsonl"), *folder.glob("output.txt")])


def said(folder):
    """Return what runs have said, the last one last."""
    return "".join(path.read_text("utf-8", errors="replace") for path in folder.glob("output.txt"))


def named(text, n_killed):
    """Return how many rows or items a run left out, of which it says why, as promised after so many kills."""
    lines = [line for line in text.splitlines() if line.startswith("failed, ")]
    assert lines, text
    for line in lines:
        needed = [kills for reason, kills in LEFT_OUT.items() if re.search(reason, line)]
        assert needed, f"no promise allows this: {line}\n{text}"
        assert n_killed >= max(needed), f"after {n_killed} kills: {line}\n{text}"
    return len(lines)


def check(folder, expected, way):
    """Hold what a run that came to its end leaves behind against an undisturbed one."""
    found = report(folder)
    assert found == expected, f"{folder}: {difference(expected, found)}"
    results, keys = n_records(folder)
    assert results == keys, f"{folder}: {results} records of {keys} results: decoded twice"
    assert not list((folder / "store").glob("at_work/*")), f"{folder}: something is left at work"
    until = time.monotonic() + GONE_S
    while left := [*processes(folder), *way.left()]:
        assert time.monotonic() < until, f"{folder}: left over are {left}"
        time.sleep(0.05)


def campaign(kills, way, seed, parent):
    """Kill *kills* times; return a line that says how often what, in how many runs over how many stores."""
    whole = folder_of(parent, "whole")
    began = time.monotonic()
    code, _ = until_end(way.start(whole, way.options), whole, [], random, 0.0)
    assert code == 0, said(whole)
    longest = time.monotonic() - began
    expected, moments = report(whole), random.Random(seed)
    check(whole, expected, way)
    waiting = list(islice(cycle(way.victims.items()), kills))
    moments.shuffle(waiting)
    killed, stores, runs, left_out = Counter(), 0, 0, 0
    folder = None
    while waiting or folder is not None:
        if folder is None:
            stores += 1
            folder = folder_of(parent, f"round{stores}")
        said_before = said(folder)
        runs += 1
        code, of_run = until_end(way.start(folder, way.options), folder, waiting, moments, longest)
        killed += of_run
        if code == -signal.SIGKILL and of_run["run"]:
            continue
        assert code in (0, 1), f"{folder}: exit code {code} after {dict(of_run)}\n{said(folder)}"
        if code == 1:
            left_out += named(said(folder)[len(said_before) :], of_run.total())
            continue
        check(folder, expected, way)
        folder = None
    code, _ = until_end(way.start(whole, way.options), whole, [], moments, 0.0)
    assert code == 0, said(whole)
    check(whole, expected, way)
    files = list(way.files.glob("pb-*")) if way.files else []
    assert not files, f"no run has taken away {files}"
    what = ", ".join(f"{name} {killed[name]}" for name in way.victims)
    return (
        f"{killed.total()} kills ({what}) in {runs} runs over {stores} stores, seed {seed} ({longest:.1f} s "
        "undisturbed): every report is that of an undisturbed run, no result decoded twice, nothing left; "
        f"left out as promised, then made good: {left_out}"
    )


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="kill only this: run, worker, session, actor or machine")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("-n", dest="workers", type=int, default=0)
    ways.add_argument("--engine", choices=["ray"])
    asked = parser.parse_args(argv)
    os.environ["PYTHONPATH"] = str(ROOT)
    import pytest  # noqa: F401  (a fork has it then)
    import torch

    import pb_plugin.controller
    import pb_plugin.report.terminal
    import pb_plugin.session.session  # noqa: F401

    torch.set_num_threads(1)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        parent = Path(name)
        way = with_workers(asked.workers, asked.seed) if asked.workers else ONE_PROCESS
        if asked.engine == "ray":
            way = stack.enter_context(on_ray(asked.seed, parent))
        if asked.only is not None:
            if asked.only not in way.victims:
                parser.error(f"--only must be one of {', '.join(way.victims)} here, got {asked.only!r}")
            way = replace(way, victims={asked.only: way.victims[asked.only]})
        found = campaign(asked.kills, way, asked.seed, parent)
    print(f"{found} ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
