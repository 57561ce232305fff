"""Which GPUs this process may use, by the names that CUDA_VISIBLE_DEVICES takes; torch is not asked."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping

VISIBLE = "CUDA_VISIBLE_DEVICES"
LONGEST_S = 30
"""How long the driver may take to list its GPUs."""

_GPU = re.compile(r"GPU (\d+):")
_MIG = re.compile(r"\s+MIG .*\(UUID: ([^)]+)\)")


def visible_gpus(environ: Mapping[str, str], listed: Callable[[], str] | None = None) -> tuple[str, ...]:
    """Return the GPUs that a process with *environ* sees, in order: indices, UUIDs or names of MIG slices.

    Where ``CUDA_VISIBLE_DEVICES`` is set it says which, and as in CUDA nothing behind the first name that is
    none counts. Else every GPU of the driver is one, or its slices where it is cut into some.

    Args:
        environ: The environment.
        listed: Gives what ``nvidia-smi -L`` prints; None asks it.
    """
    named = environ.get(VISIBLE)
    if named is None:
        return _listed_gpus((listed or _nvidia_smi)())
    found: list[str] = []
    for name in (part.strip() for part in named.split(",")):
        if not (name.isdecimal() or name.startswith(("GPU-", "MIG-"))) or name in found:
            break
        found.append(name)
    return tuple(found)


def _listed_gpus(text: str) -> tuple[str, ...]:
    """Return the GPUs in the output of ``nvidia-smi -L``; slices, which follow their GPU, replace it."""
    slices: dict[str, list[str]] = {}
    gpu = None
    for line in text.splitlines():
        if found := _GPU.match(line):
            gpu = found[1]
            slices[gpu] = []
        elif gpu is not None and (found := _MIG.match(line)):
            slices[gpu].append(found[1])
    return tuple(name for gpu, parts in slices.items() for name in parts or [gpu])


def _nvidia_smi() -> str:
    """Return what the driver lists; nothing where there is none."""
    try:
        found = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=LONGEST_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout if found.returncode == 0 else ""
