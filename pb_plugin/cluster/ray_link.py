"""The link by Ray: a supervisor is an actor, what it says is a streaming generator. Ray is imported late."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from pb_plugin.cluster.link import Event
from pb_plugin.cluster.supervisor import Supervisor
from pb_plugin.planning.options import Options

LEAVING_S = 3
"""How long actors have to take away their files at the end."""


class RayLink:
    """See `pb_plugin.cluster.link.Link`.

    Args:
        options: What the user asked for.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._ray: Any = None
        self._actors: dict[str, Any] = {}
        self._waiting: dict[Any, tuple[str, Callable[[str, Any], list[Event]]]] = {}
        self._gpus = 0.0

    def open(self) -> str:
        """Connect to a cluster, or start one on this machine; return what was found.

        Raises:
            ValueError: There is none at the address.
        """
        address = self._options.ray_address
        if address is not None and address.startswith("ray://"):
            raise ValueError(
                f"--pb-ray-address must be auto, HOST:PORT or local, got {address!r}; run pytest on a "
                "machine of the cluster: what workers tell does not come through Ray's client"
            )
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves this machine unasked
        ray: Any = import_module("ray")
        self._ray = ray
        before = signal.getsignal(signal.SIGTERM)
        fresh = {} if address not in (None, "local") else {"include_dashboard": False}
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **fresh)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"--pb-ray-address must be that of a Ray cluster, got {address!r} ({error}); start one with "
                "ray start, or leave it out"
            ) from error
        finally:
            with suppress(ValueError):
                signal.signal(signal.SIGTERM, before)
        found = ray.cluster_resources()
        self._gpus = 0.0 if self._is_without_gpu else found.get("GPU", 0.0)
        n_nodes = sum(node["Alive"] for node in ray.nodes())
        return (
            f"Ray {ray.__version__}, {n_nodes} machine{'s' * (n_nodes > 1)}, {found.get('CPU', 0):g} CPUs, "
            f"{found.get('GPU', 0):g} GPUs"
        )

    @property
    def _is_without_gpu(self) -> bool:
        exact_only = all(text.partition("=")[0] == "ideal" for text in self._options.model)
        return exact_only or self._options.device == "cpu"

    def n_places(self) -> int:
        """Return how many workers the GPUs of the cluster take, else its CPUs."""
        if self._gpus:
            return int(self._gpus) // self._options.gpus_per_worker * self._options.workers_per_gpu
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def add(self, worker: str, setup: Mapping[str, Any]) -> None:
        """Start an actor that keeps a CPU and, where models compute on them, its share of a GPU."""
        gpus = self._options.gpus_per_worker / self._options.workers_per_gpu if self._gpus else 0
        kind = self._ray.remote(Supervisor)
        # as many calls at once as one that runs, one that stops it and one that takes away its files
        placed = kind.options(num_cpus=1, num_gpus=gpus, max_concurrency=3, max_restarts=0)
        self._actors[worker] = actor = placed.remote(worker, dict(setup))
        self._waiting[actor.hello.remote()] = (worker, self._on_ready)

    def run(
        self,
        worker: str,
        nodeids: Sequence[str],
        records: Sequence[str],
        ends: Sequence[tuple[str, str]],
    ) -> None:
        """Let its session run a group."""
        call = self._actors[worker].run.options(num_returns="streaming")
        self._waiting[call.remote(list(nodeids), list(records), list(ends))] = (worker, self._on_batch)

    def finish(self, worker: str) -> None:
        """Let its session end well."""
        self._waiting[self._actors[worker].finish.remote()] = (worker, self._on_last)

    def stop(self, worker: str) -> None:
        """End its session at once."""
        self._actors[worker].stop.remote()

    def drop(self, worker: str) -> None:
        """Kill the actor."""
        actor = self._actors.pop(worker, None)
        self._waiting = {ref: entry for ref, entry in self._waiting.items() if entry[0] != worker}
        if actor is not None:
            self._ray.kill(actor, no_restart=True)

    def events(self, timeout: float) -> list[Event]:
        """Return what has happened."""
        if not self._waiting:
            return []
        ready, _ = self._ray.wait(list(self._waiting), num_returns=1, timeout=timeout)
        found: list[Event] = []
        for ref in ready:
            worker, on = self._waiting[ref]
            try:
                found += on(worker, ref)
            except self._ray.exceptions.RayError as error:
                del self._waiting[ref]
                found.append(Event(worker, "lost", why=_first_line(error)))
        return found

    def _on_ready(self, worker: str, ref: Any) -> list[Event]:
        place = self._ray.get(ref)
        del self._waiting[ref]
        return [Event(worker, "ready", place=place)]

    def _on_batch(self, worker: str, generator: Any) -> list[Event]:
        try:
            ref = next(generator)
        except StopIteration:
            del self._waiting[generator]
            return [Event(worker, "through")]
        return [Event(worker, "told", messages=self._ray.get(ref))]

    def _on_last(self, worker: str, ref: Any) -> list[Event]:
        messages = self._ray.get(ref)
        del self._waiting[ref]
        return [Event(worker, "told", messages=messages), Event(worker, "through")]

    def close(self) -> None:
        """Kill every actor, after it had a moment to tidy up, and leave the cluster as it was."""
        if self._ray is None or not self._ray.is_initialized():
            return
        left = [actor.leave.remote() for actor in self._actors.values()]
        if left:
            self._ray.wait(left, num_returns=len(left), timeout=LEAVING_S)
        for worker in list(self._actors):
            self.drop(worker)
        self._ray.shutdown()


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
