"""Vectorised questions obey the rules that the pure-Python generator and the answer sets state."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from decoders.models.tiny import fill_up
from task_specs.answers import OPERATIONS, as_list_text, check_list_facts
from task_specs.generate.names import FIRST_NAMES, LAST_NAMES
from task_specs.generate.waiting_line import list_fields
from task_specs.questions import layout
from task_specs.questions.layout import LENGTHS, MOST_PEOPLE
from task_specs.questions.vocabulary import CLOSE, DIGIT_ZERO, FIRST_NAME, LAST_NAME, WAITING_LINE
from task_specs.questions.waiting_lines import waiting_lines
from task_specs.spec import builtin_spec
from task_specs.template import fill
from unit_tests.task_specs.questions.reading import answer_text, list_facts, prompt_text

ONE_IN_A_MILLION = 1e-6
FIRST_LAST_NAME = layout.HEAD + 2


def questions_of(seed, tasks):
    return waiting_lines(np.random.default_rng(seed), np.array(tasks, dtype=np.int64))


def many(task, rows=20_000, seed=5):
    return questions_of(seed, [WAITING_LINE.index(task)] * rows)


def is_uniform(counts):
    return chisquare(counts).pvalue > ONE_IN_A_MILLION


def lengths_of(ids, start):
    """Return how many people stand in the lists that begin in column *start*."""
    return (ids[:, start:] == CLOSE).argmax(axis=1) // 3


TASK_LISTS = st.lists(st.integers(0, len(WAITING_LINE) - 1), min_size=1, max_size=30)
SEEDS = st.integers(0, 2**63)


@settings(deadline=None)
@given(seed=SEEDS, tasks=TASK_LISTS)
def test_a_prompt_is_the_compact_prompt_of_its_facts_as_the_model_reads_it(tokenizer, seed, tasks):
    asked = questions_of(seed, tasks)
    for task, ids in zip(tasks, asked.prompts.tolist(), strict=True):
        facts = list_facts(prompt_text(ids))
        assert facts["operation"] == WAITING_LINE[task]
        text = fill(builtin_spec(WAITING_LINE[task]).prompt_compact, list_fields(facts))
        assert ids == fill_up(tokenizer.encode(text), tokenizer)


@settings(deadline=None)
@given(seed=SEEDS, tasks=TASK_LISTS)
def test_an_answer_is_in_the_answer_set_of_its_question(seed, tasks):
    asked = questions_of(seed, tasks)
    for prompt, answer in zip(asked.prompts.tolist(), asked.answers.tolist(), strict=True):
        facts = list_facts(prompt_text(prompt))
        check_list_facts(facts)
        right = map(as_list_text, OPERATIONS[facts["operation"]](facts["items"], facts))
        assert answer_text(answer) in set(right)


@settings(deadline=None)
@given(seed=SEEDS, tasks=TASK_LISTS)
def test_no_first_or_last_name_occurs_twice_in_a_question(seed, tasks):
    for ids in questions_of(seed, tasks).prompts.tolist():
        facts = list_facts(prompt_text(ids))
        people = [*facts["items"], *([facts["word"]] if "word" in facts else [])]
        for names in zip(*(person.split(" ") for person in people), strict=True):
            assert len(set(names)) == len(people)
        assert len(facts["items"]) in LENGTHS


def test_rows_have_the_width_and_the_tasks_that_were_asked_for():
    tasks = np.arange(40) % len(WAITING_LINE)
    asked = questions_of(0, tasks)
    assert asked.prompts.shape == (40, layout.PROMPT)
    assert asked.answers.shape == (40, layout.CANVAS)
    assert (asked.tasks == tasks).all()


def test_a_seed_is_a_batch():
    first, again, other = (questions_of(seed, range(10)) for seed in (1, 1, 2))
    assert (first.prompts == again.prompts).all()
    assert (first.answers == again.answers).all()
    assert (first.prompts != other.prompts).any()


def sorted_lines(task):
    """Return how many lines of three are in alphabetical order, and of how many."""
    asked = many(task)
    lines = asked.prompts[lengths_of(asked.prompts, layout.HEAD) == 3]
    lasts = lines[:, FIRST_LAST_NAME + 3 * np.arange(3)]
    return int((np.diff(lasts, axis=1) > 0).all(axis=1).sum()), len(lines)


def test_a_line_to_be_sorted_is_never_sorted_and_others_as_often_as_chance_has_it():
    assert sorted_lines("sort")[0] == 0
    found, lines = sorted_lines("copy")
    assert chisquare([found, lines - found], [lines / 6, lines * 5 / 6]).pvalue > ONE_IN_A_MILLION


@pytest.mark.parametrize("task", WAITING_LINE)
def test_all_lengths_are_equally_likely(task):
    """Of lines to be sorted, too: the length is kept where the people are drawn again."""
    asked = many(task)
    counts = Counter(lengths_of(asked.prompts, layout.HEAD).tolist())
    assert sorted(counts) == [3, 4, 5, 6]
    assert is_uniform(list(counts.values()))


@pytest.mark.parametrize("start", [2, layout.HEAD + 1], ids=["newcomer", "front"])
def test_all_names_are_equally_likely(start):
    asked = many("insert_random")
    for column, first_id, names in ((start, FIRST_NAME, FIRST_NAMES), (start + 1, LAST_NAME, LAST_NAMES)):
        counts = np.bincount(asked.prompts[:, column] - first_id)
        assert len(counts) == len(names)
        assert is_uniform(counts)


def orders_of(asked, n):
    """Return, for the lines of *n* people, which of them stands where in the answer: n is the newcomer."""
    rows = lengths_of(asked.prompts, layout.HEAD) == n
    before = asked.prompts[rows][:, FIRST_LAST_NAME + 3 * np.arange(n)]
    longest = asked.answers[rows][:, 2 + 3 * np.arange(MOST_PEOPLE)]
    sizes = lengths_of(asked.answers[rows], 0)
    same = longest[:, :, None] == before[:, None, :]
    places = np.where(same.any(axis=2), same.argmax(axis=2), n)
    return [tuple(row[:size]) for row, size in zip(places.tolist(), sizes.tolist(), strict=True)]


@pytest.mark.parametrize("n", [3, 4, 5])
def test_a_shuffle_is_every_order_but_the_one_asked_equally_often(n):
    counts = Counter(orders_of(many("shuffle", 30_000), n))
    assert tuple(range(n)) not in counts
    assert len(counts) == {3: 5, 4: 23, 5: 119}[n]
    assert is_uniform(list(counts.values()))


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize(
    ("task", "ways"), [("replace_random", 0), ("insert_random", 1), ("remove_random", 0)]
)
def test_a_random_place_is_every_place_equally_often(task, ways, n):
    counts = Counter(orders_of(many(task), n))
    assert len(counts) == n + ways
    assert is_uniform(list(counts.values()))


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("task", ["replace_index", "insert_index", "remove_index"])
def test_a_told_place_is_every_place_equally_often(task, n):
    asked = many(task)
    rows = asked.prompts[lengths_of(asked.prompts, layout.HEAD) == n]
    counts = np.bincount(rows[:, 2] - DIGIT_ZERO)
    assert len(counts) == n + (task == "insert_index")
    assert is_uniform(counts)
