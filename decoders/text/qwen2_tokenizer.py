"""The tokenizer of Qwen-based checkpoints that publish vocab.json and merges.txt but no tokenizer.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoders.text.hf_tokenizer import readable
from decoders.text.json_file import read_object, shortened

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend

FILES = ("vocab.json", "merges.txt", "tokenizer_config.json")

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Where Qwen2 text may be split: contractions, words, single digits, punctuation, line ends, blanks."""


def qwen2_backend(directory: Path) -> Backend | None:
    """Return the byte-level BPE of *directory*, or None unless all of `FILES` are there.

    Source: Qwen2 tokenizer (NFC, `SPLIT`, bytes, BPE); ``added_tokens_decoder`` of tokenizer_config.json
    gives the special tokens. DreamTokenizer reads the same files the same way.

    Raises:
        ValueError: A file cannot be read, or the added tokens do not have the ids that the config gives them.
    """
    if not all((directory / name).is_file() for name in FILES):
        return None
    added = _added_tokens(directory / "tokenizer_config.json")
    with readable(directory / "vocab.json"):
        backend = _backend(directory, added)
    for token, fields in added.items():
        text = fields["content"]
        if backend.token_to_id(text) != token:
            raise ValueError(
                f"{directory / 'tokenizer_config.json'} added_tokens_decoder must continue the ids of "
                f"vocab.json without gaps, got {text!r} at {token}; use the published files"
            )
    return backend


def _backend(directory: Path, added: Mapping[int, Mapping[str, Any]]) -> Backend:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    vocabulary, merges = models.BPE.read_file(str(directory / "vocab.json"), str(directory / "merges.txt"))
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    backend.normalizer = normalizers.NFC()
    words = pre_tokenizers.Split(Regex(SPLIT), behavior="isolated")
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([words, letters])
    backend.decoder = decoders.ByteLevel()
    for _, fields in sorted(added.items()):
        text = fields["content"]
        flags = {name: bool(fields.get(name)) for name in ("single_word", "lstrip", "rstrip", "special")}
        backend.add_tokens([AddedToken(text, normalized=False, **flags)])
    return backend


def _added_tokens(path: Path) -> dict[int, dict[str, Any]]:
    written: Any = read_object(path).get("added_tokens_decoder")
    try:
        return {int(token): dict(fields, content=str(fields["content"])) for token, fields in written.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} added_tokens_decoder must map ids to tokens, got {shortened(written)}; fetch it again"
        ) from error
