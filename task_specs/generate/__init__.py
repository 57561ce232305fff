"""Seeded builders of samples: the same parameters and seed give the same records for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from task_specs.generate.draw import source
from task_specs.generate.list_ops import list_ops_record
from task_specs.generate.puzzles import latin_square_record, sudoku_record
from task_specs.generate.request import Record, Request, stratum
from task_specs.generate.waiting_line import waiting_line_record
from task_specs.spec import TaskSpec

GENERATORS: Mapping[str, Callable[[Request], Record | None]] = MappingProxyType(
    {
        "waiting_line": waiting_line_record,
        "list_ops": list_ops_record,
        "latin_square": latin_square_record,
        "sudoku": sudoku_record,
    }
)
"""Name to the function that draws one record, or None where the draw broke a rule and is to be repeated."""

VERSIONS: Mapping[str, int] = MappingProxyType(
    {"waiting_line": 1, "list_ops": 1, "latin_square": 1, "sudoku": 1}
)
"""Raised whenever a generator would give other samples for the same seed; part of a variant's checksum."""

MAX_DRAWS = 2000


def identity(spec: TaskSpec) -> Mapping[str, Any]:
    """Return everything the generated samples of *spec* follow from."""
    return {
        "generator": spec.generator,
        "version": VERSIONS[str(spec.generator)],
        "parameters": dict(spec.parameters),
        "seed": spec.seed,
        "samples": spec.n_samples,
        "shots": spec.shots,
    }


def records(spec: TaskSpec) -> Iterator[Record]:
    """Yield the lines of the sample file of *spec*, shortest lists first.

    The draws of a sample depend on the seed and its id alone, so that a longer file begins alike and a chain
    of thought is asked the same questions.

    Raises:
        ValueError: There are not as many different inputs as samples are asked for.
    """
    draw = GENERATORS[str(spec.generator)]
    lengths = sorted(spec.parameters.get("lengths", [spec.parameters.get("n", 4)]))
    seen: set[str] = set()
    for length, number in stratum(lengths, spec.n_samples):
        yield _new(spec, draw, length, f"n{length}-{number:03d}", seen)


def _new(
    spec: TaskSpec, draw: Callable[[Request], Record | None], length: int, sample_id: str, seen: set[str]
) -> Record:
    for attempt in range(MAX_DRAWS):
        rng = source(spec.seed, sample_id, attempt)
        record = draw(
            Request(rng=rng, id=sample_id, length=length, shots=spec.shots, parameters=spec.parameters)
        )
        if record is None:
            continue
        question = repr(sorted(record["fields"].items()))
        if question not in seen:
            seen.add(question)
            return record
    raise ValueError(
        f"samples of task {spec.id} must be at most the number of different inputs, got {spec.n_samples!r}; "
        f"only {len(seen)} were found in {MAX_DRAWS} draws each, ask for fewer"
    )
