"""List operations on letters, answered by filling in a template.

Source: ParallelBench (arXiv 2510.04767), section 4, the synthetic list operations.
"""

from __future__ import annotations

from string import ascii_uppercase
from typing import Any

from task_specs.answers import as_list_text
from task_specs.generate.draw import below, distinct
from task_specs.generate.request import Record, Request
from task_specs.generate.traces import thought, trace_of
from task_specs.generate.waiting_line import list_fields, one_answer

MASK = "[MASK]"
"""What stands in a template for every item to be filled in."""


def list_ops_record(request: Request) -> Record:
    """Return one sample: different letters, the answer's form as the template, no worked examples.

    A chain of thought has the same question; its answer begins with a trace (`task_specs.generate.traces`).
    A shuffle accepts the input order too: n! answers, so that the paper's closed forms hold exactly.
    """
    operation, n = request.parameters["operation"], request.parameters["n"]
    letters = distinct(request.rng, ascii_uppercase, n + operation.startswith("replace"))
    facts: dict[str, Any] = {"operation": operation, "items": letters[:n]}
    if operation.startswith("replace"):
        facts["word"] = letters[n]
    if operation == "replace_index":
        facts["index"] = below(request.rng, n)
    if operation == "shuffle":
        facts["exclude_input"] = False
    answer = one_answer(request.rng, facts)
    example, template = as_list_text(answer), as_list_text([MASK] * len(answer))
    if (marker := request.parameters.get("cot")) is not None:
        trace = trace_of(request.parameters["trace"], facts, answer)
        example = thought(trace, marker, answer)
        template = thought([MASK] * len(trace), marker, [MASK] * len(answer))
    return {
        "id": request.id,
        "fields": list_fields(facts),
        "facts": facts,
        "shots": [],
        "example": example,
        "length": n,
        "template": template,
    }
