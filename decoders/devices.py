"""What torch finds on this machine."""

from __future__ import annotations

from dataclasses import dataclass

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


def sync(device: torch.device) -> None:
    """Wait until *device* is idle."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def release(device: torch.device) -> None:
    """Give memory that nothing uses any more back to *device*."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
