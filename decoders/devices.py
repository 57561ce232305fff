"""What torch finds on this machine, and how its memory is kept and given back."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend


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


def name_of(device: torch.device) -> str:
    """Return ``cpu``, ``mps``, or the name of a card."""
    return torch.cuda.get_device_properties(device).name if device.type == "cuda" else device.type


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


def without_tf32() -> None:
    """Let float32 products on a GPU be those of float32, in convolutions too, where torch's default is TF32.

    TF32 keeps 10 bits of a factor: what a float32 network says of a position would move by 1e-3.
    """
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False


def attention_kernel(heads: int, width: int, dtype: torch.dtype, device: torch.device) -> str:
    """Return which kernel torch chooses for attention under a mask of keys: flash, efficient, cudnn, math.

    Asked with two rows of 64 positions; the choice depends on device, number type and the *width* of a head.
    """
    query = torch.zeros(2, heads, 64, width, dtype=dtype, device=device)
    mask = torch.ones(2, 1, 64, 64, dtype=torch.bool, device=device)
    chosen = torch._fused_sdp_choice(query, query, query, mask, 0.0, False)  # torch tells it nowhere else
    return SDPBackend(chosen).name.lower().removesuffix("_attention")


class PeakMemory:
    """The most memory that was taken at once since `start`: by tensors on a GPU, else by the whole process.

    Args:
        device: Where the model is.
    """

    def __init__(self, device: torch.device | str) -> None:
        self._device = torch.device(device)

    def start(self) -> None:
        """Forget what was taken before."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif PROCESS.is_dir():
            (PROCESS / "clear_refs").write_text("5")  # resets the peak, see proc(5)

    def most(self) -> int | None:
        """Return how many bytes it was; None where the system does not say."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        if not PROCESS.is_dir():
            return None
        lines = (PROCESS / "status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def placed(values: Any, device: torch.device | str, dtype: torch.dtype | None = None) -> Tensor:
    """Return *values*, a number or nested lists of one size, as a tensor on *device*.

    A GPU takes them from pinned memory while its queue goes on: nothing waits for what was asked of it
    before, as it would for a copy from memory that the system may move.
    """
    on_host = torch.tensor(values, dtype=dtype)
    if torch.device(device).type != "cuda":
        return on_host.to(device)
    return on_host.pin_memory().to(device, non_blocking=True)


PROCESS = Path("/proc/self")
"""Where Linux tells a process of itself."""

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
