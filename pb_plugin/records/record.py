"""One decoded sample as plain data: its parts, two keys, result, scores, and its one line of JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple, get_type_hints

import msgspec

from pb_plugin.records.asked import ASKED_PARTS
from pb_plugin.records.canonical import canonical_json, digest, read_json
from pb_plugin.records.fault_classes import ERROR_CLASSES

SCHEMA = 3
"""Raised whenever the meaning of a field moves; part of ``decode_key``."""

NFE_KINDS = ("counted", "commanded", "bounds", "unknown")
"""How ``nfe`` is known: counted by the loop, commanded as a number of steps, between two bounds, or not."""

RESULT = ("ids", "nfe", "commit_step")
"""The fields that equal ``decode_key`` must have equal."""


Parts = Mapping[str, Any]
"""Everything that a decoded result depends on, by the names in `DECODE_PARTS`, as plain JSON values."""

SAMPLE_PARTS = ("sample_id", "input_hash")
"""The parts that differ within a cell; all others are hashed once for all of its samples."""

ANSWER_PARTS = ("model_fingerprint", "dtype", "method_code", "decode_code")
"""Which code and weights answered: revision or hash of the checkpoint, and hashes of code."""

QUESTION_PARTS = ("data_checksum", "spec_version", "prompt_style")
"""What was put to the model, beside what was asked for: hash of the task's file, and the kind of prompt."""

CELL_PARTS = tuple(sorted((*ASKED_PARTS, *QUESTION_PARTS, *ANSWER_PARTS)))

DECODE_PARTS = tuple(sorted((*CELL_PARTS, *SAMPLE_PARTS)))
"""What ``decode_key`` hashes, beside the schema: every part."""

_PARTS = frozenset(DECODE_PARTS)

PAIR_PARTS = tuple(sorted(set(DECODE_PARTS) - set(ANSWER_PARTS)))
"""What ``pair_key`` hashes: what was asked for, without the code and weights that answered."""


class TokenCounts(NamedTuple):
    """The three counts of one output (see `token_counts`)."""

    canvas: int
    to_eos: int
    content: int


def token_counts(
    ids: Sequence[int],
    eos_ids: Collection[int],
    masked: Sequence[bool] | None = None,
    *,
    pad_ids: Collection[int] = (),
) -> TokenCounts:
    """Return how many generated positions an output has, by each of the three definitions.

    Args:
        ids: Ids of the generated region.
        eos_ids: Ids that end an answer (EOS, end of turn); they also pad what follows.
        masked: For infilling, True where a position started masked; only those count. None: all of them.
        pad_ids: Further ids that are never content.

    Returns:
        canvas: every generated position; to_eos: up to and including the first EOS (without one: canvas);
        content: before the first EOS, without pads.
    """
    if masked is not None and len(masked) != len(ids):
        raise ValueError(
            f"masked must have one entry per id ({len(ids)}), got {len(masked)}; "
            "cut both to the generated region"
        )
    generated = [True] * len(ids) if masked is None else list(masked)
    first_eos = next((position for position, token in enumerate(ids) if token in eos_ids), len(ids))
    content = sum(
        started and token not in pad_ids
        for token, started in zip(ids[:first_eos], generated[:first_eos], strict=True)
    )
    return TokenCounts(sum(generated), sum(generated[: first_eos + 1]), content)


def decode_key_of(parts: Parts) -> str:
    """Return the key of a result that may not be there yet: sha256 of every part and the schema."""
    return sample_key(cell_digest(parts), parts["sample_id"], parts["input_hash"])


def cell_digest(parts: Mapping[str, Any]) -> str:
    """Return the hash of the schema and the parts that all samples of a cell share (`CELL_PARTS`)."""
    return digest({"schema": SCHEMA, **{name: parts[name] for name in CELL_PARTS}})


def sample_key(cell: str, sample_id: str, input_hash: str) -> str:
    """Return the decode key of one sample of the cell whose `cell_digest` is *cell*."""
    parts = map(encode_basestring_ascii, (cell, sample_id, input_hash))  # as an encoder writes the list
    text = f"[{','.join(parts)}]"
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@lru_cache(maxsize=4096)
def _written_cell(shared: bytes) -> tuple[str, dict[str, Any]]:
    """Return the hash of a stored cell's parts, given as JSON, and the parts, which its records share."""
    parts = dict(json.loads(shared))
    text = _SORTED.encode({"schema": SCHEMA, **parts})
    return hashlib.sha256(text.encode("ascii")).hexdigest(), parts


def _written_parts(parts: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return the decode key of stored parts, which are canonical and hashed as they are, and the parts."""
    if parts.keys() != _PARTS:
        return "", parts  # the record says what is wrong with them
    shared = _QUICK.encode([(name, value) for name, value in parts.items() if name not in SAMPLE_PARTS])
    digest_of_cell, of_cell = _written_cell(shared)
    of_sample = {name: parts[name] for name in SAMPLE_PARTS}
    return sample_key(digest_of_cell, **of_sample), of_cell | of_sample


_QUICK = msgspec.json.Encoder()
"""Tells cells apart; what is hashed is always written by the encoder of the standard library."""


_SORTED = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The result of one sample under one setting; the only source of every number shown.

    A failed sample has ``error`` set and no scores; its other fields may keep their defaults. Nothing that a
    record holds refers back to it, so the collector of cycles need not look at it: a store has many.

    Args:
        parts: What the result depends on; see `DECODE_PARTS`.
        ids: Generated ids.
        text: Their text by the text rule of the task.
        nfe: Forwards after which a token could be committed, where it was counted or commanded, else None.
        nfe_other: Prefill, store and helper passes.
        nfe_kind: One of `NFE_KINDS`; only counted and commanded enter tokens per step and PBx.
        nfe_low: The lower of two bounds on nfe (kind bounds), else None.
        nfe_high: The upper one.
        commit_step: Per position the 0-based forward of its final commit (-1: fixed by a template), or None.
        remasks: How often a visible position was masked again.
        forwards: Every forward that this sample took part in, or None where nobody counted.
        evaluated_positions: Canvas positions computed for this sample, or None.
        evaluated_canvases: Canvases computed for this sample, several where candidates are compared, or None.
        canvas_tokens: See `token_counts`; so are ``to_eos_tokens`` and ``content_tokens``.
        finish_reason: How the decoding ended.
        scores: Score by name in [0, 1], or None with a reason.
        score_reasons: Why, for every score that is None and for no other.
        score_key: Scorer, its version, text rule and tool versions.
        error: ``{"class": ..., "message": ...}`` of a failed sample.
        trace: What was seen on the way, for those who asked for it, or None; part of no key.
        served: What the server of an answer told (`decoders.rows.Served`), or None for a model that ran here;
            its ``ids`` are the bytes of the text, and its token counts may be None.
        schema: Always `SCHEMA`.
        decode_key: What is decoded once: sha256 of every part and the schema; made of them where not given.
    """

    parts: Parts
    ids: tuple[int, ...] = ()
    text: str = ""
    nfe: int | None = None
    nfe_other: int = 0
    nfe_kind: str = "counted"
    nfe_low: int | None = None
    nfe_high: int | None = None
    commit_step: tuple[int, ...] | None = None
    remasks: int = 0
    forwards: int | None = None
    evaluated_positions: int | None = None
    evaluated_canvases: int | None = None
    canvas_tokens: int | None = None
    to_eos_tokens: int | None = None
    content_tokens: int | None = None
    finish_reason: str = "complete"
    scores: Mapping[str, float | None] = msgspec.field(default_factory=dict)
    score_reasons: Mapping[str, str] = msgspec.field(default_factory=dict)
    score_key: str = ""
    error: Mapping[str, str] | None = None
    trace: Mapping[str, Any] | None = None
    served: Mapping[str, Any] | None = None
    schema: int = SCHEMA
    decode_key: str = ""

    def __post_init__(self) -> None:
        if self.parts.keys() != _PARTS:
            missing, unknown = set(DECODE_PARTS) - set(self.parts), set(self.parts) - set(DECODE_PARTS)
            raise ValueError(
                f"parts must be exactly {', '.join(DECODE_PARTS)}; got missing {sorted(missing)} and unknown "
                f"{sorted(unknown)}; give each, None where it does not apply"
            )
        if self.schema != SCHEMA:
            raise ValueError(f"schema must be {SCHEMA}, got {self.schema!r}; decode the sample again")
        if self.error is not None:
            _check_error(self.error, self.scores)
        else:
            _check_result(self)
        _check_scores(self.scores, self.score_reasons)
        if not self.decode_key:
            msgspec.structs.force_setattr(self, "decode_key", decode_key_of(self.parts))

    @property
    def pair_key(self) -> str:
        """What a baseline is joined on: sha256 of the parts that say what was asked for."""
        asked = {name: self.parts[name] for name in PAIR_PARTS}
        return digest({**asked, "max_steps": None})  # a part of schema 2: baselines of that time still join

    @property
    def failed(self) -> bool:
        """Whether the sample has no result."""
        return self.error is not None

    def differences(self, other: Record) -> tuple[str, ...]:
        """Return which of ids, nfe and commit_step differ; equal ``decode_key`` should leave none."""
        return tuple(name for name in RESULT if getattr(self, name) != getattr(other, name))

    def to_json(self) -> str:
        """Return the record as one line of ASCII JSON without the newline; equal records give equal bytes."""
        values = {name: getattr(self, name) for name in _FIELDS}
        if self.served is None:
            del values["served"]  # as in every record that was written before there were servers
        return canonical_json({**values, "pair_key": self.pair_key})

    @classmethod
    def from_json(cls, line: str | bytes) -> Record:
        """Return the record that `to_json` wrote.

        Raises:
            ValueError: The line is no JSON, no record of this schema, or its keys do not fit its parts.
            RecursionError: It is nested too deeply.
        """
        values = msgspec.structs.asdict(read_json(line, _LINE))
        written_key = values.pop("decode_key")
        del values["pair_key"]
        key, values["parts"] = _written_parts(values["parts"])
        record = cls(decode_key=key, **values)
        if key != written_key:
            raise ValueError(
                f"decode_key must be the hash of the parts, got {written_key!r}; the line was edited"
            )
        return record

    def with_result(self, **values: Any) -> Record:
        """Return the record with other *values*, none of which is ``parts``, so that its key stays."""
        return msgspec.structs.replace(self, **values)

    def with_parts(self, **parts: Any) -> Record:
        """Return the record with other values of some *parts*, and the key that they make."""
        return msgspec.structs.replace(self, parts={**self.parts, **parts}, decode_key="")


_FIELDS = Record.__struct_fields__


def _line_type() -> Any:
    """Return the type of a stored line: the fields of a record, all but ``served`` required, and its pair."""
    hints = get_type_hints(Record) | {"parts": dict[str, Any]}
    required = [(name, hints[name]) for name in _FIELDS if name != "served"]
    optional = [("served", hints["served"], None)]
    fields: list[Any] = [*required, ("pair_key", str), *optional]
    return msgspec.defstruct("Line", fields, forbid_unknown_fields=True, kw_only=True)


_LINE: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_line_type())


class _Schema(msgspec.Struct):
    schema: Any = SCHEMA


_SCHEMA_OF = msgspec.json.Decoder(_Schema)


def schema_of(line: bytes) -> Any:
    """Return which schema a line says it has, `SCHEMA` where it says none.

    Raises:
        ValueError: The line is no JSON object.
        RecursionError: It is nested too deeply.
    """
    return read_json(line, _SCHEMA_OF).schema


def _check_error(error: Mapping[str, str], scores: Mapping[str, float | None]) -> None:
    if set(error) != {"class", "message"} or error["class"] not in ERROR_CLASSES:
        raise ValueError(
            f"error must hold message and a class of {', '.join(ERROR_CLASSES)}, got {dict(error)!r}; "
            "name what failed"
        )
    if scores:
        raise ValueError(
            f"scores must be empty for a failed sample, got {dict(scores)!r}; a failure has no score"
        )


def _check_result(record: Record) -> None:
    counts = (record.content_tokens, record.to_eos_tokens, record.canvas_tokens)
    nobody_counted = record.served is not None and record.nfe_kind == "unknown" and set(counts) == {None}
    if not nobody_counted and (None in counts or not 0 <= counts[0] <= counts[1] <= counts[2]):  # type: ignore[operator]
        raise ValueError(
            f"token counts must satisfy 0 <= content <= to_eos <= canvas, got {counts!r}; "
            "take them from token_counts"
        )
    if record.nfe_kind not in NFE_KINDS:
        raise ValueError(
            f"nfe_kind must be one of {', '.join(NFE_KINDS)}, got {record.nfe_kind!r}; say how it was counted"
        )
    exact = record.nfe_kind in ("counted", "commanded")
    if (record.nfe is not None) != exact or (record.nfe is not None and record.nfe < 1):
        raise ValueError(
            f"nfe must be at least 1 where it was counted or commanded, else None, got {record.nfe!r} with "
            f"{record.nfe_kind!r}; never invent it"
        )
    bounds = (record.nfe_low, record.nfe_high)
    bounded = None not in bounds and 1 <= bounds[0] <= bounds[1]  # type: ignore[operator]
    if not bounded if record.nfe_kind == "bounds" else bounds != (None, None):
        raise ValueError(
            f"nfe_low and nfe_high must be 1 <= low <= high with nfe_kind 'bounds', else None, got "
            f"{bounds!r} with {record.nfe_kind!r}; give both bounds or neither"
        )
    if record.commit_step is not None and len(record.commit_step) != len(record.ids):
        raise ValueError(
            f"commit_step must have one entry per id ({len(record.ids)}), got {len(record.commit_step)}; "
            "use -1 where a template fixed the position"
        )


def _check_scores(scores: Mapping[str, float | None], reasons: Mapping[str, str]) -> None:
    for name, value in scores.items():
        if value is not None and not 0.0 <= value <= 1.0:
            raise ValueError(
                f"score {name!r} must be in [0, 1] or None, got {value!r}; scale it in the scorer"
            )
    unscored = {name for name, value in scores.items() if value is None}
    if unscored != set(reasons):
        raise ValueError(
            f"score_reasons must name exactly the scores that are None, got {sorted(reasons)} for "
            f"{sorted(unscored)}; give one reason each"
        )
