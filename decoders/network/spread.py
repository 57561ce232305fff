"""A network whose layers stand on several GPUs, one after the other, as accelerate plans it.

For models larger than one GPU. The GPUs work in turn, so this is no faster than one that is large enough.
Inputs, logits and caches are on the first; what the network itself computes moves along with its layers.

Source: accelerate, "Handling big models for inference".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch

from decoders.loading.checkpoint import LoadError

LOGGER = logging.getLogger(__name__)

FOR_WEIGHTS = 0.9
"""Share of the free memory of a GPU that weights may take."""


def layout(network: Any, dtype: torch.dtype, memory: Mapping[int, int] | None = None) -> dict[str, str]:
    """Return the GPU of each part of *network*, named as its modules are: ``{"model.layers.0": "cuda:0"}``.

    The layers are shared out evenly, and none is cut.

    Args:
        network: A transformers network, on the meta device.
        dtype: What its weights will have.
        memory: Bytes that may be taken of each GPU; None asks how much is free.

    Raises:
        LoadError: accelerate is not installed, or the network does not fit.
    """
    try:
        from accelerate import infer_auto_device_map
        from accelerate.utils import get_balanced_memory
    except ImportError as error:
        raise LoadError(
            "packages must be installed to spread a model over GPUs, got none of accelerate; "
            "pip install 'parallelbench-pytest[spread]'"
        ) from error
    whole = sorted(network._no_split_modules or ())
    memory = _free() if memory is None else memory
    if not memory:
        raise LoadError(
            "a device map must spread the model over GPUs, got none that this process sees; leave it out"
        )
    balanced = get_balanced_memory(
        network, max_memory=dict(memory), no_split_module_classes=whole, dtype=dtype
    )
    found = infer_auto_device_map(network, max_memory=balanced, no_split_module_classes=whole, dtype=dtype)
    left = [name for name, place in found.items() if not isinstance(place, int)]
    if left:
        room = " + ".join(f"{room / 2**30:.1f}" for room in memory.values())
        raise LoadError(
            f"the model must fit on the GPUs that this process sees ({room} GiB free), got {len(left)} of "
            f"{len(found)} parts for which there is no room, the first {left[0]}; give each worker more GPUs "
            "(--pb-gpus-per-worker), or load it with --pb-dtype bfloat16"
        )
    LOGGER.info("spread over %d GPUs: %s", len(set(found.values())), found)
    return {name: f"cuda:{place}" for name, place in found.items()}


def _free() -> dict[int, int]:
    """Return how many bytes each GPU has for weights; the rest is for what is computed."""
    return {
        index: int(FOR_WEIGHTS * torch.cuda.mem_get_info(index)[0])
        for index in range(torch.cuda.device_count())
    }


def place_of(places: Mapping[str, str]) -> Callable[[str], torch.device]:
    """Return which device a parameter goes to, by the longest name in *places* that it is part of."""

    def place(name: str) -> torch.device:
        parent = name
        while parent not in places:
            if not parent:
                raise ValueError(f"a layout must hold every parameter, got none of the parts of {name!r}")
            parent = parent.rpartition(".")[0]
        return torch.device(places[parent])

    return place


def join(network: Any, places: Mapping[str, str]) -> None:
    """Let each part of *network*, whose weights stand where *places* says, fetch what it is called with."""
    from accelerate.hooks import AlignDevicesHook, add_hook_to_module

    for name, place in places.items():
        hook = AlignDevicesHook(execution_device=place, place_submodules=True)
        add_hook_to_module(network.get_submodule(name), hook)
