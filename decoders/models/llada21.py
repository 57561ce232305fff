"""LLaDA2.1 with its own loop: confident tokens are committed, committed ones are edited while they change.

Legend: B = rows, L = canvas length, G = generated length, N = queried positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from decoders.fingerprint import checkpoint_hash
from decoders.loading.checkpoint import Preset, find_checkpoint
from decoders.models import llada2
from decoders.network import attention
from decoders.network.denoiser import OwnLoop
from decoders.network.family import load_checkpoint
from decoders.network.row_batches import canvas_of, check_rows, in_batches, must_be_at_least, read_params
from decoders.protocols import ModelRequest
from decoders.rows import Decoded, Row

PRESETS = MappingProxyType(
    {
        "llada2.1": Preset(
            hub_id="inclusionAI/LLaDA2.1-mini", revision="main", dtype="bfloat16", licence="Apache-2.0"
        ),
        "llada2.1-flash": Preset(
            hub_id="inclusionAI/LLaDA2.1-flash", revision="main", dtype="bfloat16", licence="Apache-2.0"
        ),
    }
)

FAMILY = replace(llada2.FAMILY, presets=PRESETS)

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {"threshold": 0.95, "editing_threshold": 0.9, "max_post_steps": 16, "num_to_transfer": 1}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _State:
    """Rows being decoded; all tensors have rows first."""

    canvas: Tensor  # int64 [B, L]
    attend: Tensor  # bool [B, L]
    open: Tensor  # bool [B, L], generated positions
    block: Tensor  # int64 [B, L], the block of each position
    current: Tensor  # int64 [B], the block being decoded
    last: Tensor  # int64 [B], the last block
    post_steps: Tensor  # int64 [B], forwards of this block without a mask
    nfe: Tensor  # int64 [B]
    written: Tensor  # int64 [B, L], the forward that wrote a position last

    def keep(self, index: Tensor) -> _State:
        """Return some of the rows."""
        return _State(**{name: getattr(self, name)[index] for name in self.__slots__})


@dataclass(kw_only=True, eq=False)
class Llada21Generator(OwnLoop):
    """LLaDA2.1 with the published editing loop, block by block from the first token of the prompt.

    Parameters of ``native``: ``threshold`` (commit what is surer), ``editing_threshold`` (overwrite a
    committed token by a different one that is surer), ``num_to_transfer`` (commit at least so many) and
    ``max_post_steps`` (forwards of a block after its last mask). A block ends when a forward without masks
    changes nothing. ``nfe`` counts all forwards and is not bounded by the length; ``commit_step`` is the
    forward that wrote the final token.

    Source: inclusionAI/LLaDA2.1-mini, modeling_llada2_moe.py, generate at temperature 0.
    Differs: the last block ends with the canvas, the published one is filled up to the whole block; no early
    stop at EOS.
    """

    batch_tokens: int = 8192

    def generate(self, rows: Sequence[Row], params: Mapping[str, Any]) -> list[Decoded]:
        """Decode *rows* in the order given.

        Raises:
            ValueError: A parameter, or a row, asks for what the loop does not have.
            RuntimeError: The model was closed.
        """
        chosen = read_params(params, DEFAULTS, name=self.name)
        must_be_at_least(chosen["num_to_transfer"], 1, key="num_to_transfer")
        must_be_at_least(chosen["max_post_steps"], 0, key="max_post_steps")
        check_rows(rows, name=self.name, greedy=True)
        with torch.inference_mode():
            return in_batches(rows, lambda batch: self._decode(batch, chosen), tokens=self.batch_tokens)

    def _decode(self, rows: list[Row], chosen: Mapping[str, Any]) -> list[Decoded]:
        results: dict[int, Decoded] = {}
        state, places = self._start(rows), torch.arange(len(rows))
        while len(places):
            stepped, block_done = self._step(state, chosen)
            moved = stepped.current + block_done.long()
            state = replace(stepped, current=moved, post_steps=stepped.post_steps.masked_fill(block_done, 0))
            done = moved > state.last
            results |= _decoded(rows, places, state, done)
            state, places = state.keep((~done).nonzero()[:, 0]), places[~done.cpu()]
        return [results[index] for index in range(len(rows))]

    def _start(self, rows: list[Row]) -> _State:
        length, device, mask_id = rows[0].gen_length, self.denoiser.device, self.denoiser.mask_id
        fill = torch.full((len(rows), length), mask_id, device=device)
        canvas, attend = canvas_of(rows, pad_id=self.denoiser.pad_id, fill=fill)
        opened = torch.zeros_like(attend)
        opened[:, -length:] = True
        assert self.denoiser.block_length is not None
        block = attention.position_ids(attend) // self.denoiser.block_length
        zeros = torch.zeros(len(rows), dtype=torch.int64, device=device)
        return _State(
            canvas=canvas,
            attend=attend,
            open=opened,
            block=block,
            current=block[:, -length],
            last=block[:, -1],
            post_steps=zeros,
            nfe=zeros,
            written=torch.full_like(canvas, -1),
        )

    def _step(self, state: _State, chosen: Mapping[str, Any]) -> tuple[_State, Tensor]:
        """Return the rows after one forward, and which of them end their block (bool [B])."""
        here = state.open & (state.block == state.current[:, None])
        masked = here & (state.canvas == self.denoiser.mask_id)
        no_masks = ~masked.any(dim=1)
        post_steps = state.post_steps + no_masks.long()
        query = here.nonzero()
        logits = self.denoiser(state.canvas, state.attend, query, [None] * len(here))
        best, token = logits.softmax(dim=1).max(dim=1)
        confidence = torch.full(here.shape, -1.0, device=here.device)
        proposal = state.canvas.clone()
        confidence[here], proposal[here] = best, token
        edits = here & ~masked & (confidence > chosen["editing_threshold"]) & (proposal != state.canvas)
        writes = _commits(confidence, masked, chosen) | edits
        stepped = replace(
            state,
            canvas=torch.where(writes, proposal, state.canvas),
            written=torch.where(writes, state.nfe[:, None], state.written),
            post_steps=post_steps,
            nfe=state.nfe + 1,
        )
        spent = ~(masked & ~writes).any(dim=1) & (post_steps >= chosen["max_post_steps"])
        return stepped, spent | (no_masks & ~edits.any(dim=1))


def _commits(confidence: Tensor, masked: Tensor, chosen: Mapping[str, Any]) -> Tensor:
    """Return what of *masked* is surer than the threshold; if that is too little, the surest ones."""
    sure = masked & (confidence > chosen["threshold"])
    order = confidence.masked_fill(~masked, -2.0).argsort(dim=1, descending=True, stable=True)
    surest = masked & (order.argsort(dim=1) < chosen["num_to_transfer"])
    enough = sure.sum(dim=1, keepdim=True) >= chosen["num_to_transfer"]
    return torch.where(enough, sure, surest)


def _decoded(rows: list[Row], places: Tensor, state: _State, done: Tensor) -> dict[int, Decoded]:
    results = {}
    for at in done.nonzero()[:, 0].tolist():
        index = int(places[at])
        row, nfe = rows[index], int(state.nfe[at])
        results[index] = Decoded(
            key=row.key,
            ids=tuple(state.canvas[at, -row.gen_length :].tolist()),
            nfe=nfe,
            commit_step=tuple(state.written[at, -row.gen_length :].tolist()),
            evaluated_positions=nfe * (len(row.prompt_ids) + row.gen_length),
        )
    return results


def fingerprint(request: ModelRequest) -> str:
    """Return the hash of the checkpoint's files; a hub id is fetched for it.

    Raises:
        ValueError: It cannot be found, or is incomplete.
    """
    return checkpoint_hash(find_checkpoint(request, PRESETS))


def load(request: ModelRequest) -> Llada21Generator:
    """Return the LLaDA2.1 checkpoint that *request* asks for: a preset, a folder or a hub id.

    Raises:
        LoadError: It cannot be found, is not one this mapping computes exactly, or failed a self-test.
    """
    return Llada21Generator(denoiser=load_checkpoint(request, FAMILY))
