"""Strict loading of safetensors files into a network built on the meta device."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from decoders.loading.checkpoint import LoadError, read_object
from decoders.text.json_file import one_line, shortened

INDEX_FILE = "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
SHOWN = 5
"""How many keys an error names."""
NAME_SHOWN = 120
"""How many characters of each."""
EXPERT_KEY = re.compile(r"(.+\.experts)\.(\d+)\.(gate|up|down)_proj\.weight")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Where a published tensor, or some of its rows, belongs in the network.

    Args:
        name: The network's parameter.
        rows: Rows of the published tensor, first and one past the last; None is all of it.
        expert: Index into the first dimension of a parameter that packs all experts; None is no index.
        into: Rows of the parameter (of the expert's, if there is one) that are filled; None is all of them.
    """

    name: str
    rows: tuple[int, int] | None = None
    expert: int | None = None
    into: tuple[int, int] | None = None


Parts = Callable[[str], tuple[Part, ...]]
"""From the name that a renamed key has to the parts that its tensor consists of."""


def whole(name: str) -> tuple[Part, ...]:
    """Return the one part of a tensor that is a parameter as it is."""
    return (Part(name=name),)


def packed_experts(width: int) -> Parts:
    """Return the parts of checkpoints that store each expert by itself, for networks that pack all of them.

    Args:
        width: Rows of an expert's gate; those of the gate come before those of ``up_proj``.
    """

    def parts(name: str) -> tuple[Part, ...]:
        match = EXPERT_KEY.fullmatch(name)
        if match is None:
            return whole(name)
        experts, expert, kind = match[1], int(match[2]), match[3]
        if kind == "down":
            return (Part(name=f"{experts}.down_proj", expert=expert),)
        into = (0, width) if kind == "gate" else (width, 2 * width)
        return (Part(name=f"{experts}.gate_up_proj", expert=expert, into=into),)

    return parts


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
    names = list(shard_of.values()) if isinstance(shard_of, dict) else []
    if not names or not all(isinstance(name, str) and name and Path(name).name == name for name in names):
        raise LoadError(
            f"{index}: weight_map must map keys to file names, got {shortened(shard_of)}; fetch it again"
        )
    shards = [directory / name for name in sorted(set(names))]
    present = {path.name for path in directory.iterdir() if path.is_file()}
    missing = [path.name for path in shards if path.name not in present]
    if missing:
        raise LoadError(
            f"{index}: every shard it names must be present, got none of {_some(missing)}; fetch them"
        )
    return tuple(shards)


def _some(names: Sequence[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(name[:NAME_SHOWN] for name in names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def load_weights(
    network: nn.Module,
    directory: Path,
    *,
    rename: Callable[[str], str],
    parts: Parts = whole,
    ties: Mapping[str, str],
    dtype: torch.dtype,
    device: Callable[[str], torch.device],
    rotary: Callable[[], Tensor] | None = None,
) -> int:
    """Fill *network*, built on the meta device, from the files of *directory*; return the count of tensors.

    Every key must be expected, present once and of the right shape. Other spellings are taken (``_orig_mod.``
    of a compiled network, ``model.`` left out or put twice), and copies of what is known anyway, if equal (a
    tied parameter, rotary frequencies). Files are opened anew for each tensor, so the memory needed is that
    of the network plus one tensor, and nothing stays mapped to the files.

    Args:
        network: Its parameters and persistent buffers say which keys and shapes are wanted.
        directory: The checkpoint.
        rename: Published key to the network's; an unknown key comes back unchanged.
        parts: Renamed key to the parts its tensor consists of, where networks split or pack what is stored.
        ties: Parameters that the files leave out, with the parameter that each shares.
        dtype: Of the loaded parameters; buffers keep the network's.
        device: Gives that of a loaded parameter.
        rotary: Gives the frequencies that stored ``inv_freq`` must be; None refuses such keys.
    """
    network_state = network.state_dict()
    wanted = {name: list(tensor.shape) for name, tensor in network_state.items() if name not in ties}
    found = _stored(weight_files(directory), _resolved(rename, parts, {*wanted, *ties}))
    found, copies = _set_apart(found, ties, rotary is not None)
    _check(wanted, found, directory)
    buffers = {name for name, _ in network.named_buffers()}
    state: dict[str, Tensor] = {}
    for stored in found:
        tensor = _read(stored.path, stored.key)
        for part in stored.parts:
            if part.name not in state:
                kept = network_state[part.name].dtype if part.name in buffers else dtype
                state[part.name] = torch.empty(wanted[part.name], dtype=kept, device=device(part.name))
            _place(state[part.name], part).copy_(tensor if part.rows is None else tensor[slice(*part.rows)])
    for copy in copies:
        name = copy.parts[0].name
        known = state[ties[name]] if name in ties else rotary() if rotary is not None else None
        _must_equal(copy, known)
    state.update({name: state[source] for name, source in ties.items()})
    network.load_state_dict(state, strict=True, assign=True)
    network.requires_grad_(False)
    network.eval()
    return len(found)


def write_weights(
    network: nn.Module,
    source: Path,
    target: Path,
    *,
    rename: Callable[[str], str],
    parts: Parts = whole,
    dtype: torch.dtype,
) -> None:
    """Write *network* into the folder *target* as the checkpoint *source* stores it: same files, same keys.

    `load_weights` backwards. Buffers keep the network's number type; what is no tensor of the network
    (rotary frequencies) is copied. Each file is whole or not there.

    Args:
        network: With the weights.
        source: The checkpoint that it was loaded from.
        target: A folder that exists.
        rename: Published key to the network's.
        parts: Renamed key to the parts its tensor consists of.
        dtype: Of the stored parameters.
    """
    from safetensors.torch import save_file

    state = network.state_dict()
    buffers = {name for name, _ in network.named_buffers()}
    for path in weight_files(source):
        tensors = {}
        for stored in _stored([path], _resolved(rename, parts, set(state))):
            if not all(part.name in state for part in stored.parts):
                tensors[stored.key] = _read(path, stored.key)
                continue
            name = stored.parts[0].name
            tensor = torch.empty(stored.shape, dtype=state[name].dtype if name in buffers else dtype)
            for part in stored.parts:
                filled = tensor if part.rows is None else tensor[slice(*part.rows)]
                filled.copy_(_place(state[part.name], part))
            tensors[stored.key] = tensor
        fresh = target / f"{path.name}.new"
        save_file(tensors, fresh, metadata={"format": "pt"})
        fresh.chmod(0o644)  # safetensors writes for the owner alone
        fresh.replace(target / path.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stored:
    path: Path
    key: str
    shape: list[int]
    parts: tuple[Part, ...]


def _resolved(rename: Callable[[str], str], parts: Parts, names: Collection[str]) -> Parts:
    """Return the parts of a published key, however its prefixes are written, in a network with *names*."""

    def resolve(key: str) -> tuple[Part, ...]:
        plain = key.replace("_orig_mod.", "")
        for written in (plain, f"model.{plain}", plain.removeprefix("model.")):
            found = parts(rename(written))
            if all(part.name in names for part in found):
                return found
        return parts(rename(plain))

    return resolve


def _set_apart(
    found: Sequence[_Stored], ties: Mapping[str, str], rotary: bool
) -> tuple[list[_Stored], list[_Stored]]:
    """Return what fills a parameter, and copies of what is known anyway.

    A tied parameter that is stored under the other of its two names only fills the one that it shares.
    """
    filled = {part.name for stored in found for part in stored.parts}
    fills, copies = [], []
    for stored in found:
        name = stored.parts[0].name
        if name in ties and ties[name] not in filled:
            fills.append(replace(stored, parts=whole(ties[name])))
        elif name in ties or (rotary and name.endswith(".inv_freq")):
            copies.append(stored)
        else:
            fills.append(stored)
    return fills, copies


def _must_equal(copy: _Stored, known: Tensor | None) -> None:
    """Raise unless the stored *copy* is *known*, up to the rounding of the two types and of powers."""
    tensor = _read(copy.path, copy.key)
    if known is not None and tensor.shape == known.shape:
        rounding = 4.0 * max(torch.finfo(kind).eps for kind in (tensor.dtype, known.dtype))
        if torch.allclose(tensor.float(), known.cpu().float(), rtol=rounding, atol=0.0):
            return
    raise LoadError(
        f"{copy.path}: {copy.key} must equal what is known without it (the parameter it is tied to, or the "
        "rotary frequencies of config.json), got other values; check that the files belong together"
    )


def _place(parameter: Tensor, part: Part) -> Tensor:
    place = parameter if part.expert is None else parameter[part.expert]
    return place if part.into is None else place[slice(*part.into)]


def _place_shape(wanted: Mapping[str, list[int]], part: Part) -> list[int] | None:
    """Return the shape of the place that *part* fills; None if the network has no such place."""
    shape = wanted.get(part.name)
    if shape is None or (part.expert is not None and part.expert >= shape[0]):
        return None
    shape = shape if part.expert is None else shape[1:]
    return shape if part.into is None else [part.into[1] - part.into[0], *shape[1:]]


def _check(wanted: Mapping[str, list[int]], found: Sequence[_Stored], directory: Path) -> None:
    """Raise unless *found* fills every wanted parameter exactly."""
    filled = dict.fromkeys(wanted, 0)
    unexpected, wrong = [], []
    for stored in found:
        shapes = [_place_shape(wanted, part) for part in stored.parts]
        known = [shape for shape in shapes if shape is not None]
        if len(known) < len(shapes):
            unexpected.append(stored.key)
            continue
        fitting = [sum(shape[0] for shape in known), *known[0][1:]]
        if stored.shape != fitting:
            wrong.append(f"{stored.key} {stored.shape} (wanted {fitting})")
        for part, shape in zip(stored.parts, known, strict=True):
            filled[part.name] += math.prod(shape)
    missing = [name for name, shape in wanted.items() if filled[name] != math.prod(shape)]
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


def _stored(files: Sequence[Path], parts: Parts) -> list[_Stored]:
    """Return every tensor of *files* with the parts it consists of."""
    from safetensors import SafetensorError, safe_open

    found: list[_Stored] = []
    filled_by: dict[Part, Path] = {}
    for path in files:
        try:
            with safe_open(path, framework="pt") as file:
                headers = [(key, file.get_slice(key)) for key in file.keys()]  # noqa: SIM118 (not a mapping)
                read = [(key, header.get_shape(), header.get_dtype()) for key, header in headers]
        except SafetensorError as error:
            raise LoadError(
                f"{path} must be a safetensors file, got {one_line(error)}; fetch it again"
            ) from error
        for key, shape, dtype in read:
            if dtype not in ("F64", "F32", "F16", "BF16"):
                raise LoadError(
                    f"{path}: {key} must hold floats, got {dtype!r}; use a checkpoint that is not quantised"
                )
            stored = _Stored(path=path, key=key, shape=list(shape), parts=parts(key))
            for part in stored.parts:
                if part in filled_by:
                    other = filled_by[part].name
                    raise LoadError(f"{path}: {key} must be stored once, got it also in {other}; remove one")
                filled_by[part] = path
            found.append(stored)
    return found


def _read(path: Path, key: str) -> Tensor:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        tensor: Tensor = file.get_tensor(key)
        return tensor
