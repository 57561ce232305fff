"""Which code of a checkpoint a user has allowed to run: written REPO@REVISION, with nothing that can move."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

OPTION = "--pb-allow-remote-code"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
COMMIT = re.compile(r"[0-9a-f]{40}")
CODE_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class AllowedCode:
    """A hub id with a commit, or a folder with the hash of its code (`decoders.fingerprint.source_hash`)."""

    repo: str
    revision: str

    @property
    def text(self) -> str:
        """What the option takes."""
        return f"{self.repo}@{self.revision}"

    def is_folder(self, folder: Path) -> bool:
        """Return whether this is about the code in *folder*."""
        named = CODE_HASH.fullmatch(self.revision) is not None
        return named and Path(self.repo).expanduser().resolve() == folder.resolve()


def parse_allowed(text: str, *, name: str = OPTION) -> AllowedCode:
    """Return what ``OWNER/NAME@COMMIT`` or ``FOLDER@HASH`` allows.

    Args:
        text: What was given.
        name: The option, for messages.

    Raises:
        ValueError: It is neither, or the revision is one behind which code can change.
    """
    repo, _, revision = (part.strip() for part in text.rpartition("@"))
    if not repo or not revision:
        raise ValueError(
            f"{name} must be OWNER/NAME@COMMIT, or FOLDER@HASH with the hash of its code, got {text!r}; a "
            "load without the option tells what to write"
        )
    if COMMIT.fullmatch(revision):
        if not HUB_ID.fullmatch(repo):
            raise ValueError(
                f"{name} must have a hub id OWNER/NAME before a commit, got {text!r}; a folder takes the "
                "sha256 of its code, which a load without the option tells"
            )
    elif not CODE_HASH.fullmatch(revision):
        raise ValueError(
            f"{name} must end in a full commit (40 digits of 0-9a-f) or the sha256 of a folder's code (64), "
            f"got {text!r}; the code behind a branch, a tag or a short hash can change, so copy the full "
            "commit from the history of the repository's files"
        )
    elif not Path(repo).expanduser().is_dir():
        raise ValueError(
            f"{name} must have an existing folder before a sha256, got {text!r}; correct the path, or give a "
            "hub id with its commit of 40 digits"
        )
    return AllowedCode(repo=repo, revision=revision)


def allowed_text(text: str, *, name: str) -> str:
    """Return *text* without blanks around its parts, checked by `parse_allowed`."""
    return parse_allowed(text, name=name).text
