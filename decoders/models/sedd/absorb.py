"""SEDD with the absorbing graph as a mask predictor.

Legend: B = rows, L = canvas length, N = queried positions, V = states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from decoders.loading.checkpoint import LoadError
from decoders.models.sedd.checkpoint import PRESETS, Sedd, files_hash, load_sedd
from decoders.models.sedd.model import SeddModel
from decoders.models.sedd.noise import LogLinear
from decoders.network.self_tests import SelfTest, all_passed, both_directions, padding, suppression
from decoders.protocols import ModelRequest
from decoders.text.byte_tokenizer import ByteTokenizer
from decoders.text.hf_tokenizer import HFTokenizer


@dataclass(kw_only=True, eq=False)
class SeddDenoiser(SeddModel):
    """SEDD's scores as logits of masked positions, for any unmasking method.

    With the log-linear noise a token is masked with the probability ``(1 - e) t``, and the score of a token
    at a masked position times ``exp(sigma) - 1`` is its probability (arXiv:2310.16834). So the outputs of
    the last layer, MASK left out, are logits. ``t`` is the share of masked positions in the row, prompt
    included, as in training, where masks fall on all positions alike.
    """

    used_to: ClassVar[str] = "be called"

    checkpoint: Sedd | None
    name: str
    mask_id: int
    eos_ids: frozenset[int]
    pad_id: int
    vocab_size: int
    tokenizer: HFTokenizer | ByteTokenizer
    device: torch.device
    suppressed_ids: tuple[int, ...]
    self_tests: tuple[SelfTest, ...] = ()
    dtype: str = "float32"

    def __call__(self, canvas: Tensor, attend: Tensor, query: Tensor, contexts: Sequence[Any]) -> Tensor:
        """Return float32 logits [N, V] of the queried positions, MASK at -inf; *contexts* are not read.

        Raises:
            ValueError: The canvas is longer than the network was trained with.
            RuntimeError: The model was closed.
        """
        self._open().check_length(canvas.shape[1])
        logits = self.raw_logits(canvas, attend, query)
        with torch.inference_mode():
            logits[:, self.mask_id] = float("-inf")
        return logits

    def raw_logits(self, canvas: Tensor, attend: Tensor, query: Tensor) -> Tensor:
        """Return the network's outputs [N, V], nothing suppressed and any length allowed."""
        checkpoint = self._open()
        canvas, attend, query = (tensor.to(self.device) for tensor in (canvas, attend, query))
        masked = ((canvas == self.mask_id) & attend).sum(dim=1)
        sigma = LogLinear().sigma(masked.double() / attend.sum(dim=1).clamp(min=1)).float()
        with torch.inference_mode():
            return checkpoint.network.head(canvas, attend, sigma, query)


def fingerprint(request: ModelRequest) -> str:
    """Return the hash of the checkpoint's files, and of GPT-2's tokenizer where a preset uses it.

    Raises:
        ValueError: It cannot be found, or is incomplete.
    """
    return files_hash(request, PRESETS)


def load(request: ModelRequest) -> SeddDenoiser:
    """Return the SEDD checkpoint that *request* asks for as a mask predictor.

    Raises:
        LoadError: It cannot be found, is not SEDD with the absorbing graph, or failed a self-test.
    """
    checkpoint = load_sedd(request, PRESETS)
    if checkpoint.graph != "absorb":
        raise LoadError(
            f"{checkpoint.directory / 'config.json'}: graph.type must be 'absorb' for a mask predictor, "
            f"got {checkpoint.graph!r}; choose the model name of its own sampler (sedd-uniform)"
        )
    return mask_predictor(checkpoint)


def mask_predictor(checkpoint: Sedd) -> SeddDenoiser:
    """Return *checkpoint*, which has the absorbing graph, as a mask predictor; self-tested.

    Raises:
        LoadError: It failed a self-test.
    """
    denoiser = SeddDenoiser(
        checkpoint=checkpoint,
        name=checkpoint.name,
        mask_id=checkpoint.tokens,
        eos_ids=frozenset({checkpoint.eos_id}),
        pad_id=checkpoint.eos_id,
        vocab_size=checkpoint.states,
        tokenizer=checkpoint.tokenizer,
        device=checkpoint.device,
        suppressed_ids=(checkpoint.tokens,),
    )
    tests = (padding(denoiser), both_directions(denoiser), suppression(denoiser))
    denoiser.self_tests = (*checkpoint.self_tests, *all_passed(checkpoint.name, tests))
    return denoiser
