"""Answer sets become token ids, or say why they cannot."""

import itertools

import numpy as np
import pytest

from decoders.text.tokenizer import EOS_ID, MASK_ID, PieceTokenizer
from decoders.theory.answer_sets import TokenAnswers, chance_correct, enumerated, permutations, template_ids

FIRST = [f"First{i}" for i in range(20)]
LAST = [f" Last{i}" for i in range(20)]
PEOPLE = [first + last for first, last in zip(FIRST, LAST, strict=True)]
TOKENIZER = PieceTokenizer([*FIRST, *LAST, '["', '", "', '"]'])
LIST = {"opening": '["', "separator": '", "', "closing": '"]'}


def written(items):
    return LIST["opening"] + LIST["separator"].join(items) + LIST["closing"]


def listed(texts, weights=None, gen_length=16, tokenizer=TOKENIZER):
    weights = weights or [1.0] * len(texts)
    return enumerated(tokenizer, texts, weights, gen_length=gen_length, eos_id=EOS_ID, sample="task/s1")


def orders(items, *, exclude_input=False, gen_length=64, tokenizer=TOKENIZER, **changed):
    given = {**LIST, **changed}
    return permutations(
        tokenizer,
        items,
        exclude_input=exclude_input,
        gen_length=gen_length,
        eos_id=EOS_ID,
        sample="task/s1",
        **given,
    )


@pytest.mark.parametrize(("n", "tokens"), [(7, 22), (20, 61)])
def test_a_list_of_people_has_two_tokens_each_and_one_between(n, tokens):
    people = PEOPLE[:n]
    assert len(TOKENIZER.encode(written(people))) == tokens
    assert int((orders(people).fixed != EOS_ID).sum()) == tokens


def test_enumerated_answers_are_padded_with_eos_and_keep_their_proportions():
    answers = listed([written(PEOPLE[:2]), written(PEOPLE[:1]), "ab"], [2.0, 1.0, 1.0], gen_length=8)
    assert answers.ids.shape == (3, 8)
    assert answers.weights.tolist() == [1.0, 0.5, 0.5]
    assert answers.ids[2].tolist() == [*TOKENIZER.encode("ab"), *[EOS_ID] * 6]
    assert answers.support.tolist() == sorted(set(answers.ids.flatten().tolist()))
    assert np.array_equal(answers.support[answers.local], answers.ids)


def test_tokens_are_numbered_at_each_position_as_the_answers_show_them():
    answers = listed(["ab", "ba", "b", "cb"], gen_length=3)
    column = {text: answers.support.tolist().index(TOKENIZER.encode(text)[0]) for text in "abc"}
    end = answers.support.tolist().index(EOS_ID)
    expected = np.full((3, 4), -1)
    for place, shown in enumerate([["a", "b", "c"], ["b", "a", end], [end]]):
        for number, token in enumerate(shown):
            expected[place, column.get(token, token)] = number
    assert np.array_equal(answers.symbols, expected)
    assert answers.structure == listed(["ba", "ab", "a", "ca"], gen_length=3).structure
    assert answers.structure != listed(["ab", "ba", "b", "ca"], gen_length=3).structure


def test_described_orders_mean_what_listed_orders_mean():
    """Writing every order into the slots gives the tokens of every text."""
    items = PEOPLE[:3]
    described = orders(items, gen_length=12)
    texts = {
        tuple(row)
        for row in listed([written(o) for o in itertools.permutations(items)], gen_length=12).ids.tolist()
    }
    built = set()
    for order in itertools.permutations(range(3)):
        ids = described.fixed.copy()
        for position, slot in enumerate(described.slot.tolist()):
            if slot >= 0:
                ids[position] = described.item_tokens[order[slot], described.offset[position]]
        built.add(tuple(ids.tolist()))
    assert built == texts
    assert described.support.tolist() == sorted({token for row in texts for token in row})


def test_a_template_is_masked_where_it_says_and_padded():
    ids = template_ids(
        TOKENIZER, '["[MASK]", "ab[MASK]"]', mask_id=MASK_ID, gen_length=9, eos_id=EOS_ID, sample="s"
    )
    opening, separator, closing = (TOKENIZER.encode(text)[0] for text in LIST.values())
    a, b = TOKENIZER.encode("ab")
    assert ids == (opening, MASK_ID, separator, a, b, MASK_ID, closing, EOS_ID, EOS_ID)


class Uneven:
    """One token per character, but the letter after a comma joins it."""

    name = "uneven"
    is_fallback = False

    def encode(self, text):
        return [ord(c) for c in text.replace(",b", "B")]

    def decode(self, ids):
        return "".join(map(chr, ids))


class Lossy(Uneven):
    name = "lossy"

    def encode(self, text):
        return [ord(c) for c in text.lower()]


LONGER = r"tokens{} under tokenizer pieces; give the task a longer one \(TASK:canvas=N\)"
NAMES = (
    r"tokenizer {} must give every item of task/s1 the same number of tokens, each naming one item, "
    r"for more than 7 items, got \[.*\]; use the built-in tokenizer \(--model ideal\) or a smaller n"
)

REFUSED = {
    "answer too long": (
        lambda: listed(["ab", "abcde"], gen_length=4),
        "canvas must hold every answer of task/s1, got 4 positions for 5 " + LONGER.format(" of 'abcde'"),
    ),
    "answers alike": (
        lambda: listed(["A", "a"], tokenizer=Lossy()),
        r"answers of task/s1 must differ in tokens, got two alike under tokenizer lossy; use the built-in",
    ),
    "order too long": (
        lambda: orders(PEOPLE[:7], gen_length=21),
        "canvas must hold every answer of task/s1, got 21 positions for 22 " + LONGER.format(""),
    ),
    "uneven items": (lambda: orders(["a", "bc"]), NAMES.format("pieces")),
    "shared token": (lambda: orders(["First1 Last1", "First1 Last2"]), NAMES.format("pieces")),
    "same item": (lambda: orders(["a", "a"]), NAMES.format("pieces")),
    "joined over a border": (
        lambda: orders(["a", "b"], tokenizer=Uneven(), opening="", separator=",", closing=""),
        NAMES.format("uneven"),
    ),
    "no item": (lambda: orders([]), r"items of task/s1 must be at least 1, got 0; no order is left"),
    "only the input": (
        lambda: orders(["a"], exclude_input=True),
        r"items of task/s1 must be at least 2, got 1; no order is left",
    ),
    "template too long": (
        lambda: template_ids(TOKENIZER, "ab[MASK]", mask_id=0, gen_length=2, eos_id=1, sample="task/s1"),
        "canvas must hold the template of task/s1, got 2 positions for 3 " + LONGER.format(""),
    ),
}


@pytest.mark.parametrize(("build", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_tokenised_is_refused_with_the_reason(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_the_chance_of_being_right_follows_the_order_of_commitment():
    """Two letters in either order: one by one always right, at once a coin."""
    both = listed(["ab", "ba"], gen_length=3)
    described = orders(["a", "b"], opening="", separator="", closing="", gen_length=3)
    for answers in (both, described):
        assert chance_correct(answers, (0, 1, 0), 0.0) == pytest.approx(1.0)
        assert chance_correct(answers, (0, 0, 0), 0.0) == pytest.approx(0.5)
    assert chance_correct(listed(["ab"], gen_length=3), (0, 0, -1), 1.0) == 1.0


def test_an_answer_set_is_told_apart_by_identity():
    """Tables are kept per answer set."""
    first, second = listed(["ab"]), listed(["ab"])
    assert first != second
    assert isinstance(hash(first), int)
    assert isinstance(first, TokenAnswers)
