"""A published tokenizer.json as a tokenizer of ours: no template, no special tokens added, no remote code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoders.fingerprint import TOKENIZER_FILES

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend


def has_tokenizer(directory: Path) -> bool:
    """Return whether *directory* holds any file of a tokenizer."""
    return any((directory / name).is_file() for name in TOKENIZER_FILES)


class HFTokenizer:
    """Text to ids and back by a ``tokenizers`` backend; `from_folder` is the usual way to get one.

    Args:
        backend: The tokenizer; its truncation and padding are switched off.
        name: What records call it.
        eos_token: The token that ends a text, or None if the files name none.
    """

    is_fallback = False

    def __init__(self, backend: Backend, *, name: str, eos_token: str | None = None) -> None:
        backend.no_truncation()
        backend.no_padding()
        self.name = name
        self._backend = backend
        self._eos_token = eos_token

    @classmethod
    def from_folder(cls, directory: Path, *, name: str | None = None) -> HFTokenizer:
        """Read tokenizer.json, and the EOS of tokenizer_config.json; the default name is the folder's.

        Raises:
            ValueError: tokenizer.json is missing, or one of the two cannot be read.
        """
        from tokenizers import Tokenizer as Backend

        path = directory / "tokenizer.json"
        if not path.is_file():
            present = [file for file in TOKENIZER_FILES if (directory / file).is_file()]
            raise ValueError(
                f"tokenizer must be a tokenizer.json, got {present!r} in {str(directory)!r}; write one with "
                "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) of transformers"
            )
        description = _read_object(path)
        if not isinstance(description.get("model"), dict):
            raise ValueError(
                f"{path} model must be an object, got {description.get('model')!r}; fetch it again"
            )
        backend = Backend.from_str(json.dumps(description))
        return cls(backend, name=name or directory.resolve().name, eos_token=_eos_token(directory))

    @cached_property
    def ids(self) -> frozenset[int]:
        """Every id that has a token, added tokens included."""
        return frozenset(self._backend.get_vocab(with_added_tokens=True).values())

    def __len__(self) -> int:
        """Return one more than the largest id, that is the rows an embedding needs."""
        return max(self.ids) + 1

    @property
    def eos_id(self) -> int | None:
        """The id that ends a text, or None if the files name none."""
        return None if self._eos_token is None else self.token_id(self._eos_token)

    def token_id(self, token: str) -> int | None:
        """Return the id of the token written exactly *token*, or None."""
        return self._backend.token_to_id(token)

    def encode(self, text: str) -> list[int]:
        """Return the ids of *text*; markers written in it become their own ids, nothing is put around it."""
        return list(self._backend.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of *ids*, special tokens dropped.

        Raises:
            ValueError: An id has no token.
        """
        for token in ids:
            if token not in self.ids:
                raise ValueError(
                    f"ids must be tokens of {self.name!r}, got {token!r}; suppress rows without a token"
                )
        return self._backend.decode(list(ids), skip_special_tokens=True)


def _eos_token(directory: Path) -> str | None:
    path = directory / "tokenizer_config.json"
    if not path.is_file():
        return None
    token = _read_object(path).get("eos_token")
    if isinstance(token, dict):
        token = token.get("content")
    if token is not None and not isinstance(token, str):
        raise ValueError(f"{path} eos_token must be a text, got {token!r}; fetch it again")
    return token


def _read_object(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} must be JSON, got {error}; fetch it again") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must be a JSON object, got {values!r}; fetch it again")
    return values
