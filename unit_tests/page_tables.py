"""The tables of the pages that are generated: ``python -m unit_tests.page_tables [--write]``.

Loopholes, findings and the text tasks come from committed tables that other tests compare with scorers, files
and decoded samples; examples come from docs/examples, and lists of packages and slow tests from the sources.
"""

from __future__ import annotations

import argparse
import ast
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pb_plugin.planning.options import TABLE
from pb_plugin.records.fault_classes import FAULT_CLASSES
from pb_plugin.results.suites import SUITES
from task_specs.audit.data_card import as_markdown
from task_specs.audit.findings import Finding, as_table
from unit_tests import paper_tables, text_on_ideal, tiny_card
from unit_tests.pages import EXAMPLES, PAGES, ROOT, text, with_tables

GOLDEN = Path(__file__).parent / "task_specs" / "golden"
SCORE_NAMES = {"rougeL": "ROUGE-L", "one_minus_bleu": "1-BLEU"}


def golden(name: str) -> list[dict[str, Any]]:
    """Return the rows of a committed table."""
    rows: list[dict[str, Any]] = json.loads((GOLDEN / name).read_text(encoding="utf-8"))
    return rows


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return (
        "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
        + "\n"
    )


def options_table() -> str:
    """Return option, configuration key and meaning of every option of the plugin."""
    rows = [
        [f"`{row.flag}{f' {row.metavar}' if row.metavar else ''}`", f"`{row.ini}`", row.help] for row in TABLE
    ]
    return _markdown(["option", "key", "meaning"], rows)


def fault_classes_table() -> str:
    """Return every class of faults: what it means, how it is noticed, what the run does."""
    rows = [[f"`{row.name}`", row.means, row.seen_by, row.then] for row in FAULT_CLASSES]
    return _markdown(["class", "what has happened", "how it is noticed", "what the run does"], rows)


def loopholes_table() -> str:
    """Return what degenerate outputs score on the exact-answer tasks; outputs with one score stand below."""
    scores: dict[str, dict[str, float | None]] = {}
    for row in golden("loopholes.json"):
        if row["task"] in SUITES["core"]:
            scores.setdefault(row["output"], {})[row["task"]] = row["accuracy"]
    shown = [output for output, by_task in scores.items() if len(set(by_task.values())) > 1]
    lines = [[task, *(_percent(scores[output][task]) for output in shown)] for task in SUITES["core"]]
    constant: dict[str, list[str]] = {}
    for output, by_task in scores.items():
        if output not in shown:
            constant.setdefault(_percent(next(iter(by_task.values()))), []).append(output)
    below = [f"{percent} everywhere: {', '.join(outputs)}." for percent, outputs in constant.items()]
    return _markdown(["task", *shown], lines) + "\n" + "\n".join(below) + "\n"


def _percent(score: float | None) -> str:
    return "-" if score is None else f"{100.0 * score:.0f}"


def findings_table() -> str:
    """Return the rules that samples of the released files break."""
    return as_table(Finding(**row) for row in golden("released_findings.json"))


def text_on_ideal_table() -> str:
    """Return C and the mean scores of the text tasks on `ideal`: settings across."""
    found = json.loads(text_on_ideal.GOLDEN.read_text(encoding="utf-8"))
    rows, last = [], None
    for row in found["means"]:
        task = row["task"]
        first = [task, f"{found['bits'][task]:.1f}"] if task != last else ["", ""]
        last = task
        shown = [_percent(value / 100) for value in row["percent"]]
        rows.append([*first, SCORE_NAMES.get(row["score"], row["score"]), row["method"], *shown])
    return _markdown(["task", "C", "score", "method", *(f"k={k}" for k in text_on_ideal.KS)], rows)


def tiny_scores_table() -> str:
    """Return the scores of `tiny` at every k, with those of `ideal` behind them."""
    return _tiny_settings([method for method in tiny_card.METHODS if method != "threshold"])


def tiny_threshold_table() -> str:
    """Return the scores of `tiny` at every threshold, with those of `ideal` behind them."""
    return _tiny_settings(["threshold"])


def _tiny_settings(methods: Sequence[str]) -> str:
    card = _tiny()
    rows, last = [], None
    for row in (row for row in card["percent"] if row["method"] in methods):
        first = row["task"] if row["task"] != last else ""
        last = row["task"]
        pairs = zip(row["tiny"], row["ideal"], strict=True)
        rows.append([first, row["method"], *(f"{tiny:.0f} / {ideal:.0f}" for tiny, ideal in pairs)])
    return _markdown(["task", "method", *card["settings"][methods[0]]], rows)


def tiny_choices_table() -> str:
    """Return how evenly both models choose among right answers, one token per step in random order."""
    rows = []
    for row in _tiny()["choices"]:
        tiny, ideal = row["tiny"], row["ideal"]
        numbers = (tiny["entropy_ratio"], tiny["p_value"], ideal["entropy_ratio"], ideal["p_value"])
        rows.append([row["task"], *map(_two_digits, (*numbers, ideal["entropy_ratio_unbiased"]))])
    header = ["task", "entropy of tiny", "p of tiny", "entropy of ideal", "p of ideal", "an even choice"]
    return _markdown(header, rows)


def _two_digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value >= 0.005 else "< 0.01"


def tiny_pb80_table() -> str:
    """Return PB80 of both models."""
    rows = [
        [row["suite"], row["method"], *(_two_digits(row[model]) for model in tiny_card.MODELS)]
        for row in _tiny()["pb80"]
    ]
    return _markdown(["suite", "method", *tiny_card.MODELS], rows)


def tiny_training_table() -> str:
    """Return how the shipped model and one of another seed were trained and what they get right."""
    cards = [json.loads(path.read_text(encoding="utf-8")) for path in tiny_card.TRAININGS]
    header = ["", *(f"seed {card['recipe']['seed']}" for card in cards)]
    facts = {"steps": "recipe", "minutes": None, "threads": None}
    rows = [
        [name, *(f"{card[place][name] if place else card[name]:,}" for card in cards)]
        for name, place in facts.items()
    ]
    rows += [[task, *(f"{100 * card['accuracy'][task]:.1f}" for card in cards)] for task in SUITES["core"]]
    return _markdown(header, rows)


def _tiny() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tiny_card.GOLDEN.read_text(encoding="utf-8"))
    return found


def packages_table() -> str:
    """Return every package of the wheel with what it is for and which of the others it imports anywhere."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    rows = []
    for package in packages:
        imported = set().union(*map(_imported_roots, (ROOT / package).rglob("*.py")))
        ours = [f"`{other}`" for other in packages if other in imported and other != package]
        rows.append([f"`{package}`", _purpose(ROOT / package / "__init__.py"), ", ".join(ours) or "none"])
    return _markdown(["package", "what it is", "imports of ours"], rows)


def _imported_roots(module: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(module.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


def slow_tests_table() -> str:
    """Return the tests that are marked slow, by file."""
    rows = []
    for path in sorted((ROOT / "unit_tests").rglob("test_*.py")):
        names = _slow_in(ast.parse(path.read_text(encoding="utf-8")))
        if names:
            rows.append([f"`{path.relative_to(ROOT).as_posix()}`", "; ".join(names)])
    return _markdown(["file", "slow tests"], rows)


def _slow_in(tree: ast.Module) -> list[str]:
    """Return which tests of a module are marked slow: all, some by name, or some cases of its tests."""
    marked = [node for node in tree.body if _names_slow(node)]
    if any(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark" for node in marked):
        return ["all"]
    tests = [node for node in marked if isinstance(node, ast.FunctionDef)]
    return [
        node.name.removeprefix("test_").replace("_", " ")
        if any(_names_slow(decorator) for decorator in node.decorator_list)
        else f"cases that {node.name} gives"
        for node in tests
    ]


def _names_slow(node: ast.AST) -> bool:
    """Whether ``pytest.mark.slow`` occurs in *node*."""
    return any(
        isinstance(part, ast.Attribute) and ast.unparse(part) == "pytest.mark.slow" for part in ast.walk(node)
    )


def _purpose(module: Path) -> str:
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
    assert docstring, f"{module} begins with its purpose"
    return docstring.splitlines()[0].replace("``", "`")


def _file_block(name: str, language: str, n_lines: int | None = None) -> str:
    lines = (EXAMPLES / name).read_text(encoding="utf-8").splitlines()[:n_lines]
    return f"```{language}\n" + "\n".join(lines) + "\n```\n"


def tables() -> Mapping[str, str]:
    """Return every generated table and example by the name in its mark."""
    return {
        "packages": packages_table(),
        "slow_tests": slow_tests_table(),
        "example_method": _file_block("outside_in.py", "python"),
        "example_model": _file_block("echo.py", "python"),
        "example_task": _file_block("pick_two.yaml", "yaml"),
        "example_sample": _file_block("pick_two.jsonl", "json", 1),
        "example_scorer": _file_block("pick_two.py", "python"),
        "example_record_hook": _file_block("keep_wrong.py", "python"),
        "example_gate_hook": _file_block("worst_task.py", "python"),
        "example_summary_hook": _file_block("to_wandb.py", "python"),
        "options": options_table(),
        "fault_classes": fault_classes_table(),
        "loopholes": loopholes_table(),
        "findings": findings_table(),
        "text_on_ideal": text_on_ideal_table(),
        "text_data": as_markdown(),
        "tiny_training": tiny_training_table(),
        "tiny_scores": tiny_scores_table(),
        "tiny_threshold": tiny_threshold_table(),
        "tiny_choices": tiny_choices_table(),
        "tiny_pb80": tiny_pb80_table(),
        "paper_index": _markdown(*paper_tables.index()),
        "paper_correlations": _markdown(*paper_tables.correlations()),
        "paper_top_k": _markdown(*paper_tables.top_k()),
        "paper_threshold": _markdown(*paper_tables.threshold()),
        "paper_figure_6": _markdown(*paper_tables.figure_6()),
        "paper_figure_7": _markdown(*paper_tables.figure_7()),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables, or put them into the pages."""
    parser = argparse.ArgumentParser(prog="python -m unit_tests.page_tables", description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the marked tables of every page")
    if parser.parse_args(arguments).write:
        found = tables()
        for path in PAGES:
            path.write_text(with_tables(text(path), found), encoding="utf-8")
    else:
        print("\n".join(tables().values()), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
