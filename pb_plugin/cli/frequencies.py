"""``pb frequencies``: a table of token counts, made of text files, for the methods that ask for one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoders.text.frequencies import count_tokens
from pb_plugin.cli.verb import Outcome, Verb, shown

if TYPE_CHECKING:
    from decoders.protocols import Tokenizer

SUFFIX = ".json"


def write_table(out: Path, files: Sequence[Path], directory: Path | None) -> dict[str, Any]:
    """Count the tokens of *files*, each encoded as one text, write the table to *out*, and say what is in it.

    Args:
        out: A .json file; a table that is there is replaced.
        files: Texts in UTF-8.
        directory: Where the tokenizer.json of the model lies; None for the built-in tokenizer of `ideal`.

    Raises:
        ValueError: *out* is no .json file or one of *files*, a file is no text, or the tokenizer cannot be
            read.
    """
    if out.suffix != SUFFIX:
        raise ValueError(f"OUT must end in {SUFFIX}, got {str(out)!r}; name the table first, then the texts")
    if out.resolve() in {file.resolve() for file in files}:
        raise ValueError(f"OUT must be none of the texts, got {str(out)!r} as both; choose another name")
    tokenizer = _tokenizer(directory)
    table = count_tokens((_text(file) for file in files), tokenizer)
    table.write(out)
    return {
        "file": str(out),
        "tokenizer": tokenizer.name,
        "texts": len(files),
        "tokens": table.total,
        "distinct": len(table.counts),
        "checksum": table.checksum,
    }


def table_lines(data: Mapping[str, Any]) -> list[str]:
    """Return what was written for people, with the option that uses it."""
    return [
        f"{data['tokens']} tokens, {data['distinct']} of them distinct, in {data['texts']} "
        f"text{'s' * (data['texts'] > 1)} under tokenizer {data['tokenizer']}",
        f"written to {data['file']}, checksum {data['checksum']}; use it with "
        f"--unmasking pc_sampler:table={data['file']}",
    ]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file}: text must be UTF-8, got byte {error.object[error.start]:#04x} at {error.start}; "
            "convert the file"
        ) from error


def _tokenizer(directory: Path | None) -> Tokenizer:
    if directory is None:
        from decoders.text.tokenizer import PieceTokenizer
        from task_specs.vocabulary import vocabulary

        return PieceTokenizer(vocabulary())
    from decoders.text.hf_tokenizer import HFTokenizer

    try:
        return HFTokenizer.from_folder(directory)
    except ImportError as error:
        raise ValueError(
            f"--tokenizer must come with the package tokenizers, got {error}; pip install the extra 'models'"
        ) from error


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT.json", type=Path, help="the table to write")
    parser.add_argument(
        "files", nargs="+", metavar="FILE", type=Path, help="texts in UTF-8, each encoded as a whole"
    )
    parser.add_argument(
        "--tokenizer",
        metavar="DIR",
        type=Path,
        help="the folder of the model's tokenizer.json. Default: the built-in tokenizer of ideal",
    )


def _run(arguments: argparse.Namespace) -> Outcome:
    data = write_table(arguments.out, arguments.files, arguments.tokenizer)
    return shown(arguments, data, table_lines), 0


VERB = Verb(
    what="count the tokens of texts, for the method pc_sampler",
    example="frequencies counts.json README.md --tokenizer DIR",
    arguments=_arguments,
    run=_run,
)
