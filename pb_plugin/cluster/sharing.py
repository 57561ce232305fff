"""What a session needs that is part of a run, or shares it with other processes: checked, then registered."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from pb_plugin.planning.options import Options
from pb_plugin.workers.places import Places
from pb_plugin.workers.shard_run import ShardRun, check_shard

if TYPE_CHECKING:
    from pb_plugin.session.session import BenchSession

RAY = "ray"


def check_sharing(config: pytest.Config, options: Options) -> None:
    """Check that what is asked for goes together.

    Raises:
        ValueError: It does not, or Ray is asked for and not installed.
    """
    check_shard(options)
    if options.engine != RAY or hasattr(config, "workerinput"):
        return
    for name, given in (
        ("-n (pytest-xdist)", bool(config.getoption("tx", None))),
        ("--pb-timing", options.timing),
        ("--pb-sweep gate", options.sweep == "gate"),
        ("--pdb", bool(config.getoption("usepdb", False))),
    ):
        if given:
            raise ValueError(
                f"--pb-engine ray must come without {name}, got both; it runs items in one process of this "
                "machine or in many: leave one out"
            )
    if find_spec("ray") is None:
        raise ValueError(
            "--pb-engine ray must have Ray, got an environment without it; pip install "
            "'parallelbench-pytest[cluster]'"
        )


def register_sharing(config: pytest.Config, session: BenchSession) -> None:
    """Register the hooks of *session* that share its run."""
    places = Places()
    config.pluginmanager.register(places, "pb-places")
    if not hasattr(config, "workerinput") and config.getoption("numprocesses", 0):
        from pb_plugin.workers.xdist_interior import allow_deaths

        allow_deaths(config)
    if session.options.shard is not None:
        config.pluginmanager.register(ShardRun(session, session.options.shard), "pb-shard")
    if session.options.engine == RAY and not hasattr(config, "workerinput"):
        from pb_plugin.cluster.engine import Engine
        from pb_plugin.cluster.ray_link import RayLink

        link = RayLink(session.options)
        config.pluginmanager.register(Engine(config, session, places, link), "pb-engine")
