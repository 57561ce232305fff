"""What others wrote, as a terminal may show it: samples, names, run files and messages hold any character."""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Control characters but tab and line feed, marks that reorder or hide text, and halves of characters."""


def printable(text: str, encoding: str | None = None) -> str:
    r"""Return *text* with every character that could steer a terminal written as its escape (``\x1b``).

    Args:
        text: What is to be printed; lines and tabs stay.
        encoding: That of the terminal; what it cannot hold is written as an escape too.
    """
    safe = _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)
    return safe if encoding is None else safe.encode(encoding, errors="backslashreplace").decode(encoding)
