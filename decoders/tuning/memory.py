"""Whether a training fits: what it needs is estimated before anything is loaded or written."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

GIB = 2**30
STATE_BYTES = 12
"""Of a trained number in float32: its gradient and the two moments of AdamW."""

KEPT_PER_LAYER = 34
"""Bytes of a layer's outputs that are kept for the gradient in bfloat16, per token and channel.

Source: Korthikanti et al., "Reducing Activation Recomputation" (arXiv:2205.05198), equation 1 without the
part that grows with the square of the length, which fused attention does not keep.
"""

KEPT_PER_LAYER_CHECKPOINTED = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """What memory depends on.

    Args:
        frozen: Numbers of the network that stay what they are.
        trained: Numbers that are trained.
        bytes_each: Of a frozen number.
        layers: Layers.
        width: Channels of a layer.
        vocabulary: Rows of the output.
        tokens: Positions of the rows that are computed at once.
        hidden: Positions of them that get logits.
        checkpointed: Whether each layer is computed twice.
        precision: Of the forward.
    """

    frozen: int
    trained: int
    bytes_each: int
    layers: int
    width: int
    vocabulary: int
    tokens: int
    hidden: int
    checkpointed: bool
    precision: torch.dtype

    @property
    def bytes(self) -> int:
        """Estimated bytes of weights, optimizer, kept outputs and logits with their gradient."""
        wider = 2 if self.precision == torch.float32 else 1
        weights = self.frozen * self.bytes_each + self.trained * (4 + STATE_BYTES)
        per_layer = KEPT_PER_LAYER_CHECKPOINTED if self.checkpointed else KEPT_PER_LAYER
        layers = self.layers * per_layer + (KEPT_PER_LAYER if self.checkpointed else 0)
        kept = self.tokens * self.width * layers * wider
        return weights + kept + 3 * 4 * self.hidden * self.vocabulary


def check_fits(size: Size, device: torch.device, folder: Path) -> None:
    """Raise unless *size* fits into the free memory of *device*, and its state onto the disk of *folder*.

    Raises:
        ValueError: It does not; the message says what is needed, what is free and what helps.
    """
    free = free_memory(device)
    if free is not None and size.bytes > free:
        raise ValueError(
            f"the training must fit into the free memory of {device}, got about {size.bytes / GIB:.1f} GiB "
            f"needed and {free / GIB:.1f} GiB free ({size.trained:,} of {size.frozen + size.trained:,} "
            f"numbers trained, {size.tokens:,} positions at once); raise accumulation, set "
            "gradient_checkpointing, or train adapters instead of all weights"
        )
    # the state twice, as the old file stays until the new one is whole, and the model
    needed = 2 * size.trained * STATE_BYTES + (size.frozen + size.trained) * size.bytes_each
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    room = shutil.disk_usage(there).free
    if needed > room:
        raise ValueError(
            f"the training must fit onto the disk of {folder}, got about {needed / GIB:.1f} GiB needed and "
            f"{room / GIB:.1f} GiB free; choose a folder on another disk"
        )


def free_memory(device: torch.device) -> int | None:
    """Return the free bytes of *device*; None where nothing tells."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    path = Path("/proc/meminfo")
    if device.type != "cpu" or not path.is_file():
        return None
    lines = dict(line.split(":", 1) for line in path.read_text(encoding="ascii").splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024
