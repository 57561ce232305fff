"""Exact marginals of every position given what is committed: what `ideal` answers.

When no answer agrees with all that is committed, those that disagree at the fewest positions count; in a
permutation, tokens are taken in position order and one that contradicts earlier ones is ignored.
Legend: R = canvases, G = generated length, A = answers, C = support, K = symbols of a position, I = items,
    N = queries, S = questions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from decoders.theory.answer_sets import Structure, TokenAnswers, TokenPermutations
from decoders.theory.joint import IntArray

KEPT_TABLES = 64
"""Tables kept between forwards; questions that differ only in their tokens have one."""

HIDDEN_AT_ONCE = 1024
"""Canvases with one token hidden that are looked at together."""


def supports(contexts: Sequence[TokenAnswers | TokenPermutations]) -> Tensor:
    """Return the ids each row can take, int64 [B, C], padded with the last one."""
    longest = max(len(context.support) for context in contexts)
    return torch.from_numpy(np.stack([_stretched(context.support, longest) for context in contexts]))


@torch.inference_mode()
def log_marginals(
    canvas: Tensor, query: Tensor, contexts: Sequence[Any], *, mask_id: int, without_own: bool = False
) -> Tensor:
    """Return log marginals of every query, float32 [N, C], computed together for what is of one kind.

    Args:
        canvas: int64 [R, L]; the generated region is at the end.
        query: int64 [N, 2], (row, position).
        contexts: The answer set of each row.
        mask_id: What a position holds that is not committed.
        without_own: Whether what is committed at the position itself is left out.

    Raises:
        ValueError: Answers of another length than the generated region.
    """
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
        elif without_own:
            found = _permuted_without_own(generated, rows, positions, context, mask_id)
        else:
            found = permuted(generated, context)[rows, positions]
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


def _permuted_without_own(
    generated: Tensor, row: Tensor, position: Tensor, orders: TokenPermutations, mask_id: int
) -> Tensor:
    parts = []
    for start in range(0, len(row), HIDDEN_AT_ONCE):
        part_row, part_position = (index[start : start + HIDDEN_AT_ONCE] for index in (row, position))
        hidden, each = generated[part_row], torch.arange(len(part_row))
        hidden[each, part_position] = mask_id
        parts.append(permuted(hidden, orders)[each, part_position])
    return torch.cat(parts)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Table:
    """``symbols`` int64 [A, G], ``weights`` float32 [A], ``marks`` float32 [A, G * K]: 1 at each symbol."""

    symbols: Tensor
    weights: Tensor
    marks: Tensor


@lru_cache(maxsize=KEPT_TABLES)
def _table(structure: Structure, gen_length: int) -> _Table:
    symbols = torch.from_numpy(np.frombuffer(structure[0], dtype=np.int64).reshape(-1, gen_length).copy())
    n_symbols = int(symbols.max()) + 1
    columns = torch.arange(gen_length) * n_symbols + symbols
    return _Table(
        symbols=symbols,
        weights=torch.from_numpy(np.frombuffer(structure[1], dtype=np.float32).copy()),
        marks=torch.zeros(len(symbols), gen_length * n_symbols).scatter_(1, columns, 1.0),
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Listed:
    """Canvases of questions whose answers are listed and of one structure.

    Args:
        questions: The answers of each question, S of them.
        generated: int64 [R, G].
        of: int64 [R], the question of each canvas.
    """

    questions: Sequence[TokenAnswers]
    generated: Tensor
    of: Tensor

    def marginals(self, row: Tensor, position: Tensor, *, without_own: bool) -> Tensor:
        """Return P(token | committed) over the support of the row's question, float32 [N, C].

        Args:
            row: int64 [N].
            position: int64 [N], in the generated region.
            without_own: Whether what is committed at the position itself is left out.
        """
        gen_length = self.generated.shape[1]
        table = _table(self.questions[0].structure, gen_length)
        names = self._names()
        symbol = self._symbols(names)  # [R, G], -1 where nothing known is committed
        n_symbols = table.marks.shape[1] // gen_length
        columns = torch.arange(gen_length) * n_symbols + symbol.clamp(min=0)
        committed = torch.zeros(len(symbol), gen_length * n_symbols)
        agreements = committed.scatter_(1, columns, (symbol >= 0).float()) @ table.marks.T  # [R, A]
        if without_own:
            found = self._without_own(table, agreements, symbol, row, position)
        else:
            found = (_nearest(agreements, table) @ table.marks).view(len(symbol), gen_length, n_symbols)
            found = found[row, position]
        found = found / found.sum(dim=1, keepdim=True)
        named = names[self.of[row], :, position]
        return found.gather(1, named.clamp(min=0)).masked_fill(named < 0, 0.0)

    def _names(self) -> Tensor:
        """Return what each token of a question's support is called, int64 [S, C, G]; -1 for nothing."""
        each = [torch.from_numpy(question.symbols.T) for question in self.questions]
        return pad_sequence(each, batch_first=True, padding_value=-1)

    def _symbols(self, names: Tensor) -> Tensor:
        longest = names.shape[1]
        support = supports(self.questions)[self.of]
        place = torch.searchsorted(support, self.generated).clamp(max=longest - 1)
        is_known = support.gather(1, place) == self.generated
        position = torch.arange(self.generated.shape[1])
        return names[self.of.unsqueeze(1), place, position].masked_fill(~is_known, -1)

    def _without_own(
        self, table: _Table, agreements: Tensor, symbol: Tensor, row: Tensor, position: Tensor
    ) -> Tensor:
        """Take the agreement of the own token away from every answer, then keep the nearest ones."""
        n_symbols = table.marks.shape[1] // symbol.shape[1]
        found = torch.zeros(len(row), n_symbols)
        for place in sorted(set(position.tolist())):
            mine = position == place
            rows = row[mine]
            own = symbol[rows, place].unsqueeze(1) == table.symbols[:, place]
            marks = table.marks[:, place * n_symbols : (place + 1) * n_symbols]
            found[mine] = _nearest(agreements[rows] - own.float(), table) @ marks
        return found


def _nearest(agreements: Tensor, table: _Table) -> Tensor:
    return (agreements == agreements.amax(dim=1, keepdim=True)) * table.weights


def _stretched(support: IntArray, length: int) -> IntArray:
    """Return *support* with its last token repeated up to *length*."""
    return np.concatenate([support, np.full(length - len(support), support[-1])])


def permuted(generated: Tensor, orders: TokenPermutations) -> Tensor:
    """Return P(token | committed) over all orders of a question in closed form, float32 [R, G, C].

    With r items left, an open slot shows each with (r - 1)! orders out of r!; the excluded input, where
    it still agrees with what is committed, is subtracted from both.
    """
    item_tokens, support = torch.from_numpy(orders.item_tokens), torch.from_numpy(orders.support)
    n_items = len(item_tokens)
    rows = torch.arange(len(generated))
    identity = torch.arange(n_items)
    item_at = torch.full((len(generated), n_items), -1)
    taken = torch.zeros(len(generated), n_items, dtype=torch.bool)
    for position in range(generated.shape[1]):
        slot = int(orders.slot[position])
        if slot < 0:
            continue
        names = item_tokens[:, orders.offset[position]] == generated[:, position].unsqueeze(1)
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
    marginals = torch.zeros(len(generated), generated.shape[1], len(support), dtype=torch.float64)
    for position in range(generated.shape[1]):
        slot = int(orders.slot[position])
        if slot < 0:
            marginals[:, position, np.searchsorted(orders.support, orders.fixed[position])] = 1.0
        else:
            tokens = torch.searchsorted(support, item_tokens[:, orders.offset[position]].contiguous())
            marginals[:, position, tokens] = by_slot[:, slot]
    return marginals.float()
