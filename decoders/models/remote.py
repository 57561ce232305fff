"""A checkpoint that brings its own code, which runs only where it was allowed by repository and revision.

Legend: B = rows, L = canvas length, N = queried positions, V = rows of the output.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from decoders import devices
from decoders.fingerprint import checkpoint_hash, source_hash
from decoders.loading.chat_template import TEMPLATE_FILE, read_template, special_tokens, writer
from decoders.loading.checkpoint import (
    DTYPES,
    Config,
    LoadError,
    Preset,
    choose_device,
    choose_dtype,
    need_packages,
)
from decoders.loading.remote_code import build_network, find_allowed
from decoders.network.family import keys_test, read_tokenizer
from decoders.network.remote_checks import run
from decoders.network.self_tests import SelfTest, all_passed
from decoders.protocols import ModelRequest
from decoders.text import chat
from decoders.text.byte_tokenizer import ByteTokenizer
from decoders.text.chat_model import ChatModel
from decoders.text.hf_tokenizer import HFTokenizer

PRESETS: Mapping[str, Preset] = MappingProxyType({})
"""None: code is allowed by naming it."""

MASK_KEYS = ("mask_token_id", "mask_id")
LENGTH_KEYS = ("max_position_embeddings", "max_sequence_length", "n_positions")


@dataclass(kw_only=True, eq=False)
class RemoteDenoiser(ChatModel):
    """A network of somebody else, called with ids only: full attention, row i predicts token i.

    Rows of one forward have equal length and no padding, so nothing is assumed about attention masks.
    ``max_length`` is None where config.json names none.
    """

    name: str
    dtype: str
    device: torch.device
    mask_id: int
    eos_ids: frozenset[int]
    pad_id: int
    vocab_size: int
    max_length: int | None
    suppressed_ids: tuple[int, ...]
    tokenizer: HFTokenizer | ByteTokenizer
    chat: chat.ChatFormat
    network: Any
    self_tests: tuple[SelfTest, ...] = ()
    batch_tokens: ClassVar[int] = 2048
    """Canvas positions of one forward: the network gives logits for all of them."""

    def __call__(self, canvas: Tensor, attend: Tensor, query: Tensor, contexts: Sequence[Any]) -> Tensor:
        """Return float32 logits [N, V] of the queried positions, ``suppressed_ids`` at -inf.

        Raises:
            ValueError: A row is longer than ``max_length``.
            RuntimeError: The model was closed.
        """
        longest = int(attend.sum(dim=1).max())
        if self.max_length is not None and longest > self.max_length:
            raise ValueError(
                f"canvas of {self.name!r} must be at most {self.max_length} tokens long, got {longest}; "
                "use shorter prompts, fewer worked examples or a shorter generated region"
            )
        index = torch.tensor(self.suppressed_ids, dtype=torch.int64, device=self.device)
        return self.raw_logits(canvas, attend, query).index_fill_(1, index, float("-inf"))

    @torch.no_grad()
    def raw_logits(self, canvas: Tensor, attend: Tensor, query: Tensor) -> Tensor:
        """Return the network's outputs [N, V] at *query*, one forward per length of a row."""
        if self.network is None:
            raise RuntimeError(
                f"model {self.name!r} must be open to be called, got a closed one; load it again"
            )
        canvas, attend, query = (tensor.to(self.device) for tensor in (canvas, attend, query))
        lengths = attend.sum(dim=1)
        found = torch.empty(len(query), self.vocab_size, device=self.device)
        for length in sorted(set(lengths.tolist())):
            first = canvas.shape[1] - length
            rows = (lengths == length).nonzero()[:, 0]
            mine = (lengths[query[:, 0]] == length).nonzero()[:, 0]
            logits = outputs_of(self.network, canvas[rows, first:])
            found[mine] = logits[torch.searchsorted(rows, query[mine, 0]), query[mine, 1] - first].float()
        return found

    def sync(self) -> None:
        """Wait until the device is idle."""
        devices.sync(self.device)

    def close(self) -> None:
        """Drop the network and give its memory back; the model cannot be called afterwards."""
        self.network = None
        devices.release(self.device)


def outputs_of(network: Any, ids: Tensor) -> Tensor:
    """Return what *network* gives for *ids* [B, L]: logits [B, L, V].

    Raises:
        LoadError: It gives something else.
    """
    said = network(input_ids=ids)
    logits = said[0] if isinstance(said, tuple) else getattr(said, "logits", None)
    if not isinstance(logits, Tensor) or logits.shape[:-1] != ids.shape:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(said).__name__
        raise LoadError(
            f"forward(input_ids) must give logits of shape {(*ids.shape, 'V')}, got {shape}; write a model "
            "of your own (--model package.module:load)"
        )
    return logits


def remote_code(request: ModelRequest) -> str:
    """Return whose code *request* runs, as REPO@REVISION.

    Raises:
        LoadError: It was not allowed, or the checkpoint is refused.
    """
    return find_allowed(request).allowed.text


def fingerprint(request: ModelRequest) -> str:
    """Return the hash of weights, config, tokenizer, chat template and the checkpoint's code.

    Raises:
        LoadError: The code was not allowed, or the checkpoint is refused.
    """
    checkpoint = find_allowed(request)
    template = checkpoint.directory / TEMPLATE_FILE
    parts = [checkpoint_hash(checkpoint.directory), source_hash(checkpoint.files)]
    parts += [hashlib.sha256(template.read_bytes()).hexdigest()] if template.is_file() else []
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def load(request: ModelRequest) -> RemoteDenoiser:
    """Return the checkpoint that *request* asks for, run by its own code; self-tested.

    Raises:
        LoadError: Its code was not allowed, it is refused, or it failed a self-test.
    """
    need_packages("transformers", "safetensors")
    checkpoint = find_allowed(request)
    config, directory = checkpoint.config, checkpoint.directory
    mask_id = _mask_id(config, directory)
    dtype = choose_dtype(request.dtype, config, "float32")
    device = choose_device(request)
    network, tensors = build_network(checkpoint, dtype=DTYPES[dtype], device=device)
    with torch.no_grad():
        rows = outputs_of(network, torch.zeros(1, 2, dtype=torch.int64, device=device)).shape[-1]
    if mask_id >= rows:
        raise config.refuse("mask_token_id", f"below the {rows} outputs", "use the checkpoint's own files")
    tokenizer = read_tokenizer(directory, request.name, rows)
    eos_ids = _eos_ids(config, tokenizer, rows)
    lacking = set(range(rows)) - tokenizer.ids if isinstance(tokenizer, HFTokenizer) else set()
    template = read_template(directory)
    plain = template is None or isinstance(tokenizer, ByteTokenizer)
    render = chat.render_plain if plain or template is None else writer(directory, template)
    length_key = next((key for key in LENGTH_KEYS if config.has(key)), None)
    denoiser = RemoteDenoiser(
        name=request.name,
        dtype=dtype,
        device=device,
        mask_id=mask_id,
        eos_ids=eos_ids,
        pad_id=min(config.ids("pad_token_id", below=rows) if config.has("pad_token_id") else eos_ids),
        vocab_size=rows,
        max_length=None if length_key is None else config.integer(length_key),
        suppressed_ids=tuple(sorted(lacking | {mask_id})),
        tokenizer=tokenizer,
        chat=chat.ChatFormat(render=render, markers=(), end_of_turn=()),
        network=network,
    )
    tests = (keys_test(tensors), *run(denoiser, written_mask=special_tokens(directory).get("mask_token")))
    denoiser.self_tests = all_passed(request.name, tests)
    return denoiser


def _mask_id(config: Config, directory: Path) -> int:
    key = next((key for key in MASK_KEYS if config.has(key)), None)
    if key is not None:
        return config.integer(key, minimum=0)
    written = special_tokens(directory).get("mask_token")
    if written is not None:
        found = HFTokenizer.from_folder(directory).token_id(written)
        if found is not None:
            return found
    raise config.refuse(
        "mask_token_id",
        "the id of the mask token, which no mask_token of tokenizer_config.json gives either",
        "look it up in the model card and write it into config.json",
    )


def _eos_ids(config: Config, tokenizer: HFTokenizer | ByteTokenizer, rows: int) -> frozenset[int]:
    known = None if isinstance(tokenizer, ByteTokenizer) else tokenizer.eos_id
    if config.has("eos_token_id") or known is None:
        return config.ids("eos_token_id", below=rows)
    return frozenset({known})
