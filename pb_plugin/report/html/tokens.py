"""The text of single tokens, for the trace viewer: from the tokenizer that wrote the texts of a store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pb_plugin.asking.models import ModelHandle, ModelUnavailable
from pb_plugin.asking.samples import vocabulary_of
from pb_plugin.planning.option_grammar import ModelChoice
from pb_plugin.records.record import Record

OPTION = "--tokenizer"
SHIPPED = "tiny"

CHECKED = 50
"""Results whose text is compared with that of their ids; one of another tokenizer shows at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pieces:
    """The text of every id that was asked for, or why there is none."""

    texts: Mapping[int, str]
    reason: str | None


def folders_of(values: Sequence[str]) -> dict[str, Path]:
    """Return the folder by model of every ``MODEL=FOLDER``.

    Raises:
        ValueError: A value is not written so, or names no folder.
    """
    found = {}
    for value in values:
        model, equals, folder = value.partition("=")
        if not (model and equals and folder and Path(folder).is_dir()):
            raise ValueError(
                f"{OPTION} must be MODEL=FOLDER with the folder of its tokenizer.json, got {value!r}; "
                f"write {OPTION} llada=checkpoints/llada"
            )
        found[model] = Path(folder)
    return found


def pieces_of(
    model: str, records: Iterable[Record], folders: Mapping[str, Path], data: Path | None
) -> Pieces:
    """Return the text of every id in *records*, which are of *model*; weights are never loaded.

    A tokenizer counts only if it gives back the stored texts: one of another checkpoint would show words
    that were never written.

    Args:
        model: Its name.
        records: Results of it.
        folders: Folder of the tokenizer by model, for models that the package does not hold.
        data: The checkout of released data of the run, or None.
    """
    try:
        tokenizer = _tokenizer(model, folders, data)
    except (ModelUnavailable, ValueError, LookupError, OSError, ImportError) as error:
        return Pieces(texts={}, reason=f"ids are shown: {error}")
    if tokenizer is None:
        reason = f"ids are shown: the tokenizer of {model} is not here; name it with {OPTION} {model}=FOLDER"
        return Pieces(texts={}, reason=reason)
    texts: dict[int, str] = {}
    for place, record in enumerate(records):
        for token in (set(record.ids) | _passing(record)) - texts.keys():
            texts[token] = tokenizer.decode([token])
        if place < CHECKED and record.text and not _is_written(record, texts, tokenizer):
            reason = f"ids are shown: the tokenizer of {model} does not give back the stored texts"
            return Pieces(texts={}, reason=reason)
    return Pieces(texts=texts, reason=None)


def _passing(record: Record) -> set[int]:
    """Return the tokens that were committed on the way and may have been masked again."""
    commits = (record.trace or {}).get("commits") or []
    return {told[2] for told in commits if isinstance(told, list) and len(told) == 4 and type(told[2]) is int}


def _is_written(record: Record, texts: Mapping[int, str], tokenizer: Any) -> bool:
    """Return whether the text of *record* is that of its ids, up to what ends it and special tokens."""
    if "".join(texts[token] for token in record.ids).startswith(record.text):
        return True
    return any(
        tokenizer.decode(list(record.ids[:end])) == record.text for end in range(len(record.ids), 0, -1)
    )


def _tokenizer(model: str, folders: Mapping[str, Path], data: Path | None) -> Any:
    if model in folders:
        from decoders.text.hf_tokenizer import HFTokenizer

        return HFTokenizer.from_folder(folders[model])
    if model == SHIPPED:
        from decoders.models.tiny import shipped_folder
        from decoders.text.hf_tokenizer import HFTokenizer

        return HFTokenizer.from_folder(shipped_folder())
    handle = ModelHandle(
        ModelChoice(text=model, reference=model),
        dtype=None,
        device=None,
        vocabulary=vocabulary_of(data),
        max_rows=None,
    )
    return handle.get().tokenizer if handle.is_exact else None
