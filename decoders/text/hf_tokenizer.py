"""A published tokenizer.json as a tokenizer of ours: no template, no special tokens added, no remote code."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from decoders.fingerprint import TOKENIZER_FILES
from decoders.text.json_file import one_line, read_object, shortened

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend


TRIED = "Copy 12: a, b.\n\n \u00e9\U0001f600"


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn whatever the package tokenizers raises over the file *path* into one message with a cure.

    Its own errors are bare Exceptions, and a panic of its Rust code is no Exception at all.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as error:
        raise ValueError(
            f"{path} must be a tokenizer that the package tokenizers can read and run, got "
            f"{type(error).__name__}: {one_line(error)}; fetch it again"
        ) from error


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
        description = read_object(path)
        if not isinstance(description.get("model"), dict):
            raise ValueError(
                f"{path} model must be an object, got {shortened(description.get('model'))}; fetch it again"
            )
        eos_token = _eos_token(directory)
        with readable(path):
            backend = Backend.from_str(json.dumps(description))
            tokenizer = cls(backend, name=name or directory.resolve().name, eos_token=eos_token)
            tokenizer.try_out()
        return tokenizer

    def try_out(self) -> None:
        """Encode and decode a short text, so that a file that cannot do it is refused when it is read."""
        self._backend.decode(self.encode(TRIED), skip_special_tokens=True)
        if not self.ids:
            raise ValueError("no token in its vocabulary")

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

    @cached_property
    def control_ids(self) -> frozenset[int]:
        """The ids of special tokens: turns, masks, ends. That of unknown words is none of them."""
        unknown = getattr(self._backend.model, "unk_token", None)
        added = self._backend.get_added_tokens_decoder().items()
        return frozenset(token for token, entry in added if entry.special and entry.content != unknown)

    def control_in(self, text: str, others: Collection[str] = ()) -> str | None:
        """Return the first special token, or one of *others*, that *text* holds; None if it is plain text."""
        control = self.control_ids | {self._backend.token_to_id(token) for token in others}
        found = next((token for token in self.encode(text) if token in control), None)
        return None if found is None else self._backend.id_to_token(found)

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
    token = read_object(path).get("eos_token")
    if isinstance(token, dict):
        token = token.get("content")
    if token is not None and not isinstance(token, str):
        raise ValueError(f"{path} eos_token must be a text, got {shortened(token)}; fetch it again")
    return token
