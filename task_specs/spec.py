"""TaskSpec: what a task is; read and check one YAML file, with the parameters of a variant applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from task_specs import spec_schema
from task_specs.catalogue import (
    BENCHMARK_IDS,
    LIST_OP_IDS,
    MOST_TRACED,
    TRACED_OPERATIONS,
    specs_folder,
)
from task_specs.document import Document, did_you_mean, parse
from task_specs.scoring import SCORERS
from task_specs.template import field_names
from task_specs.variants import ParameterValue, vary

OWN_IDS = (*(task for ids in BENCHMARK_IDS.values() for task in ids), *LIST_OP_IDS)


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskSpec:
    """One task, ready to be loaded, asked and scored.

    Args:
        id: Unique name, with the suffix of a variant (``shuffle_n15``).
        base_id: The id in the file.
        category: The group whose average it enters.
        version: Raised whenever a score may move.
        prompt: Template of a question (`task_specs.template`).
        prompt_compact: The same question for a model that reads no prose, or None.
        shots: Worked examples before the question.
        canvas: Generated positions; the token budget of a model that writes left to right.
        positions: Positions a row generates: the canvas, or the masks of the template for infilling.
        infilling: Whether a sample's template is given and only its masks are filled in.
        text_rule: ``first_eos`` (text ends at the first EOS) or ``whole_canvas``.
        scorer: Name in ``scoring.SCORERS`` or ``module:attribute``.
        score: Which of the scorer's scores the averages use.
        n_samples: How many samples there are.
        answers: ``derived`` from the facts by our rules, or ``stored`` in the data.
        generator: Name of the seeded builder of its samples, or None.
        seed: Seed of the generator.
        parameters: Parameters of the generator.
        data: Name of the frozen sample file, or None where samples are generated in memory.
        checksum: sha256 of the file; None where it is to be computed.
        floor: Lowest acceptable score of the task, or None.
        notes: For readers.
        is_variant: Whether parameters changed it; a variant enters no suite.
        needs: Tools whose results the scorer reads (``grammar``, ``bertscore``).
        answer_marker: The words before the answer of a chain of thought, or None.
        words: How many of the words in a sample's facts are asked for, the first ones; None where the facts
            give no words.
        path: The file it came from, for errors.
        folder: Where *data* lies.
    """

    id: str
    base_id: str
    category: str
    version: int
    prompt: str
    shots: int
    canvas: int
    positions: int
    scorer: str
    score: str
    n_samples: int
    prompt_compact: str | None = None
    infilling: bool = False
    text_rule: str = "first_eos"
    answers: str = "stored"
    generator: str | None = None
    seed: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    data: str | None = None
    checksum: str | None = None
    floor: float | None = None
    notes: str = ""
    is_variant: bool = False
    needs: frozenset[str] = frozenset()
    answer_marker: str | None = None
    words: int | None = None
    path: str = ""
    folder: Traversable | None = field(default=None, repr=False, compare=False)


def builtin_spec(task_id: str, params: Mapping[str, ParameterValue] | None = None) -> TaskSpec:
    """Return the spec of a task of ours, *params* applied.

    Raises:
        LookupError: There is no such task, or it has no spec in this version, or no such parameter.
        ValueError: A parameter's value breaks its rule.
    """
    source = specs_folder() / f"{task_id}.yaml"
    if task_id not in OWN_IDS:
        known = f"{did_you_mean(task_id, OWN_IDS)}Known tasks: {', '.join(OWN_IDS)}"
        raise LookupError(f"task must be the id of a built-in task, got {task_id!r}; {known}")
    if not source.is_file():
        raise LookupError(
            f"task must be one that has a spec, got {task_id!r}; this version holds none for it yet"
        )
    return read_spec(source, params)


def read_spec(
    source: str | Path | Traversable, params: Mapping[str, ParameterValue] | None = None
) -> TaskSpec:
    """Return the checked content of one task file, *params* applied.

    A file of the user's keeps its data beside it; ours keep them in the package.

    Args:
        source: The YAML file.
        params: Parameters of a variant; texts are read as numbers and truth values.

    Raises:
        FileNotFoundError: There is no such file.
        LookupError: A parameter is unknown.
        ValueError: Something in the file or a parameter is wrong; names file, line, key, value and cure.
    """
    file: Traversable = Path(source) if isinstance(source, str) else source
    own = not isinstance(file, Path) or file.resolve().parent == Path(str(specs_folder())).resolve()
    folder = file.parent if isinstance(file, Path) and not own else files("task_specs") / "data"
    spec = spec_of(parse(_text(file), str(file)), folder, params or {})
    if not own and spec.base_id in OWN_IDS:
        where = f"{file}: id must be none of the built-in ids"
        raise ValueError(f"{where}, got {spec.base_id!r}; choose another name, as records are kept by it")
    return spec


def spec_of(document: Document, folder: Traversable, params: Mapping[str, ParameterValue]) -> TaskSpec:
    """Return the spec in *document*, whose data lie in *folder*, with *params* applied.

    Raises:
        LookupError: A parameter is unknown.
        ValueError: Something in the document or a parameter is wrong.
    """
    values = document.checked(spec_schema.SPEC)
    _check_source(document, values, folder)
    _check_prompt(document, values)
    _check_scorer(document, values)
    _check_positions(document, values)
    return TaskSpec(**vary(values, params), path=document.name, folder=folder)


def _text(file: Traversable) -> str:
    if not file.is_file():
        raise FileNotFoundError(f"task file must exist, got {str(file)!r}; check the path")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file}: the file must be UTF-8 text, got byte {error.start}; save it as UTF-8"
        ) from error


def _check_source(document: Document, values: dict[str, Any], folder: Traversable) -> None:
    """Check where the samples come from, and fill in what follows: parameters, samples, answers."""
    generator, data = values["generator"], values["data"]
    if generator is None and data is None:
        raise document.problem(
            "data", "given where there is no generator", data, "name a .jsonl file beside the task file"
        )
    if generator is not None:
        for key in ("seed", "samples"):
            if values[key] is None:
                raise document.problem(key, "given with a generator", None, spec_schema.SPEC[key].cure)
        schema = spec_schema.GENERATOR_PARAMETERS[generator]
        values["parameters"] = (
            document.checked(schema, "parameters") if "parameters" in document.values else {}
        )
        _check_parameters(document, values)
        if data is not None and values["checksum"] is None:
            raise document.problem(
                "checksum", "given with data of a generator", None, "take the output of sha256sum"
            )
    if generator is not None and values["words"] is not None:
        raise document.problem("words", "left out where there is a generator", values["words"], "remove it")
    for key in ("seed", "parameters", "cot"):
        if generator is None and key in document.values:
            raise document.problem(key, "left out where there is no generator", values[key], "remove it")
    if data is None and values["checksum"] is not None:
        raise document.problem(
            "checksum", "left out where there is no data file", values["checksum"], "remove it"
        )
    if values["answers"] is None:
        values["answers"] = "stored" if generator is None else "derived"
    if generator is not None and values["answers"] == "stored":
        raise document.problem("answers", "derived where there is a generator", "stored", "remove the key")
    if values["samples"] is None:
        values["samples"] = _count_lines(document, folder / data)


def _check_parameters(document: Document, values: dict[str, Any]) -> None:
    generator, parameters = values["generator"], values["parameters"]
    missing = [
        key
        for key, rule in spec_schema.GENERATOR_PARAMETERS[generator].items()
        if rule.required and key not in parameters
    ]
    if missing:
        raise document.problem(
            "parameters", f"given with {', '.join(missing)}", None, f"{generator} needs them"
        )
    if generator == "list_ops" and parameters["operation"].startswith("replace") and parameters["n"] > 25:
        raise document.problem(
            "parameters.n", "at most 25", parameters["n"], "a letter must be left for the new item"
        )


def _count_lines(document: Document, file: Traversable) -> int:
    if not file.is_file():
        raise document.problem("data", "a file that exists", file.name, "put it beside the task file")
    text = file.read_bytes().decode("utf-8", errors="replace")
    n_lines = sum(1 for line in text.split("\n") if line.strip())
    if n_lines == 0:
        raise document.problem(
            "data", "a file with at least one sample", file.name, "write one JSON object a line"
        )
    return n_lines


def _check_prompt(document: Document, values: dict[str, Any]) -> None:
    prompts = {"prompt": values["prompt"]}
    if values["prompt_compact"] is not None:
        prompts["prompt_compact"] = values["prompt_compact"]
    if values["cot"] is not None:
        values["cot"] = document.checked(spec_schema.COT, "cot")
        prompts["cot.prompt"] = values["cot"]["prompt"]
        if values["cot"]["prompt_compact"] is not None:
            prompts["cot.prompt_compact"] = values["cot"]["prompt_compact"]
        _check_steps(document, values)
    for key, prompt in prompts.items():
        try:
            field_names(prompt)
        except ValueError as error:
            raise ValueError(f"{document.name}, line {document.lines[key]}: {error}") from error


def _check_steps(document: Document, values: dict[str, Any]) -> None:
    """Check that a generator writes the steps of a chain of thought, and in which form."""
    generator, trace = values["generator"], values["cot"]["trace"]
    if generator not in ("waiting_line", "list_ops"):
        cure = "only the generators waiting_line and list_ops write the steps before an answer"
        raise document.problem("cot", "left out", values["cot"], cure)
    if generator == "waiting_line":
        if trace is not None:
            raise document.problem(
                "cot.trace", "left out", trace, "the steps of a waiting line are prose; remove it"
            )
        return
    if trace is None:
        raise document.problem(
            "cot.trace", "given for list_ops", None, spec_schema.COT["trace"].cure.partition(";")[0]
        )
    operation, n = values["parameters"]["operation"], values["parameters"]["n"]
    if operation not in TRACED_OPERATIONS:
        cure = f"only {' and '.join(TRACED_OPERATIONS)} choose something; remove it"
        raise document.problem("cot", "left out", values["cot"], cure)
    if n > MOST_TRACED:
        raise document.problem(
            "parameters.n", f"at most {MOST_TRACED} with cot", n, "all answers are listed; ask for fewer"
        )


def _check_scorer(document: Document, values: dict[str, Any]) -> None:
    scorer = values["scorer"]
    if ":" not in scorer and scorer not in SCORERS:
        cure = (
            f"{did_you_mean(scorer, SCORERS)}Known scorers: {', '.join(SCORERS)}; or package.module:function"
        )
        raise document.problem("scorer", "the name of a scorer or module:attribute", scorer, cure)


def _check_positions(document: Document, values: dict[str, Any]) -> None:
    """Fill in the number of generated positions: given for infilling of stored data, derived otherwise."""
    positions, counted = values["positions"], values["infilling"] and values["generator"] is None
    if counted and positions is None:
        raise document.problem("positions", "given for infilling", None, "count the [MASK]s of a template")
    if not counted and positions is not None:
        raise document.problem("positions", "left out", positions, "it is only for infilling of stored data")
    if values["infilling"] and values["generator"] not in (None, "list_ops"):
        raise document.problem(
            "infilling", "false", True, f"the generator {values['generator']} writes no templates"
        )
