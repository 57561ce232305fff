"""SEDD's own samplers, absorbing and uniform: analytic or Euler steps, then one Tweedie denoising step.

Legend: B = rows, G = generated length, N = B * G generated positions, V = states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from decoders.loading.checkpoint import Preset
from decoders.loop import draws
from decoders.models.sedd.absorb import mask_predictor
from decoders.models.sedd.checkpoint import PRESETS as CHECKPOINTS
from decoders.models.sedd.checkpoint import Sedd, files_hash, load_sedd
from decoders.models.sedd.model import SeddModel
from decoders.models.sedd.noise import (
    Absorbing,
    Graph,
    Noise,
    Uniform,
    analytic_weights,
    denoiser_weights,
    euler_weights,
)
from decoders.network.row_batches import (
    canvas_of,
    check_rows,
    in_batches,
    must_be_at_least,
    positions_of,
    read_params,
)
from decoders.network.self_tests import SelfTest
from decoders.protocols import ModelRequest
from decoders.rows import Decoded, DecodeError, Row
from decoders.text.byte_tokenizer import ByteTokenizer
from decoders.text.hf_tokenizer import HFTokenizer

PRESETS = MappingProxyType(
    {
        "sedd-absorb": CHECKPOINTS["sedd"],
        "sedd-absorb-medium": CHECKPOINTS["sedd-medium"],
    }
)
"""No checkpoint with the uniform graph is published: it needs a folder or a hub id."""

LAST_TIME = 1e-5
PREDICTORS = ("analytic", "euler")
DEFAULTS: Mapping[str, Any] = MappingProxyType({"steps": None, "predictor": "analytic"})
NOISE = 5
"""Purpose of the draws that fill a uniform canvas; those of `decoders.loop.draws` end at 4."""


@dataclass(kw_only=True, eq=False)
class SeddGenerator(SeddModel):
    """SEDD with its published samplers; an unmasking method has no say.

    Parameters of ``native``: ``steps`` (the generated length unless given) and ``predictor``, ``analytic`` or
    ``euler``. One more forward denoises what is left, so ``nfe`` is steps + 1; no forward is ever skipped,
    because scores change with time even where tokens did not.

    Source: arXiv:2310.16834; sampling.py, get_pc_sampler, with the prompt put back before every forward.
    Differs: float64 weights; draws depend on seed, sample, position and step only.
    """

    owns_loop: ClassVar[bool] = True
    used_to: ClassVar[str] = "generate"

    checkpoint: Sedd | None
    name: str
    graph: Graph
    noise: Noise
    eos_ids: frozenset[int]
    tokenizer: HFTokenizer | ByteTokenizer
    device: torch.device
    self_tests: tuple[SelfTest, ...]
    batch_tokens: int = 1024

    def generate(self, rows: Sequence[Row], params: Mapping[str, Any]) -> list[Decoded]:
        """Decode *rows* in the order given.

        Raises:
            ValueError: A parameter, or a row, asks for what the sampler does not have.
            RuntimeError: The model was closed.
        """
        chosen = read_params(params, DEFAULTS, name=self.name)
        if chosen["predictor"] not in PREDICTORS:
            raise ValueError(
                f"predictor must be one of {', '.join(PREDICTORS)}, got {chosen['predictor']!r}; choose one"
            )
        if chosen["steps"] is not None:
            must_be_at_least(chosen["steps"], 1, key="steps")
        check_rows(rows, name=self.name, greedy=False)

        def sample(batch: list[Row]) -> list[Decoded]:
            return self._sample(batch, chosen["steps"] or batch[0].gen_length, chosen["predictor"])

        with torch.inference_mode():
            return in_batches(rows, sample, tokens=self.batch_tokens)

    def weights(
        self,
        canvas: Tensor,
        attend: Tensor,
        query: Tensor,
        *,
        time: float,
        step: float | None,
        predictor: str,
    ) -> Tensor:
        """Return weights of the states of the queried positions one step back.

        Args:
            canvas: int64 [B, L].
            attend: bool [B, L], False at padding.
            query: int64 [N, 2], pairs (row, position).
            time: Between 0 and 1, where 1 is noise.
            step: Size of the step, or None to denoise: clean tokens then, without a column for MASK.
            predictor: ``analytic`` or ``euler``.
        """
        now = torch.tensor(time, dtype=torch.float64)
        sigma = float(self.noise.sigma(now))
        level = torch.full((len(canvas),), sigma, dtype=torch.float32, device=self.device)
        log_score = self._open().network.log_scores(canvas, attend, level, query)
        token = canvas[query[:, 0], query[:, 1]]
        if step is None:
            return denoiser_weights(self.graph, log_score, token, sigma)
        if predictor == "euler":
            return euler_weights(self.graph, log_score, token, step * float(self.noise.rate(now)))
        return analytic_weights(self.graph, log_score, token, sigma - float(self.noise.sigma(now - step)))

    def _sample(self, rows: Sequence[Row], steps: int, predictor: str) -> list[Decoded]:
        length = rows[0].gen_length
        keys = torch.tensor([draws.row_key(row.seed, row.sample_id) for row in rows], device=self.device)
        absorbs = isinstance(self.graph, Absorbing)
        fill = self._start(keys, length)
        canvas, attend = canvas_of(rows, pad_id=next(iter(self.eos_ids)), fill=fill)
        self._open().check_length(canvas.shape[1])
        start = canvas.shape[1] - length
        query = positions_of(start, (len(rows), length), self.device)
        commit_step = torch.full_like(fill, -1)
        step_size = (1.0 - LAST_TIME) / steps
        for step in range(steps + 1):
            time, size = 1.0 - step * step_size, step_size if step < steps else None
            weights = self.weights(canvas, attend, query, time=time, step=size, predictor=predictor)
            drawn = _draw(weights, keys, length, step)
            if absorbs:
                newly = (canvas[:, start:] == self.graph.states - 1) & (drawn != self.graph.states - 1)
                commit_step = torch.where(newly, step, commit_step)
            canvas = torch.cat([canvas[:, :start], drawn], dim=1)
        return [
            Decoded(
                key=row.key,
                ids=tuple(ids),
                nfe=steps + 1,
                commit_step=tuple(order) if absorbs else None,
                evaluated_positions=(steps + 1) * (len(row.prompt_ids) + length),
            )
            for row, ids, order in zip(rows, canvas[:, start:].tolist(), commit_step.tolist(), strict=True)
        ]

    def _start(self, keys: Tensor, length: int) -> Tensor:
        """Return canvases [B, G] of noise: MASK, or uniform tokens."""
        if isinstance(self.graph, Absorbing):
            return torch.full((len(keys), length), self.graph.states - 1, device=self.device)
        uniform = draws.uniform(_key(keys, length, 0, NOISE))
        return (uniform * self.graph.states).long()


def _key(keys: Tensor, length: int, step: int, purpose: int) -> Tensor:
    positions = torch.arange(length, device=keys.device)
    return draws.combine(keys[:, None], positions, step, purpose)


def _draw(weights: Tensor, keys: Tensor, length: int, step: int) -> Tensor:
    """Return one state [B, G] per position, with probabilities proportional to the positive *weights*."""
    total = weights.clamp(min=0.0).cumsum(dim=1)
    if not bool(((total[:, -1] > 0.0) & torch.isfinite(total[:, -1])).all()):
        raise DecodeError(
            f"the network gave scores without a usable weight at step {step}; check the checkpoint",
            kind="model_error",
        )
    uniform = draws.uniform(_key(keys, length, step, draws.TOKEN_NOISE)).view(-1, 1)
    return torch.searchsorted(total[:, :-1].contiguous(), uniform * total[:, -1:], right=True).view(
        -1, length
    )


def fingerprint(request: ModelRequest) -> str:
    """Return the hash of the checkpoint's files, and of GPT-2's tokenizer where a preset uses it.

    Raises:
        ValueError: It cannot be found, or is incomplete.
    """
    return files_hash(request, PRESETS)


def load(request: ModelRequest) -> SeddGenerator:
    """Return the SEDD checkpoint that *request* asks for with its own sampler.

    Raises:
        LoadError: It cannot be found, is not SEDD, or failed a self-test.
    """
    return load_with(request, PRESETS)


def load_with(request: ModelRequest, presets: Mapping[str, Preset]) -> SeddGenerator:
    """Return the SEDD checkpoint that *request* asks for, a folder or one of *presets*."""
    checkpoint = load_sedd(request, presets)
    absorb = checkpoint.graph == "absorb"
    return SeddGenerator(
        checkpoint=checkpoint,
        name=checkpoint.name,
        graph=Absorbing(states=checkpoint.states) if absorb else Uniform(states=checkpoint.states),
        noise=checkpoint.noise,
        eos_ids=frozenset({checkpoint.eos_id}),
        tokenizer=checkpoint.tokenizer,
        device=checkpoint.device,
        self_tests=mask_predictor(checkpoint).self_tests if absorb else checkpoint.self_tests,
    )
