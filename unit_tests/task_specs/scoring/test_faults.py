"""Every category of fault on answers that have it, and none on a right answer of a task."""

import pytest

from task_specs.load import load_samples
from task_specs.sample import Sample
from task_specs.scoring.faults import faults
from task_specs.spec import builtin_spec

NAMES = ("Jack Burns", "Jessica Martin", "Tyler Lopez")


def sample(**facts):
    return Sample(
        id="s", fields={}, facts=facts, shots=(), example=None, answers=None, template=None, length=3
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('["Jessica Lopez", "Jack Burns", "Tyler Martin"]', ("mixed names",)),
        ('["Jessica Lopez", "Jessica Lopez"]', ("mixed names", "wrong length")),
        ('["Jack Burns", "Jack Burns", "Tyler Lopez"]', ("repeated word",)),
        ('["Jack Burns", "Tyler Lopez"]', ("wrong length",)),
        ('["Jack Burns", "Jessica Martin", "Tyler Lopez"]', ("wrong position",)),
        ('["Jack Burns", "Ann", "Tyler Lopez"]', ("unknown word",)),
        ("Jack Burns, Tyler Lopez", ("not a list",)),
        ("", ("not a list",)),
        ("[]", ("wrong length",)),
    ],
)
def test_a_list(text, found):
    assert faults(text, sample(operation="shuffle", items=NAMES, exclude_input=True)) == found


def test_a_list_that_grows_or_shrinks_has_its_own_length_and_word():
    inserted = sample(operation="insert_random", items=NAMES[:2], word=NAMES[2])
    assert faults('["Jack Burns", "Jessica Martin"]', inserted) == ("wrong length",)
    assert faults('["Jessica Martin", "Tyler Lopez", "Jack Burns"]', inserted) == ("wrong position",)
    removed = sample(operation="remove_random", items=NAMES)
    assert faults('["Tyler Lopez", "Jack Burns"]', removed) == ("wrong position",)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,2\n1,2", ("wrong position",)),
        ("1,1\n2,1", ("repeated word",)),
        ("1,2", ("wrong length",)),
        ("1,x\n2,1", ("unknown word",)),
        ("\n", ("not a grid",)),
    ],
)
def test_a_grid(text, found):
    assert faults(text, sample(symbols=["1", "2"])) == found
    assert faults(text.replace(",", ""), sample(solution=["12", "21"])) == found


def test_a_sentence():
    asked = sample(words=["ball", "bridge"])
    assert faults("The the ball", asked) == ("repeated word", "missing word")
    assert faults("A ball on a bridge", asked) == ("other",)
    assert faults("She drinks drinks after dinner.", sample(text="x")) == ("repeated word",)


@pytest.mark.parametrize(
    "task", ["shuffle", "insert_random", "remove_index", "sort", "latin_square", "sudoku"]
)
def test_a_right_answer_shows_no_fault_but_its_order(task):
    for one in load_samples(builtin_spec(task)):
        assert faults(one.example, one) == ("wrong position",)
