"""Audit of the published files: how many samples break which rule, as a table that a test compares.

Run ``python -m task_specs.audit.findings DIR`` to print it, with ``--write FILE`` to store it.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from task_specs.audit.findings_text import reference_rules, references, sample_rules
from task_specs.audit.tables import as_json
from task_specs.generate.puzzles import n_solutions, solutions
from task_specs.released.files import RELEASED_FILES, load_released, released_spec
from task_specs.released.lines import answer_of, facts_of, fields_of, released_lines, shot_lines
from task_specs.sample import Sample
from task_specs.scoring import SCORERS
from task_specs.scoring.lists import list_items
from task_specs.spec import builtin_spec

NEW_PERSON = ("replace_index", "replace_random", "insert_index", "insert_random")
BY_INDEX = ("replace_index", "insert_index", "remove_index")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """How many of *total* samples (or shots) of a task break a rule."""

    task: str
    rule: str
    violations: int
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A question or a shot: what it shows, what it means, its label and the length it claims."""

    fields: Mapping[str, Any]
    facts: Mapping[str, Any]
    label: str
    length: int | None

    def scores(self, scorer: str) -> bool:
        """Return whether the label is right under a scorer of the table."""
        sample = Sample(
            id="asked",
            fields=self.fields,
            facts=self.facts,
            shots=(),
            example=self.label,
            answers=None,
            template=None,
            length=1,
        )
        return SCORERS[scorer](self.label, sample, {}).values["accuracy"] == 1.0

    def obeys(self, scorer: str) -> bool:
        """Return whether the label is right under our own rule; a sudoku's is solved, not believed."""
        if "grid" in self.facts:
            return _cells(self.facts["solution"]) in solutions(_cells(self.facts["grid"]))
        return self.scores(scorer)

    def people(self) -> list[str]:
        """Return the people of a waiting line and the new one."""
        return [*self.facts["items"], *([self.facts["word"]] if "word" in self.facts else [])]


Rule = Callable[[Asked], bool]


def audit_released(directory: Path) -> tuple[Finding, ...]:
    """Return the findings of every released task, in benchmark order.

    Args:
        directory: The folder given as ``--pb-data``.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is malformed.
    """
    return tuple(finding for task in RELEASED_FILES for finding in audit_task(task, directory))


def audit_task(task_id: str, directory: Path) -> tuple[Finding, ...]:
    """Return the findings of one released task, rules without violations included.

    Raises:
        LookupError: The task was not released.
        FileNotFoundError: A file is missing.
        ValueError: A file is malformed.
    """
    own = builtin_spec(task_id)
    if own.category == "text_writing":
        return _audit_text(task_id, load_released(own, directory))
    spec = released_spec(own, directory)
    questions, shots = [], []
    for where, line in released_lines(directory / RELEASED_FILES[task_id][0] / str(spec.data)):
        questions.append(_asked(task_id, where, line))
        shots.append([_asked(task_id, place, shot) for place, shot in shot_lines(where, line)])
    every_shot = [shot for some in shots for shot in some]
    rules = {
        "the label obeys the rule of the prompt (positions from 0)": lambda asked: asked.obeys(own.scorer),
        "the label scores 1 under the released scorer": lambda asked: asked.scores(spec.scorer),
        **(_puzzle_rules(task_id) if own.category == "puzzles" else _list_rules(task_id)),
    }
    rows = [_finding(task_id, rule, map(keeps, questions)) for rule, keeps in rules.items()]
    obeyed = (shot.obeys(own.scorer) for shot in every_shot)
    rows.append(_finding(task_id, "the shot obeys the rule of the prompt (positions from 0)", obeyed))
    other = (
        all(shot.fields != asked.fields for shot in some)
        for asked, some in zip(questions, shots, strict=True)
    )
    rows.append(_finding(task_id, "the shot is another question", other))
    rows.append(_finding(task_id, "the question occurs once", _first_times(questions)))
    if task_id in BY_INDEX:
        stated = re.search(r"\b0\b|0-based|zero", spec.prompt, re.IGNORECASE) is not None
        rows.append(_finding(task_id, "the prompt states where positions start", [stated] * len(questions)))
    return tuple(rows)


def _audit_text(task_id: str, samples: Sequence[Sample]) -> tuple[Finding, ...]:
    referenced = [sample for sample in samples if references(sample)]
    rows = [_finding(task_id, rule, map(keeps, samples)) for rule, keeps in sample_rules(task_id).items()]
    rows += [
        _finding(task_id, rule, map(keeps, referenced)) for rule, keeps in reference_rules(task_id).items()
    ]
    return (*rows, _finding(task_id, "the question occurs once", _first_times(samples)))


def _asked(task_id: str, where: str, line: Mapping[str, Any]) -> Asked:
    return Asked(
        fields=fields_of(where, line, ()),
        facts=facts_of(task_id, where, line),
        label=answer_of(where, line),
        length=line.get("metadata", {}).get("length"),
    )


def _finding(task: str, rule: str, kept: Iterable[bool]) -> Finding:
    kept = list(kept)
    return Finding(task=task, rule=rule, violations=kept.count(False), total=len(kept))


def _first_times(questions: Iterable[Asked | Sample]) -> list[bool]:
    seen: set[str] = set()
    first = []
    for asked in questions:
        key = json.dumps(asked.fields, sort_keys=True)
        first.append(key not in seen)
        seen.add(key)
    return first


def _distinct(values: Sequence[str]) -> bool:
    return max(Counter(values).values(), default=0) <= 1


def _list_rules(task_id: str) -> dict[str, Rule]:
    rules: dict[str, Rule] = {
        "no person is in the list twice": lambda asked: _distinct(asked.facts["items"]),
        "no first name occurs twice": lambda asked: _distinct(
            [name.split(" ")[0] for name in asked.people()]
        ),
        "no last name occurs twice": lambda asked: _distinct(
            [name.split(" ")[-1] for name in asked.people()]
        ),
        "the metadata give the length of the list": lambda asked: asked.length == len(asked.facts["items"]),
        "the scored list is the one shown": lambda asked: (
            list_items(asked.fields["context"]) == asked.facts["items"]
        ),
    }
    if task_id in NEW_PERSON:
        rules["the new person is not in the list"] = lambda asked: (
            asked.facts["word"] not in asked.facts["items"]
        )
    if task_id != "copy":
        rules["the answer differs from the question"] = lambda asked: asked.label != asked.fields["context"]
    return rules


def _puzzle_rules(task_id: str) -> dict[str, Rule]:
    if task_id == "latin_square":
        return {
            "the symbols differ": lambda asked: _distinct(asked.facts["symbols"]),
            "the scored symbols are those shown": lambda asked: (
                list_items(asked.fields["symbols"]) == asked.facts["symbols"]
            ),
        }
    return {
        "there is exactly one solution": lambda asked: n_solutions(_cells(asked.facts["grid"])) == 1,
        "the metadata give the number of clues": lambda asked: (
            asked.length == sum(map(bool, _cells(asked.facts["grid"])))
        ),
    }


def _cells(rows: Iterable[str]) -> tuple[int, ...]:
    return tuple(int(digit) for row in rows for digit in row)


def as_table(findings: Iterable[Finding]) -> str:
    """Return the rules that are broken as a Markdown table."""
    rows = [
        f"| {row.task} | {row.rule} | {row.violations} | {row.total} |" for row in findings if row.violations
    ]
    return "\n".join(["| task | rule | violations | of |", "|---|---|---|---|", *rows]) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the broken rules of a folder, or store the whole table.

    Args:
        arguments: Command line, or None for that of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m task_specs.audit.findings", description=__doc__)
    parser.add_argument("directory", type=Path, help="folder with waiting_line/, puzzle/ ...")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="store every row as JSON instead of printing"
    )
    options = parser.parse_args(arguments)
    findings = audit_released(options.directory)
    if options.write is None:
        print(as_table(findings), end="")
    else:
        options.write.write_text(as_json(findings), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
