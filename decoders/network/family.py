"""Checkpoints run by transformers' own classes: one loader for all families, no remote code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from decoders.fingerprint import checkpoint_hash
from decoders.loading.adapter import adapter_hash, add_adapter, split_adapter
from decoders.loading.checkpoint import (
    DTYPES,
    Config,
    LoadError,
    Preset,
    choose_device,
    choose_dtype,
    find_checkpoint,
    need_packages,
    read_config,
)
from decoders.loading.weights import load_weights
from decoders.network import spread
from decoders.network.compiled import CompiledBody, check_compiled
from decoders.network.denoiser import NativeDenoiser
from decoders.network.plan import INERT, NetworkPlan, Plan
from decoders.network.self_tests import SelfTest, check
from decoders.network.transformers_interior import fresh_rotary, use_full_precision_rope, use_own_attention
from decoders.protocols import ModelRequest
from decoders.text.byte_tokenizer import ByteTokenizer
from decoders.text.chat import ChatFormat
from decoders.text.hf_tokenizer import HFTokenizer, has_tokenizer
from decoders.text.json_file import one_line

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """What one family of checkpoints adds to the shared loader.

    Args:
        architecture: ``architectures[0]`` of its config.json.
        presets: Short names of published checkpoints.
        chat: How it writes a chat, unless a preset says otherwise.
        rename: Published key to transformers' key; an unknown key comes back unchanged.
        plan: Reads config.json and refuses what the transformers class cannot express.
        inert: Keys of config.json that change no logit, besides those of every family; *plan* reads the rest.
        backend: Reads the tokenizer of a folder without tokenizer.json, or gives None.
    """

    architecture: str
    presets: Mapping[str, Preset]
    chat: ChatFormat
    rename: Callable[[str], str]
    plan: Callable[[Config], Plan]
    inert: frozenset[str] = frozenset()
    backend: Callable[[Path], Backend | None] | None = None

    def load(self, request: ModelRequest) -> NativeDenoiser:
        """Return the checkpoint that *request* asks for: a preset, a folder or a hub id.

        Raises:
            LoadError: It cannot be found, is not one the family's mapping computes exactly, or failed a
                self-test.
        """
        return load_checkpoint(request, self)

    def fingerprint(self, request: ModelRequest) -> str:
        """Return the hash of the checkpoint's files; a hub id is fetched for it.

        Raises:
            ValueError: It cannot be found, or is incomplete.
        """
        return files_hash(request, self.presets)


def files_hash(request: ModelRequest, presets: Mapping[str, Preset]) -> str:
    """Return the hash of the files that *request* names: a checkpoint's, and an adapter's if there is one.

    Raises:
        ValueError: They cannot be found, or are incomplete.
    """
    request, adapter = split_adapter(request)
    files = checkpoint_hash(find_checkpoint(request, presets))
    return files if adapter is None else sha256((files + adapter_hash(adapter)).encode()).hexdigest()


def same_key(key: str) -> str:
    """Return *key*: the published weights are named as transformers names them."""
    return key


def load_checkpoint(request: ModelRequest, family: Family) -> NativeDenoiser:
    """Return the checkpoint that *request* asks for, loaded and self-tested.

    A source ``CHECKPOINT+ADAPTER`` is a checkpoint with a LoRA adapter that is added to its weights.

    Raises:
        LoadError: It cannot be found, does not fit the family, or failed a self-test.
    """
    need_packages("transformers", "safetensors")
    request, adapter = split_adapter(request)
    directory = find_checkpoint(request, family.presets)
    config = read_config(directory, family.architecture)
    plan = family.plan(config)
    config.refuse_unread(INERT | family.inert, plan.native.to_dict())
    preset = family.presets.get(request.name, next(iter(family.presets.values()), None))
    form = family.chat if preset is None else preset.chat or family.chat
    dtype = choose_dtype(request.dtype, config, "float32" if preset is None else preset.dtype)
    device = choose_device(request, is_mapped=True)
    tokenizer = read_tokenizer(directory, request.name, plan.rows, family.backend)
    network, tensors = build_network(
        plan, directory, family.rename, DTYPES[dtype], device, is_spread=request.device_map is not None
    )
    if adapter is not None:
        add_adapter(network, adapter, rename=family.rename, parts=plan.parts)
    if plan.full_precision_rope:
        use_full_precision_rope(network)
    use_own_attention(network)
    lacking = set(range(plan.rows)) - tokenizer.ids if isinstance(tokenizer, HFTokenizer) else set()
    denoiser = NativeDenoiser(
        name=request.name,
        directory=directory,
        dtype=dtype,
        device=device,
        mask_id=plan.mask_id,
        eos_ids=plan.eos_ids | ends_of_turn(tokenizer, form),
        pad_id=plan.pad_id,
        vocab_size=plan.rows,
        max_length=plan.max_length,
        suppressed_ids=tuple(sorted(lacking | {plan.mask_id})),
        tokenizer=tokenizer,
        chat=form,
        network=network,
        shift=plan.shift,
        block_length=plan.block_length,
    )
    tests = (keys_test(tensors), *check(denoiser, plan))
    if request.compiled:
        fast = replace(denoiser, compiled=CompiledBody(network.model))
        tests, denoiser = (*tests, *check_compiled(fast, denoiser)), fast
    return replace(denoiser, self_tests=tests)


def build_network(
    plan: NetworkPlan,
    directory: Path,
    rename: Callable[[str], str],
    dtype: torch.dtype,
    device: torch.device,
    *,
    is_spread: bool = False,
) -> tuple[Any, int]:
    """Return the network with the weights of *directory*, and how many tensors those are.

    It is built on the meta device; its rotary tables, which no file holds, are made anew afterwards. Where it
    *is_spread*, its layers stand on all GPUs that this process sees.
    """
    try:
        with torch.device("meta"):
            network = plan.network(plan.native)
    except Exception as error:  # whatever the library's class makes of numbers that do not fit together
        raise not_taken(directory, type(plan.native), error) from error
    places = spread.layout(network, dtype) if is_spread else {"": str(device)}
    make_rotary = type(network.model.rotary_emb)
    tensors = load_weights(
        network,
        directory,
        rename=rename,
        parts=plan.parts,
        ties=plan.ties,
        dtype=dtype,
        device=spread.place_of(places),
        rotary=lambda: make_rotary(plan.native).inv_freq,
    )
    network.model.rotary_emb = fresh_rotary(network, plan.native).to(device)
    if is_spread:
        spread.join(network, places)
    return network, tensors


def not_taken(directory: Path, kind: type, error: Exception) -> LoadError:
    """Return the error for a config.json that *kind* of transformers, or its network, does not take."""
    return LoadError(
        f"{directory / 'config.json'} must be what {kind.__name__} of transformers takes, got "
        f"{type(error).__name__}: {one_line(error)}; use the checkpoint's own config.json"
    )


def keys_test(tensors: int) -> SelfTest:
    """Return the report of `load_weights`, which has raised if it is not so."""
    return SelfTest(name="keys", passed=True, detail=f"{tensors} tensors, none missing, none unexpected")


def ends_of_turn(tokenizer: HFTokenizer | ByteTokenizer, form: ChatFormat) -> frozenset[int]:
    """Return the ids of the ends of turn of *form* that *tokenizer* holds."""
    if isinstance(tokenizer, ByteTokenizer):
        return frozenset()
    ids = (tokenizer.token_id(text) for text in form.end_of_turn)
    return frozenset(token for token in ids if token is not None)


def read_tokenizer(
    directory: Path, name: str, rows: int, backend: Callable[[Path], Backend | None] | None = None
) -> HFTokenizer | ByteTokenizer:
    """Return the tokenizer of *directory*, or bytes if it holds no file of one.

    Raises:
        LoadError: Its files cannot be read, or it has ids that the embedding lacks.
    """
    if not has_tokenizer(directory):
        return ByteTokenizer(vocab_size=rows)
    try:
        read = None if backend is None or (directory / "tokenizer.json").is_file() else backend(directory)
        tokenizer = (
            HFTokenizer.from_folder(directory, name=name) if read is None else HFTokenizer(read, name=name)
        )
    except ValueError as error:
        raise LoadError(str(error)) from error
    if len(tokenizer) > rows:
        raise LoadError(
            f"{directory / 'tokenizer.json'} must have ids below the {rows} rows of the embedding, "
            f"got {len(tokenizer) - 1}; use the tokenizer published with the checkpoint"
        )
    return tokenizer
