"""A network of transformers as a denoiser: masks, positions, alignment and suppression for all families.

Legend: B = rows, L = canvas length, N = queried positions, V = rows of the embedding.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from decoders import attention, chat, devices
from decoders.byte_tokenizer import ByteTokenizer
from decoders.hf_tokenizer import HFTokenizer
from decoders.protocols import Message
from decoders.self_tests import SelfTest

LOGGER = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class NativeDenoiser:
    """A causal network of transformers, used in both directions over the whole canvas at every call.

    ``suppressed_ids`` are the columns set to -inf: MASK, and every row without a token where there is a real
    tokenizer. ``directory`` is the checkpoint's folder, ``dtype`` the name of the weights' dtype.
    ``block_length`` is the block the checkpoint was trained with: attention is then block-causal, on a grid
    that starts at each row's first real token; None is full attention. With ``shift`` the network's row
    i - 1 predicts token i.
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
    shift: bool = False
    block_length: int | None = None
    self_tests: tuple[SelfTest, ...] = ()
    _told_too_long: bool = False

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the prompt ids of a chat, ready to be followed by the generated region.

        Raises:
            ValueError: *messages* is not a chat, or the tokenizer lacks a marker of the chat format.
        """
        return chat.encode(messages, self.tokenizer, self.chat, name=self.name)

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
        logits = self.raw_logits(canvas, attend, self._network_rows(attend, query))
        index = torch.tensor(self.suppressed_ids, dtype=torch.int64, device=self.device)
        with torch.inference_mode():
            return logits.index_fill_(1, index, float("-inf"))

    def raw_logits(self, canvas: Tensor, attend: Tensor, query: Tensor) -> Tensor:
        """Return the float32 logits [N, V] of the network's rows *query*.

        Nothing is suppressed or shifted, and any length is allowed.
        """
        if self.network is None:
            raise RuntimeError(
                f"model {self.name!r} must be open to be called, got a closed one; load it again"
            )
        attend, query = attend.to(self.device), query.to(self.device)
        with torch.inference_mode():
            hidden = self.network.model(
                input_ids=canvas.to(self.device),
                attention_mask=self._mask(attend),
                position_ids=attention.position_ids(attend),
                use_cache=False,
            ).last_hidden_state
            logits: Tensor = self.network.lm_head(hidden[query[:, 0], query[:, 1]])
            return logits.float()

    def sync(self) -> None:
        """Wait until the device is idle."""
        devices.sync(self.device)

    def close(self) -> None:
        """Drop the network and give its memory back; the model cannot be called afterwards."""
        self.network = None
        devices.release(self.device)

    def _mask(self, attend: Tensor) -> Tensor:
        if self.block_length is None:
            return attention.key_mask(attend)
        return attention.block_mask(attend, self.block_length)

    def _network_rows(self, attend: Tensor, query: Tensor) -> Tensor:
        """Return which rows of the network predict the queried tokens.

        No row predicts the first token of a shifted model; as published, its own row stands in for it. It is
        part of the prompt.
        """
        if not self.shift:
            return query
        query = query.to(attend.device)
        before = (query[:, 1] - 1).clamp(min=0)
        return torch.stack(
            [query[:, 0], torch.where(attend[query[:, 0], before], before, query[:, 1])], dim=1
        )

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
