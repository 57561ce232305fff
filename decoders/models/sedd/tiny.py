"""A small SEDD of either graph that reads compact prompts, as `decoders.models.tiny` does; trained by users.

There is no published checkpoint: ``pb fine-tune sedd-tiny DIR`` makes one from random weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType

from decoders.loading.checkpoint import Preset
from decoders.models.sedd import sampler
from decoders.models.sedd.checkpoint import files_hash
from decoders.models.tiny import CHAT, PROMPT_STYLE
from decoders.protocols import Message, ModelRequest
from decoders.text import chat

__all__ = ["PROMPT_STYLE", "fingerprint", "load"]

PRESETS: Mapping[str, Preset] = MappingProxyType({})
"""None: a folder must be given."""


class TinySedd(sampler.SeddGenerator):
    """SEDD with its own samplers, asked with compact prompts that are filled up to a fixed width."""

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the ids of the one message of a compact prompt, blanks put in.

        Raises:
            ValueError: It is not a compact prompt, or too long for the width.
        """
        return chat.encode(messages, self.tokenizer, CHAT, name=self.name)


def fingerprint(request: ModelRequest) -> str:
    """Return the hash of the checkpoint's files.

    Raises:
        ValueError: It cannot be found, or is incomplete.
    """
    return files_hash(request, PRESETS)


def load(request: ModelRequest) -> TinySedd:
    """Return the SEDD checkpoint in the folder that *request* names.

    Raises:
        LoadError: It cannot be found, is not SEDD, or failed a self-test.
    """
    loaded = sampler.load_with(request, PRESETS)
    return TinySedd(**{item.name: getattr(loaded, item.name) for item in fields(loaded)})
