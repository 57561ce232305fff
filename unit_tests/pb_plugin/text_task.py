"""A text task of the user's that is judged by grammar, written into the folder of a run."""

import json

ANSWERS = {"a": ["a cat sits", "a cat sits here"], "b": ["b dog runs"], "c": ["c xx"], "d": ["d x"]}
"""Answers by word; a stand-in server finds a fault for each x."""
RIGHT = 0.5
"""Score of the exact model: the texts of c and d have faults."""
SPEC = {
    "id": "say",
    "category": "mine",
    "version": "1",
    "prompt": '"Use {words}."',
    "canvas": "16",
    "scorer": "words_to_sentence",
    "score": "grammar",
    "needs": "[grammar]",
    "data": "say.jsonl",
    "answers": "stored",
}


def write_text_task(folder, answers=None, **changes):
    """Write the task with some keys of its YAML file replaced, and return the file's name."""
    lines = [
        {"id": word, "fields": {"words": word}, "facts": {"words": [word]}, "answers": texts}
        for word, texts in (answers or ANSWERS).items()
    ]
    name = changes.get("id", SPEC["id"])
    values = {**SPEC, "data": f"{name}.jsonl", **changes}
    folder.joinpath(f"{name}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    folder.joinpath(f"{name}.yaml").write_text("".join(f"{k}: {v}\n" for k, v in values.items()))
    return f"{name}.yaml"
