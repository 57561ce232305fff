"""Token ids back to the texts and facts they stand for, without the tokenizer or the code that wrote them."""

import json
from functools import cache
from itertools import takewhile

from task_specs.questions.vocabulary import BLANK, EOS, PIECES
from task_specs.spec import builtin_spec
from task_specs.template import field_names


def prompt_text(ids):
    """Return the text of a prompt, its blanks left out."""
    return "".join(PIECES[token] for token in ids if token != BLANK)


def answer_text(ids):
    """Return the text before the first EOS; behind it there is nothing but EOS."""
    answer = list(takewhile(lambda token: token != EOS, ids))
    assert set(ids[len(answer) :]) <= {EOS}, "what follows an answer is EOS"
    return "".join(PIECES[token] for token in answer)


@cache
def _arguments(task):
    """Return the names of what the first line of a compact prompt shows."""
    return field_names(builtin_spec(task).prompt_compact.splitlines()[0])


def list_facts(text):
    """Return the facts of a waiting line from its compact prompt."""
    head, context = text.split("\n")
    task, *arguments = head.split(", ")
    facts = {"operation": task, "items": json.loads(context)}
    facts |= zip(_arguments(task), arguments, strict=True)
    if "index" in facts:
        facts["index"] = int(facts["index"])
    if task == "shuffle":
        facts["exclude_input"] = True
    return facts


def lines_of(ids):
    """Return what a text of several lines shows, line by line."""
    return "".join(PIECES[token] for token in ids).split("\n")
