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
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from decoders.protocols import Message, ModelRequest, Tokenizer
from decoders.text.hf_tokenizer import HFTokenizer
from decoders.text.tokenizer import EOS_ID, MASK_ID, PieceTokenizer
from decoders.theory.answer_sets import TokenAnswers, TokenPermutations
from decoders.theory.marginals import Listed, permuted, stretched

EXACT = True
"""What this module loads is the exact reference, whose results obey laws."""

BATCH_TOKENS = 16_384

HIDDEN_AT_ONCE = 1024
"""Canvases with one token hidden that are looked at together."""


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
        for context in contexts:
            if not isinstance(context, (TokenAnswers, TokenPermutations)):
                raise TypeError(
                    f"contexts must be TokenAnswers or TokenPermutations, got {context!r}; "
                    "see decoders.theory.answer_sets.enumerated and permutations"
                )
        longest = max(len(context.support) for context in contexts)
        return pad_sequence([stretched(context.support, longest) for context in contexts], batch_first=True)

    @torch.inference_mode()
    def __call__(self, canvas: Tensor, attend: Tensor, query: Tensor, contexts: Sequence[Any]) -> Tensor:
        """Return exact log marginals over each row's support, float32 [N, C].

        Raises:
            ValueError: Answers of another length than the generated region.
        """
        return self._logits(canvas, query, contexts)

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
        """Return the logits of a plain call, and at *judged* the log marginals given all other tokens."""
        plain = self(canvas, attend, query, contexts)
        return plain, self._logits(canvas, judged, contexts, without_own=True)

    def _permuted(
        self,
        generated: Tensor,
        row: Tensor,
        position: Tensor,
        orders: TokenPermutations,
        *,
        without_own: bool,
    ) -> Tensor:
        if not without_own:
            return permuted(generated, orders)[row, position]
        parts = []
        for start in range(0, len(row), HIDDEN_AT_ONCE):
            part_row, part_position = (index[start : start + HIDDEN_AT_ONCE] for index in (row, position))
            hidden, each = generated[part_row], torch.arange(len(part_row))
            hidden[each, part_position] = self.mask_id
            parts.append(permuted(hidden, orders)[each, part_position])
        return torch.cat(parts)

    def _logits(
        self, canvas: Tensor, query: Tensor, contexts: Sequence[Any], *, without_own: bool = False
    ) -> Tensor:
        """Return log marginals of every query, float32 [N, C], computed together for what is of one kind."""
        width = max(len(context.support) for context in contexts)
        row, position = query.unbind(dim=1)
        logits = torch.full((len(query), width), -math.inf)
        for members, questions, of in _kinds(contexts):
            context = questions[0]
            listed = isinstance(context, TokenAnswers)
            gen_length = context.ids.shape[1] if isinstance(context, TokenAnswers) else len(context.slot)
            first = canvas.shape[1] - gen_length
            place = torch.full((len(canvas),), -1, dtype=torch.long)
            place[members] = torch.arange(len(members))
            mine = (place[row] >= 0).nonzero().squeeze(1)
            if first < 0 or bool((position[mine] < first).any()):
                raise ValueError(
                    f"contexts must hold answers as long as the generated region, got {gen_length} "
                    "positions; tokenise them with gen_length of the row"
                )
            if not len(mine):
                continue
            generated = canvas[members][:, first:].contiguous()
            rows, positions = place[row[mine]], position[mine] - first
            if listed:
                asked = Listed(questions=questions, generated=generated, of=torch.tensor(of))
                found = asked.marginals(rows, positions, without_own=without_own)
            else:
                found = self._permuted(generated, rows, positions, context, without_own=without_own)
            logits[mine, : found.shape[1]] = found.log()
        return logits


def _kinds(contexts: Sequence[Any]) -> list[tuple[list[int], list[Any], list[int]]]:
    """Return what can be computed together: rows, their distinct contexts, and which of them each row has.

    Listed answers of one structure are of one kind, described orders each a kind of its own.
    """
    found: dict[Any, tuple[list[int], list[Any], list[int]]] = {}
    known: dict[int, tuple[Any, int]] = {}
    for row, context in enumerate(contexts):
        if id(context) not in known:
            kind = context.structure if isinstance(context, TokenAnswers) else id(context)
            questions = found.setdefault(kind, ([], [], []))[1]
            known[id(context)] = (kind, len(questions))
            questions.append(context)
        kind, place = known[id(context)]
        members, _, of = found[kind]
        members.append(row)
        of.append(place)
    return list(found.values())


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
