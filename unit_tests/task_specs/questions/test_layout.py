"""The layout that is trained is the layout that is read."""

import json

from decoders.models import tiny
from pb_plugin.cli.train_tiny import lessons
from task_specs.answers import latin_squares
from task_specs.load import load_samples
from task_specs.questions import layout
from task_specs.questions.layout import LENGTHS
from task_specs.questions.vocabulary import BLANK, EOS, ID, MASK, PIECES, TASKS
from task_specs.spec import builtin_spec


def test_prompts_are_as_wide_as_those_the_shipped_model_was_trained_on():
    assert (layout.HEAD, layout.BODY, layout.PROMPT) == (tiny.HEAD, tiny.BODY, 26) == (7, 19, 26)


def test_the_special_words_are_those_of_the_model():
    assert (PIECES[BLANK], PIECES[MASK]) == (tiny.BLANK, tiny.CHAT.mask)
    assert ID[tiny.UNKNOWN] == 3
    assert ID[tiny.LINE_END] == ID["\n"]


def test_sizes_are_those_of_the_longest_texts(tokenizer):
    people = ["Amy Fox"] * 7
    assert len(tokenizer.encode(json.dumps(people[: max(LENGTHS)]))) == layout.BODY
    assert len(tokenizer.encode(json.dumps(people))) == layout.LIST_ANSWER
    square = "\n".join(",".join("ABCD"[cell] for cell in row) for row in latin_squares(4)[0])
    assert len(tokenizer.encode(square)) == layout.PUZZLE_ANSWER


def test_prompt_and_canvas_of_every_task_fit_the_model():
    specs = [builtin_spec(task) for task in TASKS]
    assert max(spec.canvas for spec in specs) == layout.CANVAS
    assert lessons().config_json()["max_sequence_length"] == layout.PROMPT + layout.CANVAS


def test_frozen_lines_are_as_long_as_the_trained_ones():
    for task in TASKS[:10]:
        assert {len(sample.facts["items"]) for sample in load_samples(builtin_spec(task))} == set(LENGTHS)


def test_ids_of_the_config_are_those_of_the_vocabulary():
    config = lessons().config_json()
    assert (config["mask_token_id"], config["eos_token_id"], config["pad_token_id"]) == (MASK, EOS, BLANK)
    assert config["vocab_size"] == config["embedding_size"] == len(PIECES) == 330
