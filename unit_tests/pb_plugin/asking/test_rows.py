"""A question becomes a row, or is refused with the name of its sample."""

import re
from types import SimpleNamespace

import pytest

from decoders.rows import Step
from pb_plugin.asking.rows import answer_context, build_row, trace_json
from task_specs.sample import Enumerated, Permutations


def test_a_prompt_that_the_model_refuses_names_the_sample():
    def refuse(messages):
        raise ValueError(f"messages[0] content must be text, got {messages[0]['content']!r}; leave it out")

    model = SimpleNamespace(encode_prompt=refuse, tokenizer=SimpleNamespace(is_fallback=True))
    question = SimpleNamespace(
        sample=SimpleNamespace(id="s7", example=None), messages=[{"role": "user", "content": "<|mdm_mask|>"}]
    )
    spec = SimpleNamespace(id="copy_list", infilling=False, canvas=8)
    message = (
        r"prompt of copy_list/s7: messages\[0\] content must be text, got '<\|mdm_mask\|>'; leave it out"
    )
    with pytest.raises(ValueError, match=message):
        build_row(0, question, spec, None, 0, model, None)


class Lossy:
    """Bytes of what *lose* leaves of a text."""

    name, is_fallback = "lossy", False

    def __init__(self, lose):
        self._lose = lose

    def encode(self, text):
        return list(self._lose(text).encode())

    def decode(self, ids):
        return bytes(ids).decode()


LOSSES = {
    "lower-case": (str.lower, "a Bo", "got 'a bo' for 'a Bo' of copy_list/s7"),
    "stripped": (str.strip, "ab ", "got 'ab' for 'ab ' of copy_list/s7"),
    "cut": (lambda text: text[:50], "x" * 60, f"got {'x' * 20!r} for {'x' * 30!r} of copy_list/s7"),
}
SPEC = SimpleNamespace(id="copy_list", infilling=False, canvas=99)


def asked(example=None, answers=None):
    return SimpleNamespace(sample=SimpleNamespace(id="s7", example=example, answers=answers), messages=[])


@pytest.mark.parametrize(("lose", "text", "said"), LOSSES.values(), ids=LOSSES)
def test_a_tokenizer_that_loses_part_of_an_answer_is_refused(lose, text, said):
    message = f"tokenizer lossy must give back every answer, {said}; use the tokenizer"
    model = SimpleNamespace(tokenizer=Lossy(lose), name="m", eos_ids={0}, uses_answers=True)
    with pytest.raises(ValueError, match=re.escape(message)):
        build_row(0, asked(example=text), SPEC, None, 0, model, None)
    answers = Enumerated(texts=("ab", text), weights=(0.5, 0.5))
    with pytest.raises(ValueError, match=re.escape(message)):
        answer_context(asked(answers=answers), SPEC, model)


def test_one_order_stands_for_all_orders_of_the_items():
    orders = Permutations(items=("a", "B"), opening="[", separator=",", closing="]", exclude_input=False)
    model = SimpleNamespace(tokenizer=Lossy(str.lower), name="m", eos_ids={0}, uses_answers=True)
    with pytest.raises(ValueError, match=r"got '\[a,b\]' for '\[a,B\]' of copy_list/s7"):
        answer_context(asked(answers=orders), SPEC, model)


def test_a_history_is_stored_without_what_the_same_forward_masked_again():
    history = (
        Step(committed=((0, 11), (2, 12)), confidence=(0.98765, 0.5)),
        Step(committed=((1, 13), (2, 14)), remasked=(2, 0), confidence=(1.0, 0.25)),
    )
    assert trace_json(history) == {
        "commits": [[0, 0, 11, 0.9877], [0, 2, 12, 0.5], [1, 1, 13, 1.0]],
        "remasks": [[1, 2], [1, 0]],
    }
    assert trace_json(None) is None
