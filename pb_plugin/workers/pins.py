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
    return _n_places(options, gpus_for(options, os.environ)) or None


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
    if gpus and len(specs) > _n_places(options, gpus):
        per_gpu = f"{options.workers_per_gpu} to each"
        cure = "let more workers share a GPU (--pb-workers-per-gpu)"
        if options.gpus_per_worker > 1:
            per_gpu, cure = f"{options.gpus_per_worker} for each worker", "lower --pb-gpus-per-worker"
        raise pytest.UsageError(
            f"-n must be at most {_n_places(options, gpus)} on {len(gpus)} GPUs ({', '.join(gpus)}) with "
            f"{per_gpu}, got {len(specs)}; {cure}, or take -n auto"
        )
    shares = gpu_shares(gpus, options.gpus_per_worker)
    config.option.tx = pinned(len(specs), shares, environ=os.environ, n_cpus=n_cpus())


def gpu_shares(gpus: Sequence[str], size: int) -> tuple[str, ...]:
    """Return the GPUs in shares of *size*, each as ``CUDA_VISIBLE_DEVICES`` names it; a rest is not used."""
    return tuple(",".join(gpus[first : first + size]) for first in range(0, len(gpus) - size + 1, size))


def _n_places(options: Options, gpus: Sequence[str]) -> int:
    """Return how many workers *gpus* take."""
    return len(gpu_shares(gpus, options.gpus_per_worker)) * options.workers_per_gpu


def pinned(n_workers: int, shares: Sequence[str], *, environ: Mapping[str, str], n_cpus: int) -> list[str]:
    """Return the spec of every worker: its share of the GPUs, the next in turn, and of the CPUs.

    A number of threads that the user has set stays.
    """
    threads = [] if environ.get(THREADS) else [f"env:{THREADS}={max(1, n_cpus // n_workers)}"]
    return [
        "//".join([PLAIN, *([f"env:{VISIBLE}={shares[number % len(shares)]}"] if shares else []), *threads])
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
