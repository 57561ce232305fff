"""Checkpoints of diffusion families run by transformers' own classes: one loader and one denoiser for all.

Legend: B = rows, L = canvas length, N = queried positions, V = rows of the embedding.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from decoders import attention, chat
from decoders.byte_tokenizer import ByteTokenizer
from decoders.hf_tokenizer import HFTokenizer, has_tokenizer
from decoders.loading import (
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
from decoders.protocols import Message, ModelRequest
from decoders.self_tests import SelfTest, check
from decoders.weights import load_weights

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a family reads from config.json.

    Args:
        native: The config object of the transformers class.
        network: The transformers class, called with *native*.
        ties: Parameters that the files leave out, with the parameter that each shares.
        rows: Rows of the embedding.
        max_length: Longest canvas the checkpoint was made for.
        mask_id: The mask token.
        pad_id: The padding token.
        eos_ids: EOS of config.json; the chat format may add an end of turn.
        rope_theta: Base of the rotary frequencies.
        head_dim: Width of an attention head.
        full_precision_rope: Whether queries and keys are rotated in float32 under every dtype.
    """

    native: Any
    network: Callable[[Any], Any]
    ties: Mapping[str, str]
    rows: int
    max_length: int
    mask_id: int
    pad_id: int
    eos_ids: frozenset[int]
    rope_theta: float
    head_dim: int
    full_precision_rope: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """What one family of checkpoints adds to the shared loader.

    Args:
        architecture: ``architectures[0]`` of its config.json.
        presets: Short names of published checkpoints.
        chat: How it writes a chat.
        rename: Published key to transformers' key; an unknown key comes back unchanged.
        plan: Reads config.json and refuses what the transformers class cannot express.
    """

    architecture: str
    presets: Mapping[str, Preset]
    chat: chat.ChatFormat
    rename: Callable[[str], str]
    plan: Callable[[Config], Plan]


@dataclass(kw_only=True, eq=False)
class NativeDenoiser:
    """A transformers network as a denoiser with full attention and no shift: row i predicts token i.

    ``suppressed_ids`` are the columns set to -inf: MASK, and every row without a token where there is a real
    tokenizer. ``directory`` is the checkpoint's folder, ``dtype`` the name of the weights' dtype.
    """

    name: str
    directory: Path
    dtype: str
    device: torch.device
    mask_id: int
    eos_ids: frozenset[int]
    pad_id: int
    vocab_size: int
    max_length: int
    suppressed_ids: tuple[int, ...]
    tokenizer: HFTokenizer | ByteTokenizer
    chat: chat.ChatFormat
    network: Any
    self_tests: tuple[SelfTest, ...] = ()
    _told_too_long: bool = False

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the prompt ids of a chat, ready to be followed by the generated region.

        A byte tokenizer has no chat markers; there the prompt is the contents with blank lines after them.

        Raises:
            ValueError: *messages* is not a chat, or the tokenizer lacks a marker of the chat format.
        """
        if isinstance(self.tokenizer, ByteTokenizer):
            return self.tokenizer.encode(chat.render_plain(messages))
        missing = [marker for marker in self.chat.markers if self.tokenizer.token_id(marker) is None]
        if missing:
            raise ValueError(
                f"tokenizer {self.tokenizer.name!r} must hold the chat markers of {self.name!r}, got none of "
                f"{', '.join(missing)}; use the tokenizer.json published with the checkpoint"
            )
        return self.tokenizer.encode(self.chat.render(messages))

    def answer_ids(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Return the generated *ids* before the first EOS or end of turn."""
        return chat.answer_ids(ids, self.eos_ids)

    def __call__(self, canvas: Tensor, attend: Tensor, query: Tensor, contexts: Sequence[Any]) -> Tensor:
        """Return float32 logits [N, V] of the queried positions, ``suppressed_ids`` at -inf.

        Only the hidden states of queried positions go through the output head. *contexts* are not read.

        Raises:
            ValueError: The canvas is longer than ``max_length``. For a checkpoint without a tokenizer this is
                only logged, once: bytes are many more than tokens, and rotary positions have no end.
            RuntimeError: The model was closed.
        """
        self._check_length(canvas.shape[1])
        logits = self.raw_logits(canvas, attend, query)
        index = torch.tensor(self.suppressed_ids, dtype=torch.int64, device=self.device)
        with torch.inference_mode():
            return logits.index_fill_(1, index, float("-inf"))

    def raw_logits(self, canvas: Tensor, attend: Tensor, query: Tensor) -> Tensor:
        """Return the float32 logits [N, V] of the network, nothing suppressed and any length allowed."""
        if self.network is None:
            raise RuntimeError(
                f"model {self.name!r} must be open to be called, got a closed one; load it again"
            )
        attend, query = attend.to(self.device), query.to(self.device)
        with torch.inference_mode():
            hidden = self.network.model(
                input_ids=canvas.to(self.device),
                attention_mask=attention.key_mask(attend),
                position_ids=attention.position_ids(attend),
                use_cache=False,
            ).last_hidden_state
            logits: Tensor = self.network.lm_head(hidden[query[:, 0], query[:, 1]])
            return logits.float()

    def sync(self) -> None:
        """Wait until the device is idle."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def close(self) -> None:
        """Drop the network and give its memory back; the model cannot be called afterwards."""
        self.network = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _check_length(self, length: int) -> None:
        if length <= self.max_length:
            return
        message = (
            f"canvas of {self.name!r} must be at most {self.max_length} tokens long, got {length}; "
            "use shorter prompts, fewer worked examples or a shorter generated region"
        )
        if not self.tokenizer.is_fallback:
            raise ValueError(message)
        if not self._told_too_long:
            self._told_too_long = True
            LOGGER.warning(
                "%s. Going on, because it has no tokenizer and rotary positions have no end", message
            )


def load_checkpoint(request: ModelRequest, family: Family) -> NativeDenoiser:
    """Return the checkpoint that *request* asks for, loaded and self-tested.

    Raises:
        LoadError: It cannot be found, does not fit the family, or failed a self-test.
    """
    need_packages("transformers", "safetensors")
    directory = find_checkpoint(request, family.presets)
    config = read_config(directory, family.architecture)
    plan = family.plan(config)
    preset = family.presets.get(request.name, next(iter(family.presets.values())))
    dtype = choose_dtype(request.dtype, config, preset.dtype)
    device = choose_device(request.device)
    tokenizer = _tokenizer(directory, request, plan.rows)
    with torch.device("meta"):
        network = plan.network(plan.native)
    tensors = load_weights(
        network, directory, rename=family.rename, ties=plan.ties, dtype=DTYPES[dtype], device=device
    )
    network.model.rotary_emb = type(network.model.rotary_emb)(plan.native).to(device)
    if plan.full_precision_rope:
        attention.use_full_precision_rope(network)
    ends, lacking = set(plan.eos_ids), set[int]()
    if isinstance(tokenizer, HFTokenizer):
        ends |= {token for text in family.chat.end_of_turn if (token := tokenizer.token_id(text)) is not None}
        lacking = set(range(plan.rows)) - tokenizer.ids
    denoiser = NativeDenoiser(
        name=request.name,
        directory=directory,
        dtype=dtype,
        device=device,
        mask_id=plan.mask_id,
        eos_ids=frozenset(ends),
        pad_id=plan.pad_id,
        vocab_size=plan.rows,
        max_length=plan.max_length,
        suppressed_ids=tuple(sorted(lacking | {plan.mask_id})),
        tokenizer=tokenizer,
        chat=family.chat,
        network=network,
    )
    keys = SelfTest(name="keys", passed=True, detail=f"{tensors} tensors, none missing, none unexpected")
    return replace(denoiser, self_tests=(keys, *check(denoiser, plan)))


def _tokenizer(directory: Path, request: ModelRequest, rows: int) -> HFTokenizer | ByteTokenizer:
    if not has_tokenizer(directory):
        return ByteTokenizer(vocab_size=rows)
    try:
        tokenizer = HFTokenizer.from_folder(directory, name=request.name)
    except ValueError as error:
        raise LoadError(str(error)) from error
    if len(tokenizer) > rows:
        raise LoadError(
            f"{directory / 'tokenizer.json'} must have ids below the {rows} rows of the embedding, "
            f"got {len(tokenizer) - 1}; use the tokenizer published with the checkpoint"
        )
    return tokenizer
