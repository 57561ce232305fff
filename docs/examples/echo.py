"""A model of one's own: it answers every question with the last JSON list of its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from decoders.protocols import Message, ModelRequest
from decoders.text.tokenizer import EOS_ID, MASK_ID, PieceTokenizer


class Echo:
    """A denoiser that is sure of one token at every position: the list it read, then end of text."""

    name = "echo"
    mask_id = MASK_ID
    pad_id = EOS_ID
    eos_ids = frozenset({EOS_ID})

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.tokenizer = PieceTokenizer(vocabulary)
        self.vocab_size = len(self.tokenizer) + 1
        self.answer_begins = len(self.tokenizer)  # an id of our own that ends every prompt

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the question and, as the place where the answer begins, our own id."""
        text = "\n".join(message["content"] for message in messages)
        return [*self.tokenizer.encode(text), self.answer_begins]

    def __call__(self, canvas: Tensor, attend: Tensor, query: Tensor, contexts: Sequence[Any]) -> Tensor:
        """Return logits [N, V]: 20 for the token of the list at that place, 0 elsewhere, -inf for MASK."""
        logits = torch.zeros(len(query), self.vocab_size, device=canvas.device)
        for n, (row, position) in enumerate(query.tolist()):
            ids = canvas[row].tolist()
            start = ids.index(self.answer_begins) + 1
            place, answer = position - start, self._last_list(ids[: start - 1])
            logits[n, answer[place] if place < len(answer) else EOS_ID] = 20.0
        logits[:, self.mask_id] = float("-inf")
        return logits

    def _last_list(self, prompt: list[int]) -> list[int]:
        _, opening, rest = self.tokenizer.decode(prompt).rpartition("[")
        return self.tokenizer.encode(opening + rest.partition("]")[0] + "]") if opening else []


def load(request: ModelRequest) -> Echo:
    """Return the model; *request* holds the words that shall be one token each."""
    return Echo(request.vocabulary)
