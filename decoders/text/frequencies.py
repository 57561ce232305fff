"""How often each token occurs in a corpus: counted from texts, written to and read from a JSON file.

The file has the two keys of the published tables: ``num_token``, all tokens of the corpus, and
``p_baseline_dict``, token id to count. Source: NEUIR/Uncode (PC-Sampler, arXiv:2508.13021), whose writer and
reader name the keys differently; these are the reader's.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decoders.protocols import Tokenizer

TOTAL_KEY, COUNTS_KEY = "num_token", "p_baseline_dict"


@dataclass(frozen=True, kw_only=True)
class TokenCounts:
    """Tokens of a corpus by id.

    Args:
        total: All tokens of the corpus, at least the sum of *counts*.
        counts: Token id to how often it occurs, at least once; ids that never occur are left out.
    """

    total: int
    counts: Mapping[int, int]

    @cached_property
    def checksum(self) -> str:
        """Hash of the numbers, whatever the layout of their file."""
        listed = [self.total, *sorted(self.counts.items())]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16]

    def write(self, path: Path | str) -> None:
        """Write the table to *path*, ids ascending."""
        counts = {str(token): self.counts[token] for token in sorted(self.counts)}
        text = json.dumps({TOTAL_KEY: self.total, COUNTS_KEY: counts}, indent=0)
        Path(path).write_text(text + "\n", encoding="utf-8")


def count_tokens(texts: Iterable[str], tokenizer: Tokenizer) -> TokenCounts:
    """Return how often *tokenizer* gives each token in *texts*, each text encoded on its own.

    Raises:
        ValueError: The texts have no token at all.
    """
    found: Counter[int] = Counter()
    for text in texts:
        found.update(tokenizer.encode(text))
    if not found:
        raise ValueError("texts must hold at least one token, got none; give a file with some text")
    return TokenCounts(total=found.total(), counts=dict(found))


def read_counts(path: Path | str) -> TokenCounts:
    """Return the table in the JSON file *path*; keys other than the two of a table are ignored.

    Raises:
        ValueError: There is no such file, or it is not a table.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"table must be a readable JSON file of token counts, got {str(path)!r} ({error}); "
            "make one with decoders.text.frequencies.count_tokens"
        ) from error
    try:
        content = json.loads(text, object_pairs_hook=_pairs)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}:{error.lineno}: table must be JSON, got {error.msg}; write the file anew"
        ) from error
    except _TwiceError as error:
        raise ValueError(f"{path}: keys must be given once, got {error.key!r} twice; remove one") from error
    return _checked(content, path)


class _TwiceError(Exception):
    """A key of a JSON object is given twice."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise _TwiceError(key)
        content[key] = value
    return content


def _checked(content: Any, path: Path | str) -> TokenCounts:
    listed = content.get(COUNTS_KEY) if isinstance(content, dict) else None
    if not isinstance(listed, dict) or not listed:
        raise ValueError(
            f"{path}: table must be an object with {TOTAL_KEY} and {COUNTS_KEY} (token id to count), "
            f"got {_short(content)}; make one with decoders.text.frequencies.count_tokens"
        )
    counts: dict[int, int] = {}
    for key, count in listed.items():
        if not (key.isascii() and key.isdigit()) or str(int(key)) != key:
            raise ValueError(f"{path}: keys of {COUNTS_KEY} must be token ids, got {key!r}; remove it")
        if type(count) is not int or count < 1:
            raise ValueError(
                f"{path}: {COUNTS_KEY}[{key!r}] must be a whole number, at least 1, got {count!r}; "
                "leave out tokens that never occur"
            )
        counts[int(key)] = count
    total, least = content.get(TOTAL_KEY), sum(counts.values())
    if type(total) is not int or total < least:
        raise ValueError(
            f"{path}: {TOTAL_KEY} must be a whole number, at least the sum {least} of the counts, "
            f"got {total!r}; count again"
        )
    return TokenCounts(total=total, counts=counts)


def _short(content: Any) -> str:
    text = repr(content)
    return text if len(text) <= 60 else text[:60] + " ..."
