"""`ideal`: the embedded default model. It decodes from the exact distribution of valid answers.

Source: the ideal model of ParallelBench (arXiv:2510.04767), sections 3 and 4: exact conditional marginals of
    every
masked position given the committed tokens, and no noise; ties are broken at random by the loop
(`unbiased_ties`). It is a reference without bias, not an upper bound: a model that always picks the same
valid answer scores 1 anywhere.
Legend: B = rows, C = support, N = queries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoders.protocols import Message, ModelRequest, Tokenizer
from decoders.text.hf_tokenizer import HFTokenizer
from decoders.text.tokenizer import EOS_ID, MASK_ID, PieceTokenizer
from decoders.theory.answer_sets import TokenAnswers, TokenPermutations

if TYPE_CHECKING:
    from torch import Tensor

EXACT = True
"""What this module loads is the exact reference, whose results obey laws."""

BATCH_TOKENS = 16_384


class Ideal:
    """A denoiser whose contexts are `TokenAnswers` or `TokenPermutations` of each row's sample.

    It never reads the prompt. What its marginals are is written in `decoders.theory.marginals`.
    """

    name = "ideal"
    unbiased_ties = True
    uses_answers = True
    batch_tokens = BATCH_TOKENS
    cpu_threads = 1
    device = "cpu"

    def __init__(self, tokenizer: Tokenizer, *, mask_id: int, eos_id: int, vocab_size: int) -> None:
        self.tokenizer = tokenizer
        self.mask_id = mask_id
        self.eos_ids = frozenset({eos_id})
        self.pad_id = eos_id
        self.vocab_size = vocab_size

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return no ids: the answer set already depends on the question."""
        return []

    def support(self, contexts: Sequence[Any]) -> Tensor:
        """Return the ids each row can take, int64 [B, C], padded with the last one.

        Raises:
            TypeError: A context is no answer set.
        """
        from decoders.theory.marginals import supports

        for context in contexts:
            if not isinstance(context, (TokenAnswers, TokenPermutations)):
                raise TypeError(
                    f"contexts must be TokenAnswers or TokenPermutations, got {context!r}; "
                    "see decoders.theory.answer_sets.enumerated and permutations"
                )
        return supports(contexts)

    def __call__(self, canvas: Tensor, attend: Tensor, query: Tensor, contexts: Sequence[Any]) -> Tensor:
        """Return exact log marginals over each row's support, float32 [N, C].

        Raises:
            ValueError: Answers of another length than the generated region.
        """
        from decoders.theory.marginals import log_marginals

        return log_marginals(canvas, query, contexts, mask_id=self.mask_id)

    def with_shadows(
        self,
        canvas: Tensor,
        attend: Tensor,
        query: Tensor,
        blocks: Sequence[tuple[int, int]],
        judged: Tensor,
        contexts: Sequence[Any],
    ) -> tuple[Tensor, Tensor]:
        """Return the logits of a plain call, and at *judged* the log marginals given all other tokens."""
        from decoders.theory.marginals import log_marginals

        plain = self(canvas, attend, query, contexts)
        return plain, log_marginals(canvas, judged, contexts, mask_id=self.mask_id, without_own=True)


def fingerprint(request: ModelRequest) -> str:
    """Return the hash of the tokenizer: its pieces, or the tokenizer.json in the folder that was named.

    Raises:
        OSError: The folder holds no tokenizer.json.
    """
    if request.source is None:
        return hashlib.sha256("\0".join(request.vocabulary).encode()).hexdigest()
    return hashlib.sha256((Path(request.source) / "tokenizer.json").read_bytes()).hexdigest()


def load(request: ModelRequest) -> Ideal:
    """Return `ideal` with our own tokenizer, or with the one in the folder ``--model ideal=FOLDER``.

    Raises:
        ValueError: The folder holds no tokenizer.
    """
    if request.source is None:
        tokenizer = PieceTokenizer(request.vocabulary)
        return Ideal(tokenizer, mask_id=MASK_ID, eos_id=EOS_ID, vocab_size=len(tokenizer))
    borrowed = HFTokenizer.from_folder(Path(request.source))
    size = len(borrowed)
    return Ideal(borrowed, mask_id=size, eos_id=size + 1, vocab_size=size + 2)
