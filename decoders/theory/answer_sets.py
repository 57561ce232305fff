"""The tokenised answer set of one sample: what `ideal` decodes from, and what the theory is computed on.

Legend: A = answers, G = generated length, C = distinct tokens in the answers, I = items, W = tokens per item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from decoders.protocols import Tokenizer
from decoders.theory.exact_law import joint_correct_probability, permutation_correct_probability
from decoders.theory.joint import IntArray, Joint, joint_of

Structure = tuple[bytes, bytes]
"""The symbols (int64 [A, G]) and the weights (float32 [A]) of listed answers."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenAnswers:
    """All valid answers as token ids, padded with EOS.

    ``ids`` int64 [A, G]; ``weights`` float32 [A], the largest is 1; ``support`` int64 [C], ascending.
    """

    ids: IntArray
    weights: NDArray[np.float32]
    support: IntArray

    @cached_property
    def local(self) -> IntArray:
        """Index into ``support`` of every answer token, int64 [A, G]."""
        return np.searchsorted(self.support, self.ids)

    @cached_property
    def symbols(self) -> IntArray:
        """What each token of the support is called at each position, int64 [G, C]; -1 where no answer has it.

        At every position tokens are numbered in the order in which the answers first show them.
        """
        (n_answers, gen_length), n_tokens = self.ids.shape, len(self.support)
        first = np.full((gen_length, n_tokens), n_answers)
        np.minimum.at(first, (np.arange(gen_length), self.local), np.arange(n_answers)[:, None])
        number = first.argsort(axis=1, kind="stable").argsort(axis=1)
        return np.where(first < n_answers, number, -1)

    @cached_property
    def structure(self) -> Structure:
        """Which answers agree where, and their weights; questions that differ only in tokens have one."""
        numbered = self.symbols[np.arange(self.ids.shape[1]), self.local]
        return numbered.astype(np.int64).tobytes(), self.weights.tobytes()


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenPermutations:
    """All orders of some items as token ids, described and not listed.

    ``item_tokens`` int64 [I, W]; ``slot`` int64 [G] is the place in the order a position belongs to (-1 for
    fixed text and padding), ``offset`` int64 [G] its index within an item; ``fixed`` int64 [G] the token
    where slot is -1.
    """

    item_tokens: IntArray
    slot: IntArray
    offset: IntArray
    fixed: IntArray
    support: IntArray
    exclude_input: bool


def enumerated(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    weights: Sequence[float],
    *,
    gen_length: int,
    eos_id: int,
    sample: str,
) -> TokenAnswers:
    """Return the token answers of *texts*.

    Raises:
        ValueError: An answer does not fit into *gen_length*, or two answers have the same tokens.
    """
    rows = []
    for text in texts:
        ids = tokenizer.encode(text)
        if len(ids) > gen_length:
            raise ValueError(
                f"canvas must hold every answer of {sample}, got {gen_length} positions for {len(ids)} "
                f"tokens of {text!r} under tokenizer {tokenizer.name}; "
                "give the task a longer one (TASK:canvas=N)"
            )
        rows.append(ids + [eos_id] * (gen_length - len(ids)))
    if len(set(map(tuple, rows))) < len(rows):
        raise ValueError(
            f"answers of {sample} must differ in tokens, got two alike under tokenizer "
            f"{tokenizer.name}; use the built-in tokenizer (--model ideal)"
        )
    table = np.array(rows, dtype=np.int64)
    weight = np.array(weights, dtype=np.float64)
    return TokenAnswers(
        ids=table, weights=(weight / weight.max()).astype(np.float32), support=np.unique(table)
    )


def permutations(
    tokenizer: Tokenizer,
    items: Sequence[str],
    *,
    opening: str,
    separator: str,
    closing: str,
    exclude_input: bool,
    gen_length: int,
    eos_id: int,
    sample: str,
) -> TokenPermutations:
    """Return the orders of *items* under a tokenizer in which every token of an item names it.

    Raises:
        ValueError: No order is left, the tokenizer cuts the items another way, or the answer does not fit.
    """
    if len(items) < 1 + exclude_input:
        raise ValueError(
            f"items of {sample} must be at least {1 + exclude_input}, got {len(items)}; no order is left"
        )
    pieces = [tokenizer.encode(item) for item in items]
    fixed = [tokenizer.encode(text) for text in (opening, separator, closing)]
    whole = tokenizer.encode(opening + separator.join(items) + closing)
    joined = list(fixed[0])
    for index, piece in enumerate(pieces):
        joined += (fixed[1] if index else []) + piece
    joined += fixed[2]
    width = len(pieces[0])
    columns = [{piece[w] for piece in pieces if len(piece) == width} for w in range(width)]
    if whole != joined or any(len(column) < len(items) for column in columns):
        raise ValueError(
            f"tokenizer {tokenizer.name} must give every item of {sample} the same number of tokens, each "
            f"naming one item, for more than 7 items, got {list(items)!r}; use the built-in tokenizer "
            "(--model ideal) or a smaller n"
        )
    if len(whole) > gen_length:
        raise ValueError(
            f"canvas must hold every answer of {sample}, got {gen_length} positions for {len(whole)} tokens "
            f"under tokenizer {tokenizer.name}; give the task a longer one (TASK:canvas=N)"
        )
    slot = [-1] * len(fixed[0])
    offset = [0] * len(fixed[0])
    for index in range(len(items)):
        gap = len(fixed[1]) if index else 0
        slot += [-1] * gap + [index] * width
        offset += [0] * gap + list(range(width))
    padding = gen_length - len(slot)
    ids = whole + [eos_id] * (gen_length - len(whole))
    return TokenPermutations(
        item_tokens=np.array(pieces, dtype=np.int64),
        slot=np.array(slot + [-1] * padding, dtype=np.int64),
        offset=np.array(offset + [0] * padding, dtype=np.int64),
        fixed=np.array(ids, dtype=np.int64),
        support=np.unique(np.array(ids, dtype=np.int64)),
        exclude_input=exclude_input,
    )


def template_ids(
    tokenizer: Tokenizer, template: str, *, mask_id: int, gen_length: int, eos_id: int, sample: str
) -> tuple[int, ...]:
    """Return the ids of an infilling *template* with ``[MASK]`` marks, padded with EOS.

    Raises:
        ValueError: The template does not fit into *gen_length*, or its text would become a control token.
    """
    ids: list[int] = []
    control_in = getattr(tokenizer, "control_in", None)
    for index, text in enumerate(template.split("[MASK]")):
        control = None if control_in is None else control_in(text)
        if control is not None:
            raise ValueError(
                f"template of {sample} must be text for tokenizer {tokenizer.name}, got its control token "
                f"{control!r}; leave the sample out or write the token another way"
            )
        ids += ([mask_id] if index else []) + tokenizer.encode(text)
    if len(ids) > gen_length:
        raise ValueError(
            f"canvas must hold the template of {sample}, got {gen_length} positions for {len(ids)} tokens "
            f"under tokenizer {tokenizer.name}; give the task a longer one (TASK:canvas=N)"
        )
    return tuple(ids + [eos_id] * (gen_length - len(ids)))


def is_answer(answers: TokenAnswers, ids: Sequence[int]) -> bool:
    """Return whether the generated *ids* are one of the answers."""
    return bool((answers.ids == np.array(ids)).all(axis=1).any())


def chance_correct(
    answers: TokenAnswers | TokenPermutations, commit_step: Sequence[int], temperature: float
) -> float:
    """Return the probability that an unbiased exact model is right, given the order it committed in.

    The law holds where the order says nothing about the tokens (`decoders.theory.exact_law`).

    Args:
        answers: The answer set.
        commit_step: Per generated position the forward that committed it, -1 where a template fixed it.
        temperature: 0 for greedy with random ties.
    """
    if isinstance(answers, TokenPermutations):
        return permutation_correct_probability(
            len(answers.item_tokens),
            answers.exclude_input,
            answers.slot.tolist(),
            list(commit_step),
            temperature,
        )
    if len(answers.ids) == 1:
        return 1.0
    return _chance(answers.structure, _order(answers.structure, tuple(commit_step)), temperature)


@lru_cache(maxsize=256)
def _joint(structure: Structure, n_positions: int) -> Joint:
    """The law knows tokens only by where answers agree, so questions of one structure share it."""
    answers = np.frombuffer(structure[0], dtype=np.int64).reshape(-1, n_positions)
    return joint_of(answers, np.frombuffer(structure[1], dtype=np.float32))


def _order(structure: Structure, commit_step: tuple[int, ...]) -> tuple[int, ...]:
    """Return the turns in which positions were committed, 0 where all answers agree: what the law reads."""
    varies = _joint(structure, len(commit_step)).varies.tolist()
    steps = [step for step, does in zip(commit_step, varies, strict=True) if does]
    turn = {step: index for index, step in enumerate(sorted({step for step in steps if step >= 0}))}
    return tuple(turn.get(step, -1) if does else 0 for step, does in zip(commit_step, varies, strict=True))


@lru_cache(maxsize=4096)
def _chance(structure: Structure, order: tuple[int, ...], temperature: float) -> float:
    return joint_correct_probability(_joint(structure, len(order)), order, temperature)
