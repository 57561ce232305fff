"""Parts of which the modules of users in the tests are made: a model that says anything, plain methods."""

from dataclasses import dataclass
from typing import ClassVar

from decoders.state import StepUpdate
from decoders.testing.hash_denoiser import HashDenoiser
from decoders.text.byte_tokenizer import ByteTokenizer


class Babble(HashDenoiser):
    """Answers every prompt alike, with bytes as tokens."""

    name = "babble"

    def __init__(self):
        super().__init__(vocab_size=300)
        self.tokenizer = ByteTokenizer(vocab_size=300)

    def encode_prompt(self, messages):
        return [2]


@dataclass(frozen=True, kw_only=True)
class Plain:
    """What every method declares; a step of its own and a name are missing."""

    family: ClassVar[str] = "static"
    takes_k: ClassVar[bool] = True
    sweep: ClassVar = ({},)
    needs: ClassVar = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False

    def init(self, view):
        return None


@dataclass(frozen=True, kw_only=True)
class BestFirst(Plain):
    """Commits the k best positions."""

    name: ClassVar[str] = "best_first"

    def step(self, view, memory):
        rank = view.rank(view.confidence)
        return StepUpdate(unmask=rank < view.quota.unsqueeze(1), tokens=view.proposals), None
