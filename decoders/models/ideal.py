"""`ideal`: the embedded default model. It decodes from the exact distribution of valid answers.

Source: the ideal model of ParallelBench (arXiv:2510.04767), sections 3 and 4: exact conditional marginals of
    every
masked position given the committed tokens, and no noise; ties are broken at random by the loop
(`unbiased_ties`). It is a reference without bias, not an upper bound: a model that always picks the same
valid answer scores 1 anywhere.
Legend: B = rows, A = answers, G = generated length, C = support, N = queries, I = items.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from decoders.protocols import Message, ModelRequest, Tokenizer
from decoders.text.hf_tokenizer import HFTokenizer
from decoders.text.tokenizer import EOS_ID, MASK_ID, PieceTokenizer
from decoders.theory.answer_sets import TokenAnswers, TokenPermutations

EXACT = True
"""What this module loads is the exact reference, whose results obey laws."""

BATCH_TOKENS = 16_384

KEPT_TABLES = 64
"""Answer tables kept between forwards; one per sample in the batch is enough."""


HIDDEN_AT_ONCE = 1024
"""Canvases with one token hidden that are looked at together."""


class Ideal:
    """A denoiser whose contexts are `TokenAnswers` or `TokenPermutations` of each row's sample.

    It never reads the prompt. When no answer agrees with what is committed, those that disagree at the fewest
    positions count; in a permutation, tokens are taken in position order and one that contradicts earlier
    ones is ignored.
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
        self._onehot = lru_cache(maxsize=KEPT_TABLES)(TokenAnswers.onehot)

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
        return pad_sequence([_stretch(context.support, longest) for context in contexts], batch_first=True)

    @torch.inference_mode()
    def __call__(self, canvas: Tensor, attend: Tensor, query: Tensor, contexts: Sequence[Any]) -> Tensor:
        """Return exact log marginals over each row's support, float32 [N, C].

        Raises:
            ValueError: Answers of another length than the generated region.
        """
        return _by_context(canvas, query, contexts, self._asked)

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
        return self(canvas, attend, query, contexts), _by_context(
            canvas, judged, contexts, self._without_own_token
        )

    def _asked(self, generated: Tensor, row: Tensor, position: Tensor, context: Any) -> Tensor:
        permuted = isinstance(context, TokenPermutations)
        marginals = self._permuted(generated, context) if permuted else self._listed(generated, context)
        return marginals[row, position]

    def _without_own_token(self, generated: Tensor, row: Tensor, position: Tensor, context: Any) -> Tensor:
        """Return P(token | all committed tokens but its own), float32 [N, C]."""
        if isinstance(context, TokenAnswers):
            return self._listed_without_own(generated, row, position, context)
        parts = []
        for start in range(0, len(row), HIDDEN_AT_ONCE):
            part_row, part_position = (index[start : start + HIDDEN_AT_ONCE] for index in (row, position))
            hidden, each = generated[part_row], torch.arange(len(part_row))
            hidden[each, part_position] = self.mask_id
            parts.append(self._permuted(hidden, context)[each, part_position])
        return torch.cat(parts)

    def _listed_without_own(
        self, generated: Tensor, row: Tensor, position: Tensor, answers: TokenAnswers
    ) -> Tensor:
        """Take the agreement of the own token away from every answer, then keep the nearest ones."""
        n_tokens = len(answers.support)
        agreements, onehot = self._agreements(generated, answers), self._onehot(answers)
        marginals = torch.zeros(len(row), n_tokens)
        for place in sorted(set(position.tolist())):
            mine = position == place
            rows, own = row[mine], onehot[:, place * n_tokens : (place + 1) * n_tokens]
            others = agreements[rows] - (generated[rows, place].unsqueeze(1) == answers.ids[:, place]).float()
            weight = (others == others.amax(dim=1, keepdim=True)) * answers.weights
            marginals[mine] = (weight @ own) / weight.sum(dim=1, keepdim=True)
        return marginals

    def _agreements(self, generated: Tensor, answers: TokenAnswers) -> Tensor:
        """Return at how many committed positions each answer agrees, float32 [B, A]."""
        n_rows, gen_length = generated.shape
        n_tokens = len(answers.support)
        local = torch.searchsorted(answers.support, generated).clamp(max=n_tokens - 1)
        known = answers.support[local] == generated
        columns = torch.arange(gen_length) * n_tokens + local
        committed = torch.zeros(n_rows, gen_length * n_tokens).scatter_(1, columns, known.float())
        return committed @ self._onehot(answers).T

    def _listed(self, generated: Tensor, answers: TokenAnswers) -> Tensor:
        """Return P(token | committed) from enumerated answers, float32 [B, G, C]."""
        n_rows, gen_length = generated.shape
        agreements = self._agreements(generated, answers)
        nearest = agreements == agreements.amax(dim=1, keepdim=True)
        weight = nearest * answers.weights
        marginals = (weight @ self._onehot(answers)) / weight.sum(dim=1, keepdim=True)
        return marginals.view(n_rows, gen_length, len(answers.support))

    def _permuted(self, generated: Tensor, orders: TokenPermutations) -> Tensor:
        """Return P(token | committed) over all orders in closed form, float32 [B, G, C].

        With r items left, an open slot shows each with (r - 1)! orders out of r!; the excluded input, where
        it still agrees with what is committed, is subtracted from both.
        """
        n_items, _ = orders.item_tokens.shape
        rows = torch.arange(len(generated))
        identity = torch.arange(n_items)
        item_at = torch.full((len(generated), n_items), -1)
        taken = torch.zeros(len(generated), n_items, dtype=torch.bool)
        for position in range(generated.shape[1]):
            slot = int(orders.slot[position])
            if slot < 0:
                continue
            names = orders.item_tokens[:, orders.offset[position]] == generated[:, position].unsqueeze(1)
            item = names.byte().argmax(dim=1)
            accept = names.any(dim=1) & (item_at[:, slot] < 0) & ~taken[rows, item]
            if orders.exclude_input:
                as_input = ((item_at < 0) | (item_at == identity)).all(dim=1) & (item == slot)
                accept &= ~(as_input & (taken.sum(dim=1) >= n_items - 2))
            item_at[accept, slot] = item[accept]
            taken[accept, item[accept]] = True
        open_slot = item_at < 0
        left = open_slot.sum(dim=1)
        input_agrees = orders.exclude_input & (open_slot | (item_at == identity)).all(dim=1)
        total = torch.lgamma(left.double() + 1).exp() - input_agrees.double()
        each = torch.lgamma(left.double().clamp(min=1)).exp()
        place_item = torch.where(open_slot.unsqueeze(2) & ~taken.unsqueeze(1), each.view(-1, 1, 1), 0.0)
        place_item -= torch.eye(n_items).unsqueeze(0) * (input_agrees.view(-1, 1, 1) & open_slot.unsqueeze(2))
        place_item = place_item / total.view(-1, 1, 1)
        settled = torch.nn.functional.one_hot(item_at.clamp(min=0), n_items).double()
        by_slot = torch.where(open_slot.unsqueeze(2), place_item, settled)
        marginals = torch.zeros(len(generated), generated.shape[1], len(orders.support), dtype=torch.float64)
        for position in range(generated.shape[1]):
            slot = int(orders.slot[position])
            if slot < 0:
                marginals[:, position, torch.searchsorted(orders.support, orders.fixed[position])] = 1.0
            else:
                tokens = torch.searchsorted(
                    orders.support, orders.item_tokens[:, orders.offset[position]].contiguous()
                )
                marginals[:, position, tokens] = by_slot[:, slot]
        return marginals.float()


def _by_context(
    canvas: Tensor,
    query: Tensor,
    contexts: Sequence[Any],
    marginals: Callable[[Tensor, Tensor, Tensor, Any], Tensor],
) -> Tensor:
    """Return the logs of *marginals* for every query, float32 [N, C], computed once per distinct context."""
    width = max(len(context.support) for context in contexts)
    row, position = query.unbind(dim=1)
    logits = torch.full((len(query), width), -math.inf)
    members: dict[int, list[int]] = {}
    for index, context in enumerate(contexts):
        members.setdefault(id(context), []).append(index)
    for indices in members.values():
        context = contexts[indices[0]]
        gen_length = len(context.slot) if isinstance(context, TokenPermutations) else context.ids.shape[1]
        first = canvas.shape[1] - gen_length
        place = torch.full((len(canvas),), -1, dtype=torch.long)
        place[indices] = torch.arange(len(indices))
        mine = place[row] >= 0
        if first < 0 or bool((position[mine] < first).any()):
            raise ValueError(
                f"contexts must hold answers as long as the generated region, got {gen_length} "
                "positions; tokenise them with gen_length of the row"
            )
        if bool(mine.any()):
            generated = canvas[indices][:, first:].contiguous()
            chosen = marginals(generated, place[row[mine]], position[mine] - first, context)
            logits[mine, : len(context.support)] = chosen.log()
    return logits


def _stretch(support: Tensor, length: int) -> Tensor:
    return torch.cat([support, support[-1:].expand(length - len(support))])


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
