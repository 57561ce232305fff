"""What a result depends on, as hashes: the files of a checkpoint, the meaning of a source file.

Imports no heavy library, so that stored results can be looked up before anything is loaded.
"""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TOKENIZER_FILES = (
    "added_tokens.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
"""Files that make up a tokenizer, in the names that published checkpoints use."""

CONFIG_FILES = ("config.json", "model.safetensors.index.json")

_CHUNK_BYTES = 1 << 20


def checkpoint_hash(directory: str | os.PathLike[str]) -> str:
    """Return the sha256 of a checkpoint: its config and tokenizer files and every safetensors file, in full.

    Names and sizes go into the hash, the place of the folder and any other file do not.

    Args:
        directory: A folder with config.json and at least one safetensors file.

    Raises:
        ValueError: The folder, its config.json or its weights are missing.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise ValueError(
            f"checkpoint must be a folder, got {str(folder)!r}; give the folder that holds config.json"
        )
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"checkpoint must hold config.json, got {str(folder)!r} without it; give a complete folder"
        )
    weights = sorted(path.name for path in folder.glob("*.safetensors"))
    if not weights:
        raise ValueError(
            f"checkpoint must hold safetensors files, got {str(folder)!r} without one; give a complete folder"
        )
    settings = sorted(name for name in (*CONFIG_FILES, *TOKENIZER_FILES) if (folder / name).is_file())
    digest = hashlib.sha256()
    for name in (*settings, *weights):
        path = folder / name
        digest.update(f"{name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def source_files(directory: Path) -> dict[str, bytes]:
    """Return the code that a checkpoint brings along: its ``*.py`` files and config.json, by name, sorted."""
    paths = [directory / "config.json", *directory.glob("*.py")]
    return {path.name: path.read_bytes() for path in sorted(paths) if path.is_file()}


def source_hash(files: Mapping[str, bytes]) -> str:
    """Return the sha256 over names, sizes and contents of *files* from `source_files`."""
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def code_hash(module_name_or_path: str | os.PathLike[str]) -> str:
    """Return the sha256 of a Python source file's meaning.

    Comments, docstrings, other bare strings and formatting do not count. Neither does the version of Python
    that parses it: only fields that hold something are written.

    Args:
        module_name_or_path: A module name, or a path (an ``os.PathLike``, or a text that ends in ``.py``).

    Raises:
        LookupError: There is no module of that name, or it has no Python source.
        ValueError: The file is missing or is not Python.
    """
    path = _source_path(module_name_or_path)
    if not path.is_file():
        raise ValueError(
            f"source must be a Python file, got {str(path)!r}, which does not exist; check the path"
        )
    try:
        return _meaning(path.read_bytes())
    except SyntaxError as error:
        raise ValueError(
            f"source must be Python, got {str(path)!r}: line {error.lineno}: {error.msg}; repair it"
        ) from error


@lru_cache(maxsize=512)
def _meaning(source: bytes) -> str:
    digest = hashlib.sha256()
    for piece in _written(ast.parse(source)):
        digest.update(piece.encode("utf-8", errors="surrogatepass"))
    return digest.hexdigest()


@lru_cache
def import_closure_hash(*modules: str) -> str:
    """Return the sha256 of what *modules* mean: their source and every ``decoders`` module they import.

    Raises:
        LookupError: A module is not found, or has no Python source.
        ValueError: A source file is not Python.
    """
    listing = "".join(f"{module}={code_hash(module)}\n" for module in sorted(import_closure(*modules)))
    return hashlib.sha256(listing.encode()).hexdigest()


def import_closure(*modules: str, packages: tuple[str, ...] = ("decoders",)) -> frozenset[str]:
    """Return *modules* and every module of *packages* that they import, directly or not.

    Raises:
        LookupError: A module is not found, or has no Python source.
        ValueError: A source file is not Python.
    """
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += _own_imports(_source_path(module), packages)
    return frozenset(found)


def _own_imports(path: Path, packages: tuple[str, ...]) -> list[str]:
    """Return the modules of *packages* that the file imports anywhere in it."""
    found = _imported(path.read_bytes())
    return [name for name in found if name.partition(".")[0] in packages and "." in name and _is_module(name)]


@lru_cache(maxsize=512)
def _imported(source: bytes) -> tuple[str, ...]:
    """Return what may be modules among the names that *source* imports."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return tuple(found)


def _is_module(name: str) -> bool:
    parent, _, child = name.rpartition(".")
    try:
        folder = _source_path(parent)
    except LookupError:
        return False
    return folder.name == "__init__.py" and any((folder.parent / p).exists() for p in (f"{child}.py", child))


def _source_path(name: str | os.PathLike[str]) -> Path:
    if not isinstance(name, str) or name.endswith(".py"):
        return Path(name)
    try:
        spec = find_spec(name)
    except (ImportError, ValueError) as error:
        raise LookupError(f"module must be importable, got {name!r} ({error}); check its name") from error
    if spec is None:
        raise LookupError(f"module must be importable, got {name!r}, which is not found; check its name")
    if spec.origin is None or not spec.origin.endswith(".py"):
        raise LookupError(
            f"module must have Python source, got {name!r} from {spec.origin!r}; name a module in a .py file"
        )
    return Path(spec.origin)


def _is_bare_string(node: Any) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _written(node: Any) -> Iterator[str]:
    """Write *node* as text, one unambiguous piece at a time, without what carries no meaning."""
    if isinstance(node, ast.Constant):
        yield f"{type(node.value).__name__}:{node.value!r};"
    elif isinstance(node, ast.AST):
        yield f"{type(node).__name__}("
        for field, value in ast.iter_fields(node):
            if value is not None and value != [] and field != "type_comment":
                yield f"{field}="
                yield from _written(value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for item in node:
            if not _is_bare_string(item):
                yield from _written(item)
        yield "]"
    else:
        yield f"{node!r};"
