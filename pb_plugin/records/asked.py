"""What is asked for, as one plain value: cells, run files and summaries hold it, a record has it flat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


def value_text(value: Any) -> str:
    """Return a value as ids and labels show it: its shortest form; truth values and none in lower case."""
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _tagged(default: Any, tag: str) -> Any:
    return field(default=default, metadata={"tag": tag})


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A task under a setting, as plain JSON values; every field is a part of the keys by the same name.

    A field with a tag is an option of the run and a knob of the decode loop by the same name. Where it is not
    the default it makes a curve of its own, and the tag names it in ids and labels.

    Args:
        task: Id of the task or variant.
        data_source: ``own``, ``released``, ``exported`` or ``user``.
        model: Name of the model.
        method: Name of the unmasking method.
        method_params: All of its parameters.
        k: Tokens per step, None for a method without k.
        block_length: None means the canvas.
        canvas: Positions of the generated region.
        seed: The run's seed.
        cache: What a forward may leave out (`decoders.rows.CACHES`).
        temperature: 0 is greedy.
    """

    task: str
    data_source: str
    model: str
    method: str
    method_params: Mapping[str, Any] = field(hash=False)
    k: int | None
    block_length: int | None
    canvas: int
    seed: int
    cache: str = _tagged("none", "{}")
    temperature: float = _tagged(0.0, "t{}")

    @property
    def tagged(self) -> dict[str, Any]:
        """The values of the fields with a tag, by name."""
        return {name: getattr(self, name) for name in TAGS}

    @property
    def block(self) -> int:
        """The length of a block, the canvas where it is one."""
        return self.block_length or self.canvas

    def parts(self) -> dict[str, Any]:
        """Return the fields flat; a block of the whole canvas is None, so that equal questions are equal."""
        values = {name: getattr(self, name) for name in ASKED_PARTS}
        return {**values, "block_length": None if self.block == self.canvas else self.block_length}


ASKED_PARTS = tuple(item.name for item in fields(Asked))

TAGS: Mapping[str, str] = {f.name: f.metadata["tag"] for f in fields(Asked) if "tag" in f.metadata}

DEFAULTS: Mapping[str, Any] = {f.name: f.default for f in fields(Asked) if f.name in TAGS}


def tags(tagged: Mapping[str, Any]) -> list[str]:
    """Return how ids and labels name the values of *tagged* that are not the defaults."""
    shown = {name: value for name, value in tagged.items() if value != DEFAULTS[name]}
    return [TAGS[name].format(value_text(value).removesuffix(".0")) for name, value in shown.items()]
