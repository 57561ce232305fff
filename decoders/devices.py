"""What torch finds on this machine, and how its memory is kept and given back."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Torch and what it can compute on.

    Args:
        version: Version of torch.
        devices: What a model can be put on, with the name and memory of each GPU; ``cpu`` is always the last.
        threads: Threads of one operation on the CPU.
    """

    version: str
    devices: tuple[str, ...]
    threads: int


def machine() -> Machine:
    """Return torch's version, devices and threads."""
    found = [_gpu(index) for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    found += ["mps"] if torch.backends.mps.is_available() else []
    return Machine(version=torch.__version__, devices=(*found, "cpu"), threads=torch.get_num_threads())


def _gpu(index: int) -> str:
    properties = torch.cuda.get_device_properties(index)
    return f"cuda:{index} ({properties.name}, {properties.total_memory / 2**30:.0f} GiB)"


@contextmanager
def threads(wanted: int) -> Iterator[None]:
    """Compute with *wanted* CPU threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def sync(device: torch.device) -> None:
    """Wait until *device* is idle."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


LOST_FOR_GOOD = (
    "device-side assert",
    "illegal memory access",
    "illegal instruction",
    "illegal address",
    "misaligned address",
    "unspecified launch failure",
    "launch timed out",
    "uncorrectable ecc",
    "hardware stack error",
    "gpu has fallen off the bus",
)
"""What CUDA and HIP say of an error that sticks to the context: each later call gives the same error."""


def is_lost(error: BaseException) -> bool:
    """Return whether *error*, or what it came from, means that the device refuses this process from now on.

    Torch raises ``AcceleratorError`` for what the driver reports, older versions a plain RuntimeError.
    Source: the error codes in the reference of the CUDA runtime that leave the process in an inconsistent
    state.
    """
    seen: BaseException | None = error
    while seen is not None:
        said = str(seen).lower()
        of_device = type(seen).__name__ == "AcceleratorError" or "cuda" in said or "hip error" in said
        if of_device and isinstance(seen, RuntimeError) and any(sign in said for sign in LOST_FOR_GOOD):
            return True
        seen = seen.__cause__
    return False


KEPT_BYTES = 256 << 20
LARGEST_KEPT_BYTES = 32 << 20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # numbers of malloc.h


@cache
def keep_freed_memory() -> None:
    """Let the C library keep what a forward on the CPU frees for the next one, up to `KEPT_BYTES`.

    By default glibc gives it back to the system at once and gets it page by page again: a third of the time
    of a small network. Larger blocks, such as most weights of a large model, still go back when they are
    freed, and `release` gives back the rest. It holds for the whole process, and for glibc only.
    """
    library = _glibc()
    if library is not None:
        library.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def _glibc() -> Any:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def release(device: torch.device) -> None:
    """Give memory that nothing uses any more back to *device*, and to the system."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)
