"""Every option of the plugin in one table, and the functions that add them to pytest and read them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoders.text.json_file import shortened
from pb_plugin.planning.limits import DEFAULT_LIMITS, Limits
from pb_plugin.planning.option_grammar import Shard, split_values
from pb_plugin.planning.option_table import TABLE, Kind, OptionRow, not_empty

if TYPE_CHECKING:
    import pytest

    from decoders.served.options import SpendLimits

__all__ = [
    "DEFAULT_UNMASKING",
    "TABLE",
    "OptionRow",
    "Options",
    "add_options",
    "project_folder",
    "read_options",
    "read_value",
]

INI_TYPE: Mapping[Kind, Any] = {
    "items": "args",
    "lines": "linelist",
    "int": "int",
    "path": "string",
    "flag": "bool",
    "text": "string",
}


def _one_of(choices: tuple[str, ...], text: str, *, name: str) -> str:
    if text not in choices:
        raise ValueError(
            f"{name} must be one of {', '.join(choices)}, got {text!r}; leave it out for its default"
        )
    return text


def _path(text: str, *, name: str, folder: Path) -> Path:
    try:
        path = Path(os.path.normpath(folder / Path(text).expanduser()))
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return path  # who uses it says what is missing
    except (OSError, ValueError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ValueError(
            f"{name} must be a path that the system takes, got {shortened(text)} ({why}); choose another"
        ) from error
    return path


def project_folder(config: pytest.Config) -> Path:
    """Return pytest's root directory, as it would be if it took no value of an option for a place of tests.

    pytest looks for its root before it knows the options of plugins: the folder in ``--pb-grammar FOLDER``
    moves it, the folder in ``--pb-grammar=FOLDER`` does not.
    """
    root, here = config.rootpath, config.invocation_params.dir
    if config.getoption("rootdir", None) or config.getoption("inifilename", None):
        return root
    named = (
        Path(os.path.normpath(here / argument.partition("::")[0]))
        for argument in config.getoption("file_or_dir", None) or ()
    )
    folders = [path if path.is_dir() else path.parent for path in named if path.exists()] or [here]
    settled = config.inipath is not None or (root / "setup.py").is_file()
    if settled and all(folder.is_relative_to(root) for folder in folders):
        return root
    together = Path(os.path.commonpath([here, *folders]))
    return together if together != Path(together.anchor) else Path(os.path.commonpath(folders))


DEFAULT_UNMASKING = ("random", "left_to_right", "confidence", "threshold")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the user asked for; empty and None mean the default named in the table's help."""

    model: tuple[str, ...] = ("ideal",)
    task: tuple[str, ...] = ()
    unmasking: tuple[str, ...] = DEFAULT_UNMASKING
    k: tuple[int, ...] = ()
    block_length: tuple[int, ...] = ()
    samples: int | None = None
    seed: tuple[int, ...] = (0,)
    temperature: tuple[float, ...] = (0.0,)
    cache: str = "none"
    store: Path = Path(".pb")
    fresh: bool = False
    data: Path | None = None
    gate: tuple[str, ...] = ()
    save_baseline: Path | None = None
    baseline: Path | None = None
    gate_at: tuple[float, str] = (80.0, "canvas")
    margin: float = 1.0
    gate_strict: bool = False
    html: Path | None = None
    trace: bool = False
    floor: tuple[tuple[str, float], ...] = ()
    grammar: str = "auto"
    bertscore: str | None = None
    batch: tuple[int, ...] = ()
    sweep: str = "group"
    share: str = "on"
    timeout: Limits = DEFAULT_LIMITS
    keep_failures: bool = False
    timing: bool = False
    dtype: str | None = None
    device: str | None = None
    device_map: str | None = None
    compile: bool = False
    allow_remote_code: tuple[str, ...] = ()
    concurrency: int | None = None
    budget: SpendLimits | None = None
    prices: Path | None = None
    tokenizer: Path | None = None
    shard: Shard | None = None
    workers_per_gpu: int = 1
    gpus_per_worker: int = 1
    engine: str = "local"
    ray_address: str | None = None
    ray_workers: int | None = None


def add_options(parser: pytest.Parser) -> None:
    """Add every option, and its configuration key, to pytest."""
    group = parser.getgroup("parallelbench", "ParallelBench: quality against parallelism of diffusion LMs")
    for row in TABLE:
        attributes: dict[str, Any] = {"dest": f"pb_{row.field}", "default": None, "help": row.help}
        if row.kind == "flag":
            attributes["action"] = "store_true"
        else:
            attributes["action"] = "append" if row.kind in {"items", "lines"} else "store"
            attributes["metavar"] = row.metavar
        group.addoption(row.flag, **attributes)
        parser.addini(row.ini, f"The same as {row.flag}: {row.help}", type=INI_TYPE[row.kind], default=None)


def read_options(config: pytest.Config) -> Options:
    """Return what was asked for: the command line, else the configuration file, else the default.

    Paths are relative to the current directory, in a configuration file to its folder.

    Raises:
        ValueError: A value breaks its rule; the message names option, rule, value and cure.
    """
    ini_folder = config.inipath.parent if config.inipath is not None else config.rootpath
    fields: dict[str, Any] = {"store": project_folder(config) / ".pb"}
    for row in TABLE:
        written, name, folder = config.getoption(f"pb_{row.field}"), row.flag, config.invocation_params.dir
        if written is None:
            written, name, folder = config.getini(row.ini), row.ini, ini_folder
        if written is not None and written != []:
            fields[row.field] = read_value(row, written, name=name, folder=folder)
    options = Options(**fields)
    if options.gpus_per_worker > 1 and options.workers_per_gpu > 1:
        raise ValueError(
            f"--pb-gpus-per-worker must be 1 where workers share a GPU, got {options.gpus_per_worker} with "
            f"--pb-workers-per-gpu {options.workers_per_gpu}; leave one of them out"
        )
    if len(options.batch) > 1 and not options.timing:
        sizes = ",".join(map(str, options.batch))
        raise ValueError(
            f"--pb-batch must be one size without --pb-timing, which alone measures several, got {sizes}; "
            "name one, or add --pb-timing"
        )
    return options


def read_value(row: OptionRow, written: Any, *, name: str, folder: Path) -> Any:
    """Return the checked value of one option.

    Args:
        row: Its row in the table.
        written: Text, a list of texts, or the number or truth value a configuration file holds.
        name: How the user gave it, for messages.
        folder: What a relative path is relative to.

    Raises:
        ValueError: The value breaks the row's rule.
    """
    match row.kind:
        case "flag":
            return bool(written)
        case "int":
            return row.parse(str(written), name=name)
        case "path":
            return _path(not_empty(written, name=name), name=name, folder=folder)
        case "text":
            value = row.parse(not_empty(written, name=name), name=name)
            return _one_of(row.choices, value, name=name) if row.choices else value
        case "lines":
            return tuple(row.parse(line, name=name) for line in written)
        case "items":
            return tuple(row.parse(item, name=name) for item in split_values(written, name=name))
