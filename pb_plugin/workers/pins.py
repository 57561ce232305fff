"""Every worker of pytest-xdist gets GPUs and CPU threads of its own, before it imports anything.

The environment stands in the worker's execnet spec: execnet sets it in the new interpreter first of all, and
a worker that replaces another is started from the same spec, so it has the same GPU. The module is a plugin.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import pytest

from pb_plugin.planning.options import Options, read_options
from pb_plugin.workers.cell_files import asks_for_cells
from pb_plugin.workers.gpus import VISIBLE, visible_gpus

THREADS = "OMP_NUM_THREADS"
AUTO_WORKERS = "PYTEST_XDIST_AUTO_NUM_WORKERS"
PLAIN = "popen"
"""The spec of a worker of ``-n``; one of ``--tx`` is the user's own and left alone."""


def gpus_for(options: Options, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the GPUs that the workers of a run share; none where it needs none, or names its device."""
    exact_only = all(text.partition("=")[0] == "ideal" for text in options.model)
    if exact_only or options.device not in (None, "cuda"):
        return ()
    return visible_gpus(environ)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Return how many workers ``-n auto`` starts; None leaves it to the number of CPUs."""
    options = _options(config)
    if options is None or os.environ.get(AUTO_WORKERS):
        return None
    return len(gpus_for(options, os.environ)) * options.workers_per_gpu or None


def pytest_cmdline_main(config: pytest.Config) -> None:
    """Write into the specs of the run's workers what each may use, after pytest-xdist has counted them.

    Raises:
        pytest.UsageError: There are more workers than places on GPUs.
    """
    specs = config.getoption("tx", None) or []
    options = _options(config) if specs and all(spec == PLAIN for spec in specs) else None
    if options is None:
        return
    gpus = gpus_for(options, os.environ)
    if gpus and len(specs) > len(gpus) * options.workers_per_gpu:
        raise pytest.UsageError(
            f"-n must be at most {len(gpus) * options.workers_per_gpu} on {len(gpus)} GPUs "
            f"({', '.join(gpus)}) with {options.workers_per_gpu} to each, got {len(specs)}; let more workers "
            "share a GPU with --pb-workers-per-gpu, or take -n auto"
        )
    config.option.tx = pinned(len(specs), gpus, environ=os.environ, n_cpus=n_cpus())


def pinned(n_workers: int, gpus: Sequence[str], *, environ: Mapping[str, str], n_cpus: int) -> list[str]:
    """Return the spec of every worker: its GPU, the next one in turn, and its share of the CPUs.

    A number of threads that the user has set stays.
    """
    threads = [] if environ.get(THREADS) else [f"env:{THREADS}={max(1, n_cpus // n_workers)}"]
    return [
        "//".join([PLAIN, *([f"env:{VISIBLE}={gpus[number % len(gpus)]}"] if gpus else []), *threads])
        for number in range(n_workers)
    ]


def n_cpus() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _options(config: pytest.Config) -> Options | None:
    """Return the options of a controlling process whose run has cells; what is wrong in them comes later."""
    if hasattr(config, "workerinput") or not asks_for_cells(config.args):
        return None
    try:
        return read_options(config)
    except ValueError:
        return None
