"""Checkpoints of diffusion families run by transformers' own classes: one loader, one denoiser, self-tests at load.

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
    load_weights,
    read_config,
)
from decoders.protocols import Message, ModelRequest

LOGGER = logging.getLogger(__name__)

FLOAT32_TOLERANCE = 1e-4
"""How far float32 logits of size 1 may move by rounding when the batch's shape changes; grows with their size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SelfTest:
    """One check made when a model was loaded. A model that failed one is never returned."""

    name: str
    passed: bool
    detail: str


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

        The byte tokenizer of a checkpoint without one has no chat markers; contents are then joined by blank lines.

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
            ValueError: The canvas is longer than ``max_length`` (only logged, once, for a checkpoint without a
                tokenizer: its bytes are many more than the tokens it was made for, and rotary positions go on).
        """
        self._check_length(canvas.shape[1])
        logits = forward(self.network, canvas.to(self.device), attend.to(self.device), query.to(self.device))
        index = torch.tensor(self.suppressed_ids, dtype=torch.int64, device=self.device)
        return logits.index_fill(1, index, float("-inf"))

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


def forward(network: Any, canvas: Tensor, attend: Tensor, query: Tensor) -> Tensor:
    """Return the float32 logits [N, V] of *network* at the queried positions, nothing suppressed.

    Raises:
        RuntimeError: The network was dropped.
    """
    if network is None:
        raise RuntimeError("network must be loaded, got a model that was closed; load it again")
    with torch.inference_mode():
        hidden = network.model(
            input_ids=canvas,
            attention_mask=attention.key_mask(attend),
            position_ids=attention.position_ids(attend),
            use_cache=False,
        ).last_hidden_state
        logits: Tensor = network.lm_head(hidden[query[:, 0], query[:, 1]])
        return logits.float()


def load(request: ModelRequest, family: Family) -> NativeDenoiser:
    """Return the checkpoint that *request* asks for, loaded and self-tested.

    Raises:
        LoadError: It cannot be found, does not fit the family, or failed a self-test.
    """
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
    return checked(replace(denoiser, self_tests=(keys, *self_tests(denoiser, plan))))


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


def checked(denoiser: NativeDenoiser) -> NativeDenoiser:
    """Return *denoiser* if it passed all its self-tests.

    Raises:
        LoadError: It failed one; the message holds the detail.
    """
    for test in denoiser.self_tests:
        if not test.passed:
            raise LoadError(
                f"self-test {test.name!r} of {denoiser.name!r} must pass, got: {test.detail}; "
                "check that the checkpoint is complete and the versions of torch and transformers are supported"
            )
    return denoiser


def self_tests(denoiser: NativeDenoiser, plan: Plan) -> tuple[SelfTest, ...]:
    """Return the outcome of every check on a loaded denoiser but that of its keys."""
    return (
        _rope(denoiser, plan),
        _padding(denoiser),
        _both_directions(denoiser),
        _suppression(denoiser),
        _mask_token(denoiser),
    )


def _probe(denoiser: NativeDenoiser, *, pads: int = 0, last: int = 0) -> Tensor:
    """Return float32 logits [8, V] of a fixed row of 8 tokens with *pads* pads before it."""
    length = 8
    ids = (torch.arange(1, length + 1) * 37) % denoiser.vocab_size
    ids[-1] = (ids[-1] + last) % denoiser.vocab_size
    ids[length // 2] = denoiser.mask_id
    canvas = torch.cat([torch.full((pads,), denoiser.pad_id), ids]).unsqueeze(0).to(denoiser.device)
    attend = (torch.arange(pads + length, device=denoiser.device) >= pads).unsqueeze(0)
    query = torch.stack([torch.zeros(length, dtype=torch.int64), torch.arange(pads, pads + length)], dim=1)
    return forward(denoiser.network, canvas, attend, query.to(denoiser.device))


def _rope(denoiser: NativeDenoiser, plan: Plan) -> SelfTest:
    """Every table of inverse frequencies is ``theta ** (-2 i / head_dim)``."""
    powers = torch.arange(0, plan.head_dim, 2, dtype=torch.float64) / plan.head_dim
    formula = plan.rope_theta ** (-powers)
    tables = [table for name, table in denoiser.network.named_buffers() if name.endswith("inv_freq")]
    error = max((float((t.double().cpu() / formula - 1.0).abs().max()) for t in tables), default=float("nan"))
    return SelfTest(
        name="inv_freq",
        passed=error <= 1e-5,
        detail=f"relative error {error:.1e} over {len(tables)} rotary tables",
    )


def _padding(denoiser: NativeDenoiser) -> SelfTest:
    """Padding on the left changes no logit but by rounding (reported only, below float32)."""
    alone, padded = _probe(denoiser), _probe(denoiser, pads=3)
    difference, size = float((alone - padded).abs().max()), float(alone.abs().max())
    allowed = FLOAT32_TOLERANCE * max(1.0, size)
    return SelfTest(
        name="padding",
        passed=difference <= allowed if denoiser.dtype == "float32" else difference < float("inf"),
        detail=f"padded and unpadded logits differ by {difference:.1e} at size {size:.1e} in {denoiser.dtype}",
    )


def _both_directions(denoiser: NativeDenoiser) -> SelfTest:
    """Another last token changes earlier logits: attention is not causal."""
    difference = float((_probe(denoiser) - _probe(denoiser, last=1))[:-1].abs().max())
    return SelfTest(
        name="both_directions",
        passed=difference > 0.0,
        detail=f"a later token moves earlier logits by {difference:.1e}",
    )


def _suppression(denoiser: NativeDenoiser) -> SelfTest:
    """Suppressed columns are -inf, MASK among them; all others are finite."""
    canvas = torch.full((1, 2), denoiser.mask_id)
    logits = denoiser(canvas, torch.ones(1, 2, dtype=torch.bool), torch.tensor([[0, 0], [0, 1]]), (None,))
    finite = torch.isfinite(logits)
    suppressed = torch.zeros(denoiser.vocab_size, dtype=torch.bool, device=logits.device)
    suppressed[list(denoiser.suppressed_ids)] = True
    return SelfTest(
        name="suppression",
        passed=bool((finite == ~suppressed).all() and (logits[:, denoiser.mask_id] == float("-inf")).all()),
        detail=f"{int((~finite).any(dim=0).sum())} columns are not finite, {len(denoiser.suppressed_ids)} are suppressed",
    )


def _mask_token(denoiser: NativeDenoiser) -> SelfTest:
    """The mask is neither an end nor padding, and is what the tokenizer calls the mask, if it does."""
    fallback = isinstance(denoiser.tokenizer, ByteTokenizer)
    written = None if fallback else denoiser.tokenizer.token_id(denoiser.chat.mask)  # type: ignore[union-attr]
    others = {*denoiser.eos_ids, denoiser.pad_id}
    return SelfTest(
        name="mask_token",
        passed=denoiser.mask_id not in others and written in (None, denoiser.mask_id),
        detail=f"config.json says {denoiser.mask_id}, the tokenizer {written}, EOS and padding are {sorted(others)}",
    )
