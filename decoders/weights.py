"""Strict loading of safetensors files into a network built on the meta device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from decoders.loading import LoadError, read_object

INDEX_FILE = "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
SHOWN = 5
"""How many keys an error names."""


def weight_files(directory: Path) -> tuple[Path, ...]:
    """Return the safetensors files of a checkpoint: model.safetensors, or the shards its index names."""
    single, index = directory / "model.safetensors", directory / INDEX_FILE
    if single.is_file():
        return (single,)
    if not index.is_file():
        pickles = sorted(path.name for pattern in PICKLES for path in directory.glob(pattern))
        found = f"only {_some(pickles)}, which may run code when read" if pickles else "none"
        raise LoadError(
            f"weights must be model.safetensors, or shards with {INDEX_FILE}, got {found} in "
            f"{str(directory)!r}; fetch a safetensors revision or convert the weights"
        )
    shard_of = read_object(index).get("weight_map")
    if (
        not isinstance(shard_of, dict)
        or not shard_of
        or any(Path(str(n)).name != n for n in shard_of.values())
    ):
        raise LoadError(f"{index}: weight_map must map keys to file names, got {shard_of!r}; fetch it again")
    shards = [directory / name for name in sorted(set(shard_of.values()))]
    missing = [path.name for path in shards if not path.is_file()]
    if missing:
        raise LoadError(
            f"{index}: every shard it names must be present, got none of {_some(missing)}; fetch them"
        )
    return tuple(shards)


def _some(names: Sequence[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def load_weights(
    network: nn.Module,
    directory: Path,
    *,
    rename: Callable[[str], str],
    ties: Mapping[str, str],
    dtype: torch.dtype,
    device: torch.device,
) -> int:
    """Fill *network*, built on the meta device, from the files of *directory*; return the count of tensors.

    Every key must be expected, present once and of the right shape. Files are opened anew for each tensor, so
    the memory needed is that of the network plus one tensor, and nothing stays mapped to the files.

    Args:
        network: Its parameters say which keys and shapes are wanted.
        directory: The checkpoint.
        rename: Published key to the network's; an unknown key comes back unchanged.
        ties: Parameters that the files leave out, with the parameter that each shares.
        dtype: Of the loaded parameters.
        device: Of the loaded parameters.
    """
    wanted = {name: list(tensor.shape) for name, tensor in network.state_dict().items() if name not in ties}
    places = _places(weight_files(directory), rename)
    missing = [name for name in wanted if name not in places]
    unexpected = [key for name, (_, key, _) in places.items() if name not in wanted]
    wrong = [
        f"{key} {shape} (wanted {wanted[name]})"
        for name, (_, key, shape) in places.items()
        if name in wanted and shape != wanted[name]
    ]
    for fault, keys in (
        ("missing keys (native names)", missing),
        ("unexpected keys", unexpected),
        ("shapes", wrong),
    ):
        if keys:
            raise LoadError(
                f"weights of {str(directory)!r} must match config.json exactly, got {len(keys)} {fault}: "
                f"{_some(keys)}; check that config.json and the safetensors files belong together"
            )
    state = {name: _read(path, key, dtype, device) for name, (path, key, _) in places.items()}
    state.update({name: state[source] for name, source in ties.items()})
    network.load_state_dict(state, strict=True, assign=True)
    network.requires_grad_(False)
    network.eval()
    return len(places)


def _places(files: Sequence[Path], rename: Callable[[str], str]) -> dict[str, tuple[Path, str, list[int]]]:
    """Return where each network name lies: file, published key, shape."""
    from safetensors import SafetensorError, safe_open

    places: dict[str, tuple[Path, str, list[int]]] = {}
    for path in files:
        try:
            with safe_open(path, framework="pt") as file:
                headers = [(key, file.get_slice(key)) for key in file.keys()]  # noqa: SIM118 (not a mapping)
                found = [(key, header.get_shape(), header.get_dtype()) for key, header in headers]
        except SafetensorError as error:
            raise LoadError(f"{path} must be a safetensors file, got {error}; fetch it again") from error
        for key, shape, stored in found:
            if stored not in ("F64", "F32", "F16", "BF16"):
                raise LoadError(
                    f"{path}: {key} must hold floats, got {stored!r}; use a checkpoint that is not quantised"
                )
            name = rename(key)
            if name in places:
                raise LoadError(
                    f"{path}: {key} must be stored once, got it also in {places[name][0].name}; remove one"
                )
            places[name] = (path, key, list(shape))
    return places


def _read(path: Path, key: str, dtype: torch.dtype, device: torch.device) -> Tensor:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        tensor: Tensor = file.get_tensor(key)
        return tensor.to(device=device, dtype=dtype, copy=True)
