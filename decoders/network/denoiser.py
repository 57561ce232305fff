"""A network of transformers as a denoiser: masks, positions, alignment and suppression for all families.

Legend: B = rows, L = canvas length, N = queried positions, V = rows of the embedding.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from decoders import devices
from decoders.network import attention, attention_maps, kv_cache
from decoders.network.compiled import CompiledBody
from decoders.network.self_tests import SelfTest
from decoders.network.transformers_interior import CacheUpdate, with_cache
from decoders.protocols import Message
from decoders.text import chat
from decoders.text.byte_tokenizer import ByteTokenizer
from decoders.text.chat_model import ChatModel
from decoders.text.hf_tokenizer import HFTokenizer
from decoders.traits import Numerics

LOGGER = logging.getLogger(__name__)

HUB_COMMITS = "snapshots"
"""In the cache of huggingface_hub a checkpoint is in a folder of this one, named after its commit."""


@dataclass(kw_only=True, eq=False)
class NativeDenoiser(ChatModel):
    """A causal network of transformers, used in both directions over the whole canvas at every call.

    ``suppressed_ids`` are the columns set to -inf: MASK, and every row without a token where there is a real
    tokenizer. ``directory`` is the checkpoint's folder, ``dtype`` the name of the weights' dtype.
    ``block_length`` is the block the checkpoint was trained with: attention is then block-causal, on a grid
    that starts at each row's first real token; None is full attention. With ``shift`` the network's row
    i - 1 predicts token i. ``compiled`` stands in for the network's body in forwards without a cache and
    without attention maps.
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
    compiled: CompiledBody | None = None
    self_tests: tuple[SelfTest, ...] = ()
    _told_too_long: bool = False

    def __call__(self, canvas: Tensor, attend: Tensor, query: Tensor, contexts: Sequence[Any]) -> Tensor:
        """Return float32 logits [N, V] of the queried positions, ``suppressed_ids`` at -inf.

        Only the hidden states of queried positions go through the output head. *contexts* are not read.

        Raises:
            ValueError: The canvas is longer than ``max_length``. For a checkpoint without a tokenizer this is
                only logged, once: bytes are many more than tokens, and rotary positions have no end.
            RuntimeError: The model was closed.
        """
        self._check_length(attend)
        return self._suppress(self.raw_logits(canvas, attend, self._network_rows(attend, query)))

    def with_attention(
        self,
        canvas: Tensor,
        attend: Tensor,
        query: Tensor,
        first: int,
        contexts: Sequence[Any],
        layers: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the logits of a plain call, and attention from position *first* on; see `HasAttention`.

        Raises:
            ValueError: The canvas is longer than ``max_length``.
        """
        self._check_length(attend)
        maps = attention_maps.AttentionMaps(
            first=first, n_layers=self.network.config.num_hidden_layers, layers=layers
        )
        rows = self._network_rows(attend, query)
        logits = self.raw_logits(canvas, attend, rows, attention_maps=maps)
        return self._suppress(logits), maps.mean().to(self.device)

    @property
    def lacks(self) -> frozenset[str]:
        """A shifted network has no row for a twin: the row before it would see the token to be judged."""
        return frozenset({"shadow"}) if self.shift else frozenset()

    @torch.inference_mode()
    def with_shadows(
        self,
        canvas: Tensor,
        attend: Tensor,
        query: Tensor,
        blocks: Sequence[tuple[int, int]],
        judged: Tensor,
        contexts: Sequence[Any],
    ) -> tuple[Tensor, Tensor]:
        """Return the logits of a plain call, and those of the twins of *judged*; see `HasShadow`.

        Raises:
            ValueError: The canvas is longer than ``max_length``.
        """
        self._check_length(attend)
        attend = attend.to(self.device)
        mask, positions = attention_maps.with_twins(
            self._mask(attend), attention.position_ids(attend), blocks
        )
        twins = canvas.new_full((len(canvas), mask.shape[3] - canvas.shape[1]), self.mask_id)
        first = devices.placed([start for start, _ in blocks], judged.device)
        column = canvas.shape[1] + judged[:, 1] - first[judged[:, 0]]
        rows = torch.cat([query, torch.stack([judged[:, 0], column], dim=1)])
        logits = self._suppress(self._rows(torch.cat([canvas, twins], dim=1), mask, positions, rows))
        return logits[: len(query)], logits[len(query) :]

    @property
    def window_margin(self) -> int:
        """A shifted network predicts a token from the column before it."""
        return int(self.shift)

    def new_cache(self, n_rows: int, length: int) -> kv_cache.KeyValues:
        """Return room for the keys and values of *n_rows* canvases of *length* columns."""
        dtype = next(self.network.parameters()).dtype
        return kv_cache.new_key_values(self.network.config, n_rows, length, dtype, self.device)

    @torch.inference_mode()
    def with_cache(
        self,
        canvas: Tensor,
        attend: Tensor,
        query: Tensor,
        contexts: Sequence[Any],
        cache: kv_cache.KeyValues,
        rows: Tensor,
        window: Sequence[tuple[int, int]] | None,
    ) -> Tensor:
        """Return the logits at *query*, evaluating the columns in *window* only; see `HasCache`.

        Raises:
            ValueError: The canvas is longer than ``max_length``.
        """
        self._check_length(attend)
        attend, canvas = attend.to(self.device), canvas.to(self.device)
        ask = self._network_rows(attend, query).to(self.device)
        mask, positions = self._mask(attend), attention.position_ids(attend)
        update = CacheUpdate(cache, rows, None)
        if window is not None:
            part = kv_cache.window_of(window, canvas.shape[1], self.device)
            update = CacheUpdate(cache, rows, part)
            first = part.columns[:, 0]
            ask = torch.stack([ask[:, 0], ask[:, 1] - first[ask[:, 0]]], dim=1)
            canvas, positions = part.take(canvas), part.take(positions)
            mask = part.take(mask[:, 0]).unsqueeze(1)
        return self._suppress(self._rows(canvas, mask, positions, ask, cache=update))

    def raw_logits(self, canvas: Tensor, attend: Tensor, query: Tensor, **options: Any) -> Tensor:
        """Return the float32 logits [N, V] of the network's rows *query*.

        Nothing is suppressed or shifted, and any length is allowed. *options* go to the network.
        """
        attend = attend.to(self.device)
        return self._rows(canvas, self._mask(attend), attention.position_ids(attend), query, **options)

    def _rows(
        self,
        ids: Tensor,
        mask: Tensor,
        positions: Tensor,
        query: Tensor,
        cache: CacheUpdate | None = None,
        **options: Any,
    ) -> Tensor:
        if self.network is None:
            raise RuntimeError(
                f"model {self.name!r} must be open to be called, got a closed one; load it again"
            )
        query = query.to(self.device)
        body = self.network.model if self.compiled is None or cache or options else self.compiled
        with torch.inference_mode():
            hidden = body(
                input_ids=ids.to(self.device),
                attention_mask=mask,
                position_ids=positions,
                use_cache=False,
                **with_cache(self.network.model, cache),
                **options,
            ).last_hidden_state
            query = query.to(hidden.device)  # of the last layer, where layers stand on several devices
            logits: Tensor = self.network.lm_head(hidden[query[:, 0], query[:, 1]])
            return logits.to(self.device).float()

    def _suppress(self, logits: Tensor) -> Tensor:
        with torch.inference_mode():
            return logits.index_fill_(1, self._suppressed, float("-inf"))

    @cached_property
    def _suppressed(self) -> Tensor:
        return devices.placed(self.suppressed_ids, self.device, torch.int64)

    @cached_property
    def numerics(self) -> Numerics:
        """What it is computed with."""
        config, dtype = self.network.config, next(self.network.parameters()).dtype
        heads = config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // heads
        return Numerics(
            device=devices.name_of(self.device),
            dtype=self.dtype,
            attention=devices.attention_kernel(heads, width, dtype, self.device),
            tf32=self.device.type == "cuda" and torch.backends.cuda.matmul.allow_tf32,
            compiled=self.compiled is not None,
            torch=str(torch.__version__),
            commit=self.directory.name if self.directory.parent.name == HUB_COMMITS else None,
        )

    def sync(self) -> None:
        """Wait until the device is idle."""
        devices.sync(self.device)

    def close(self) -> None:
        """Drop the network and give its memory back; the model cannot be called afterwards."""
        self.network = self.compiled = None
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

    def _check_length(self, attend: Tensor) -> None:
        if attend.shape[1] <= self.max_length:
            return
        length = int(attend.sum(dim=1).max())  # padding takes no position
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


@dataclass(kw_only=True, eq=False)
class OwnLoop:
    """Base of a generator whose own loop calls a native denoiser: what a run asks of both is the latter's.

    Args:
        denoiser: The network.
    """

    owns_loop: ClassVar[bool] = True

    denoiser: NativeDenoiser

    @property
    def name(self) -> str:
        """The name the user gave."""
        return self.denoiser.name

    @property
    def eos_ids(self) -> frozenset[int]:
        """Tokens that end an answer."""
        return self.denoiser.eos_ids

    @property
    def tokenizer(self) -> HFTokenizer | ByteTokenizer:
        """Text to ids and back."""
        return self.denoiser.tokenizer

    @property
    def self_tests(self) -> tuple[SelfTest, ...]:
        """Checks made when the model was loaded."""
        return self.denoiser.self_tests

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the prompt ids of a chat, ready to be followed by the generated region."""
        return self.denoiser.encode_prompt(messages)

    def answer_ids(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Return the generated *ids* before the first EOS or end of turn."""
        return self.denoiser.answer_ids(ids)

    @property
    def numerics(self) -> Numerics:
        """What the network is computed with."""
        return self.denoiser.numerics

    def sync(self) -> None:
        """Wait until the device is idle."""
        self.denoiser.sync()

    def close(self) -> None:
        """Drop the network and give its memory back; the model cannot be used afterwards."""
        self.denoiser.close()
