"""The one door to a checkpoint's own code: what is allowed to run, and the network that it builds.

What was hashed is what runs: the files are read once, and transformers imports them from a copy of those
bytes, so no other file of the checkpoint, no compiled module and no later change can be imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from decoders.fingerprint import source_files, source_hash
from decoders.loading.allowed_code import COMMIT, HUB_ID, OPTION, AllowedCode, parse_allowed
from decoders.loading.checkpoint import (
    MODEL_OF,
    Config,
    LoadError,
    find_checkpoint,
    other_convention,
    read_config,
)
from decoders.loading.weights import load_weights, weight_files
from decoders.protocols import ModelRequest
from decoders.text.json_file import one_line

PATTERNS = ("*.py", "*.jinja")
"""What is fetched from the hub besides a checkpoint's data, once its code is allowed."""

IMPLEMENTATIONS = tuple(
    f"{prefix}{what}_implementation" for what in ("attn", "experts") for prefix in ("", "_")
)
"""Fields of config.json by which transformers may fetch kernels from the hub."""

AUTO_CLASSES = ("AutoModelForCausalLM", "AutoModelForMaskedLM", "AutoModel")
"""Entries of ``auto_map`` that may name the network; the first that is there is taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeCheckpoint:
    """A checkpoint whose own code may run.

    Args:
        directory: Its folder.
        config: Its config.json.
        files: Name to bytes of its code, config.json among it.
        allowed: What was allowed.
    """

    directory: Path
    config: Config
    files: Mapping[str, bytes]
    allowed: AllowedCode


def find_allowed(request: ModelRequest) -> CodeCheckpoint:
    """Return the checkpoint that *request* asks for if its code was allowed; nothing of it is imported.

    A hub id is fetched only after it was allowed.

    Raises:
        LoadError: It cannot be found, its code is not allowed or not needed, or it has no safetensors.
    """
    if request.source is None:
        raise LoadError(
            f"model {request.name!r} must have a source, got none; give a folder (--model "
            f"{request.name}=DIR) or a hub id at a commit (--model {request.name}=OWNER/NAME@COMMIT)"
        )
    try:
        entries = [parse_allowed(text) for text in request.allow_code]
    except ValueError as error:
        raise LoadError(str(error)) from error
    folder = Path(request.source).expanduser()
    of_hub = None if folder.is_dir() else _of_commit(request, entries)
    directory = find_checkpoint(request, {}, more=() if of_hub is None else PATTERNS)
    config = read_config(directory)
    files = source_files(directory)
    _check_convention(config)
    _check_auto_map(config, files)
    weight_files(directory)
    allowed = of_hub or _of_folder(request.source, files, entries)
    return CodeCheckpoint(directory=directory, config=config, files=files, allowed=allowed)


def _of_commit(request: ModelRequest, entries: Sequence[AllowedCode]) -> AllowedCode | None:
    """Return what allows the hub id of *request*; None if it is none, which `find_checkpoint` explains."""
    source, revision = request.source, request.revision
    if source is None or not HUB_ID.fullmatch(source):
        return None
    if revision is None or not COMMIT.fullmatch(revision):
        raise LoadError(
            f"revision of {source!r} must be a full commit (40 digits of 0-9a-f) to run its code, got "
            f"{revision!r}; the code behind a branch can change: copy the commit from the history of its "
            f"files on the hub (--model {request.name}={source}@COMMIT)"
        )
    wanted = AllowedCode(repo=source, revision=revision)
    if wanted not in entries:
        raise LoadError(
            f"code of {wanted.text!r} must be allowed before it is fetched or run, got {_given(entries)}; "
            "read the *.py files and config.json of that commit on the hub first, then pass "
            f"{OPTION} {wanted.text}"
        )
    return wanted


def _of_folder(source: str, files: Mapping[str, bytes], entries: Sequence[AllowedCode]) -> AllowedCode:
    actual = AllowedCode(repo=source, revision=source_hash(files))
    of_it = [entry for entry in entries if entry.is_folder(Path(source).expanduser())]
    if any(entry.revision == actual.revision for entry in of_it):
        return actual
    if of_it:
        raise LoadError(
            f"{OPTION} must end in the sha256 of the code in {source!r}, {actual.revision}, got "
            f"{of_it[0].text!r}; the code is not what was allowed: read its *.py files and config.json "
            f"first, then pass {OPTION} {actual.text}"
        )
    raise LoadError(
        f"code in {source!r} must be allowed before it is run, got {_given(entries)}; read its *.py files "
        f"and config.json first, then pass {OPTION} {actual.text}"
    )


def _given(entries: Sequence[AllowedCode]) -> str:
    return f"{OPTION} for {', '.join(entry.text for entry in entries)}" if entries else f"no {OPTION}"


def _check_convention(config: Config) -> None:
    """Raise for an architecture that runs without its own code or is called otherwise, or for kernels."""
    named = config.values.get("architectures")
    first = str(named[0]) if isinstance(named, list) and named else ""
    if first in MODEL_OF:
        name = MODEL_OF[first]
        raise config.refuse(
            "architectures",
            "an architecture that needs its own code",
            f"this one runs here without it (--model {name}={config.path.parent})",
        )
    for key in IMPLEMENTATIONS:
        if config.values.get(key) not in (None, "eager", "sdpa"):
            raise config.refuse(
                key, "eager or sdpa", "other values may fetch code of another repository: remove the field"
            )
    convention = other_convention(first)
    if convention is not None:
        raise config.refuse(
            "architectures",
            "a network with full attention whose row i predicts token i",
            f"{convention}, so its own code is not run; write a model of your own "
            "(--model package.module:load)",
        )


def _check_auto_map(config: Config, files: Mapping[str, bytes]) -> None:
    """Raise unless ``auto_map`` names a network, and everything it names for that is in *files*."""
    found = config.values.get("auto_map")
    if not isinstance(found, dict) or not any(name in found for name in AUTO_CLASSES):
        raise config.refuse(
            "auto_map",
            f"an object with {' or '.join(AUTO_CLASSES)}",
            f"without own code choose a checkpoint of a supported architecture: {', '.join(MODEL_OF)}",
        )
    for name in ("AutoConfig", *AUTO_CLASSES):
        reference = found.get(name, "")
        module, _, attribute = reference.rpartition(".") if isinstance(reference, str) else ("", "", "")
        plain = (
            module.isidentifier() and attribute.isidentifier()
        )  # transformers takes A--b.C for repository A
        if name in found and not (plain and f"{module}.py" in files):
            raise config.refuse(
                "auto_map",
                "module.Class of *.py files beside it, in the same repository",
                "code of another repository is never run: copy it into a folder with the checkpoint, and "
                "allow that",
            )


def build_network(
    checkpoint: CodeCheckpoint, *, dtype: torch.dtype, device: torch.device
) -> tuple[nn.Module, int]:
    """Import the checkpoint's code, build its network, fill it strictly; return the count of tensors too.

    The network is built with real tensors, because code that computes tables when it is built leaves garbage
    in them on the meta device. Its random weights are dropped before the stored ones are read.

    Raises:
        LoadError: Its code cannot be imported, or the weights do not fit it exactly.
    """
    config_class, network_class = _import(checkpoint)
    values = {"pad_token_id": None, **checkpoint.config.values, "use_cache": False}
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        network: nn.Module = network_class(config_class.from_dict(values))
    except Exception as error:  # the checkpoint's own code may raise anything
        raise LoadError(
            f"{checkpoint.config.path} must be what the code beside it takes, got {type(error).__name__}: "
            f"{one_line(error)}; use the checkpoint's own config.json"
        ) from error
    finally:
        torch.set_default_dtype(before)
    ties = _ties(network, checkpoint.directory)
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(parameter.to("meta"), requires_grad=False))
    tensors = load_weights(
        network, checkpoint.directory, rename=str, ties=ties, dtype=dtype, device=lambda _: device
    )
    return network.to(device), tensors


def _ties(network: nn.Module, directory: Path) -> dict[str, str]:
    """Return the parameters that the files leave out because they are shared, with the one that is stored."""
    from safetensors import safe_open

    stored: set[str] = set()
    for path in weight_files(directory):
        with safe_open(path, framework="pt") as file:
            stored |= set(file.keys())
    names: dict[int, list[str]] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    ties: dict[str, str] = {}
    for group in names.values():
        kept = next((name for name in group if name in stored), group[0])
        ties |= {name: kept for name in group if name not in stored and name != kept}
    return ties


def _import(checkpoint: CodeCheckpoint) -> tuple[Any, Any]:
    """Return the classes of config and network; transformers keeps a copy of the code in its module cache."""
    from transformers import AutoConfig
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    auto_map = checkpoint.config.values["auto_map"]
    network = auto_map[next(name for name in AUTO_CLASSES if name in auto_map)]
    with TemporaryDirectory() as parent:
        folder = Path(parent) / f"code_{source_hash(checkpoint.files)}"
        folder.mkdir()
        for name, content in checkpoint.files.items():
            (folder / name).write_bytes(content)
        try:
            if "AutoConfig" in auto_map:
                config_class = get_class_from_dynamic_module(auto_map["AutoConfig"], str(folder))
            else:
                config_class = type(AutoConfig.for_model(str(checkpoint.config.values.get("model_type"))))
            return config_class, get_class_from_dynamic_module(network, str(folder))
        except (ImportError, AttributeError, SyntaxError, OSError, ValueError) as error:
            raise LoadError(
                f"code of {checkpoint.allowed.text!r} must be importable here, got {type(error).__name__}: "
                f"{error}; install what it needs, or write a model of your own (--model package.module:load)"
            ) from error
