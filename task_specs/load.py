"""The samples of a spec: read a frozen or a user's JSONL file, or generate a variant's in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any

from task_specs.answers import derived_answers, enumerated
from task_specs.document import Rule, check_values, problem
from task_specs.generate import identity, records
from task_specs.generate.list_ops import MASK
from task_specs.generate.traces import thought_answers
from task_specs.sample import AnswerSet, Enumerated, Sample, Shot
from task_specs.spec import TaskSpec
from task_specs.spec_schema import is_text, whole
from task_specs.template import field_names


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _are_shots(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(shot, dict)
        and shot.keys() == {"fields", "answer"}
        and isinstance(shot["fields"], dict)
        and isinstance(shot["answer"], str)
        for shot in value
    )


def _is_answer(value: Any) -> bool:
    if isinstance(value, str):
        return True
    is_pair = (
        isinstance(value, dict) and value.keys() == {"text", "weight"} and isinstance(value["text"], str)
    )
    return is_pair and type(value["weight"]) in (int, float)


def _are_answers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_answer, value))


def _is_text_or_null(value: Any) -> bool:
    return value is None or isinstance(value, str)


LINE: Mapping[str, Rule] = {
    "id": Rule(text="a text", accepts=is_text, cure="name the sample, once in the file", required=True),
    "fields": Rule(
        text="a mapping",
        accepts=_is_mapping,
        cure="give a value for every field of the prompt",
        required=True,
    ),
    "facts": Rule(
        text="a mapping",
        accepts=_is_mapping,
        cure="leave it out if the scorer needs none",
        default=MappingProxyType({}),
    ),
    "shots": Rule(
        text="a list of {fields, answer}", accepts=_are_shots, cure="leave it out for none", default=[]
    ),
    "answers": Rule(
        text="a list of texts or of {text, weight}",
        accepts=_are_answers,
        cure="leave it out if there is no reference",
    ),
    "example": Rule(text="a text", accepts=_is_text_or_null, cure="leave it out for the first answer"),
    "template": Rule(
        text="a text", accepts=_is_text_or_null, cure="leave it out unless the task is infilling"
    ),
    "length": Rule(
        text="a whole number of 1 or more", accepts=whole(1, 10**9), cure="leave it out for 1", default=1
    ),
}
"""The keys of a line in a sample file."""


def data_checksum(spec: TaskSpec) -> str:
    """Return the sha256 that identifies the samples of *spec*, without building them.

    Of a frozen file it is the checksum in the spec, of a user's file without one it is computed, and of
    generated samples it is taken over everything they follow from.

    Raises:
        ValueError: The data file is missing.
    """
    if spec.data is None:
        return hashlib.sha256(json.dumps(identity(spec), sort_keys=True).encode()).hexdigest()
    return spec.checksum if spec.checksum is not None else hashlib.sha256(_content(spec)).hexdigest()


def load_samples(spec: TaskSpec) -> tuple[Sample, ...]:
    """Return the samples of *spec* in file order; a file is read each time, but built into samples once.

    Raises:
        ValueError: The file is missing, has another checksum than the spec, or a line breaks a rule; names
            file, line, key, value and cure.
    """
    return _built(spec, None if spec.data is None else _content(spec))


@lru_cache(maxsize=32)
def _built(spec: TaskSpec, content: bytes | None) -> tuple[Sample, ...]:
    """Return the samples of *spec* from the *content* of its file, or as they are generated.

    A run and its report ask for the same tasks.
    """
    if content is None:
        lines: Iterable[tuple[str, Any]] = (
            (f"{spec.id}, generated sample {n}", r) for n, r in enumerate(records(spec), 1)
        )
    else:
        lines = _parsed(str(spec.data), content)
    samples: dict[str, Sample] = {}
    for where, record in lines:
        sample = _sample(spec, where, record)
        if sample.id in samples:
            raise problem(where, "id", "there once in the file", sample.id, "rename one of the two")
        samples[sample.id] = sample
    if len(samples) != spec.n_samples:
        raise problem(
            spec.path,
            "samples",
            "the number of lines of the data",
            spec.n_samples,
            f"{spec.data} has {len(samples)}",
        )
    return tuple(samples.values())


def _content(spec: TaskSpec) -> bytes:
    if spec.folder is None or spec.data is None or not (spec.folder / spec.data).is_file():
        raise problem(spec.path, "data", "a file that exists", spec.data, "put it beside the task file")
    content = (spec.folder / spec.data).read_bytes()
    checksum = hashlib.sha256(content).hexdigest()
    if spec.checksum is not None and checksum != spec.checksum:
        cure = f"the file has {checksum}; restore it, or raise the version and correct the checksum"
        raise problem(spec.path, "checksum", f"that of {spec.data}", spec.checksum, cure)
    return content


def _parsed(name: str, content: bytes) -> Iterable[tuple[str, Any]]:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{name}, line {line}: the file must be UTF-8 text, got byte {error.start}; save it as UTF-8"
        ) from error
    for number, entry in enumerate(text.split("\n"), 1):
        if not entry.strip():
            continue
        yield f"{name}, line {number}", _json_of(name, number, entry)


def _json_of(name: str, number: int, entry: str) -> Any:
    try:
        record = json.loads(entry)
        json.dumps(record, ensure_ascii=False).encode()
        return record
    except json.JSONDecodeError as error:
        said = f"{error.msg} at column {error.colno}"
    except UnicodeEncodeError:
        said = "it escapes half of a character (\\ud800 to \\udfff)"
    except (RecursionError, ValueError) as error:
        said = (
            "it is nested too deeply" if isinstance(error, RecursionError) else str(error).partition(":")[0]
        )
    raise ValueError(f"{name}, line {number}: a line must be one JSON object, got {entry[:40]!r}; {said}")


def _sample(spec: TaskSpec, where: str, record: Any) -> Sample:
    values = _checked(where, record)
    if spec.words is not None:
        values |= _given_words(spec.words, where, values)
    shots = tuple(Shot(fields=shot["fields"], answer=shot["answer"]) for shot in values["shots"])
    if len(shots) != spec.shots:
        raise problem(
            where, "shots", f"{spec.shots} as in the task file", len(shots), "add or remove examples"
        )
    for name in field_names(spec.prompt):
        for key, fields in [("fields", values["fields"]), *(("shots", shot.fields) for shot in shots)]:
            if name not in fields:
                raise problem(
                    where, key, f"a mapping with {name!r}, which the prompt shows", sorted(fields), "add it"
                )
    answers = _answers(spec, where, values)
    example = values["example"]
    if example is None and isinstance(answers, Enumerated):
        example = answers.texts[0]
    _check_template(spec, where, values["template"])
    return Sample(
        id=values["id"],
        fields=values["fields"],
        facts=values["facts"],
        shots=shots,
        example=example,
        answers=answers,
        template=values["template"],
        length=values["length"],
    )


def _checked(where: str, record: Any) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise problem(where, "a line", "a JSON object", record, 'write {"id": ..., "fields": {...}}')
    return check_values(record, LINE, partial(problem, where))


def _given_words(n_words: int, where: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields and the facts with the first *n_words* of the facts' words in both.

    The answers need no change: a text that holds all words of the data holds the first of them.
    """
    words = values["facts"].get("words")
    if not isinstance(words, list) or len(words) < n_words or not all(map(is_text, words)):
        rule = f"a list of at least {n_words} words"
        raise problem(where, "facts.words", rule, words, "add words, or lower 'words' in the task file")
    kept = words[:n_words]
    return {
        "fields": values["fields"] | {"words": ", ".join(kept)},
        "facts": values["facts"] | {"words": kept},
    }


def _answers(spec: TaskSpec, where: str, values: Mapping[str, Any]) -> AnswerSet | None:
    stored = values["answers"]
    if spec.answers == "derived" and stored is not None:
        raise problem(
            where, "answers", "left out, as they are derived from the facts", stored, "remove the key"
        )
    try:
        if spec.answer_marker is not None and "trace" in spec.parameters:
            return thought_answers(spec.parameters["trace"], values["facts"], spec.answer_marker)
        if spec.answers == "derived":
            return derived_answers(values["facts"], f"{spec.answer_marker} " if spec.answer_marker else "")
        if stored is None:
            return None
        return enumerated((a, 1.0) if isinstance(a, str) else (a["text"], a["weight"]) for a in stored)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _check_template(spec: TaskSpec, where: str, template: str | None) -> None:
    n_masks = 0 if template is None else template.count(MASK)
    if spec.infilling and n_masks != spec.positions:
        raise problem(
            where,
            "template",
            f"a text with {spec.positions} {MASK}",
            template,
            "one for each position to fill in",
        )
