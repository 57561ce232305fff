"""Audits over every committed task: labels and shots obey the prompt, inputs are unique, answers fit."""

import json
import re
from itertools import pairwise
from math import factorial

import pytest

import task_specs
from task_specs.answers import derived_answers, list_answers
from task_specs.generate.names import vocabulary
from task_specs.load import load_samples
from task_specs.prompt import messages
from task_specs.sample import Enumerated, Permutations
from task_specs.scoring import SCORERS, answer_text, resolve_scorer
from task_specs.spec import builtin_spec
from task_specs.template import field_names

LINES = task_specs.BENCHMARK_IDS["waiting_line"]
OPS = task_specs.list_op_ids()
EXACT = (*LINES, "latin_square", "sudoku", *OPS)


@pytest.fixture(scope="module")
def loaded():
    """Return the spec and the samples of a task, read once."""
    kept = {}

    def of(task_id):
        if task_id not in kept:
            spec = builtin_spec(task_id)
            kept[task_id] = (spec, load_samples(spec))
        return kept[task_id]

    return of


def list_questions(sample, operation):
    """The question and the shots of *sample* as (items, word, index, answer), as a prompt shows them."""
    asked = [(sample.fields, sample.example), *((shot.fields, shot.answer) for shot in sample.shots)]
    for fields, answer in asked:
        index = int(fields["index"]) if "index" in fields else None
        yield json.loads(fields["context"]), fields.get("word"), index, json.loads(answer)


def obeys(operation, items, word, index, answer):
    """The rule of the prompt, written anew and by other means than the answer sets."""
    rest = list(answer)
    match operation:
        case "copy":
            return answer == items
        case "sort":
            keys = [tuple(reversed(person.split(" "))) for person in answer]
            return sorted(answer) == sorted(items) and all(a < b for a, b in pairwise(keys))
        case "reverse":
            return all(answer[-1 - place] == item for place, item in enumerate(items)) and len(rest) == len(
                items
            )
        case "shuffle":
            return set(answer) == set(items) and len(answer) == len(items)
        case "replace_index" | "replace_random":
            place = answer.index(word)
            rest[place] = items[place]
            return rest == items and index in (None, place)
        case "insert_index" | "insert_random":
            place = rest.index(word)
            rest.remove(word)
            return rest == items and index in (None, place)
    gone = [place for place, item in enumerate(items) if item not in answer]
    return (
        len(gone) == 1
        and [*answer[: gone[0]], items[gone[0]], *answer[gone[0] :]] == items
        and index in (None, *gone)
    )


@pytest.mark.parametrize("task_id", [*LINES, *OPS])
def test_labels_and_shots_obey_the_rule_of_the_prompt(loaded, task_id):
    spec, samples = loaded(task_id)
    operation = spec.parameters["operation"]
    for sample in samples:
        for items, word, index, answer in list_questions(sample, operation):
            assert obeys(operation, items, word, index, answer), sample.id
        items, word, index, _ = next(list_questions(sample, operation))
        facts = sample.facts
        assert (facts["operation"], facts["items"], facts.get("word"), facts.get("index")) == (
            operation,
            items,
            word,
            index,
        )


@pytest.mark.parametrize("task_id", LINES)
def test_no_name_repeats_in_a_line_and_its_newcomer(loaded, task_id):
    for sample in loaded(task_id)[1]:
        for items, word, _, _ in list_questions(sample, task_id):
            people = [person.split(" ") for person in (*items, *([word] if word else []))]
            assert all(len({person[part] for person in people}) == len(people) for part in (0, 1)), sample.id


@pytest.mark.parametrize("task_id", ["sort", "reverse", "shuffle"])
def test_the_input_is_never_its_own_answer(loaded, task_id):
    for sample in loaded(task_id)[1]:
        for items, _, _, answer in list_questions(sample, task_id):
            assert items != answer
        assert sample.fields["context"] not in sample.answers.texts


@pytest.mark.parametrize("task_id", EXACT)
def test_inputs_and_ids_are_unique_and_no_shot_asks_the_question(loaded, task_id):
    spec, samples = loaded(task_id)
    asked = [messages(spec, sample)[-1]["content"] for sample in samples]
    assert len(set(asked)) == len({sample.id for sample in samples}) == len(samples) == spec.n_samples
    for sample in samples:
        turns = messages(spec, sample)
        assert turns[-1] not in turns[:-1]


@pytest.mark.parametrize("task_id", EXACT)
def test_the_example_is_a_valid_answer_and_scores_one(loaded, task_id):
    spec, samples = loaded(task_id)
    for sample in samples:
        assert sample.answers == derived_answers(sample.facts)
        if isinstance(sample.answers, Enumerated):
            assert sample.example in sample.answers.texts
        assert SCORERS[spec.scorer](sample.example, sample, {}).values[spec.score] == 1.0, sample.id


@pytest.mark.parametrize("task_id", LINES)
@pytest.mark.parametrize("params", [{"n": 2}, {"n": 8}, {"n": 20}, {"cot": True}], ids=str)
def test_the_example_of_a_variant_scores_one_behind_its_marker(task_id, params):
    spec = builtin_spec(task_id, params | {"samples": 8})
    score = resolve_scorer(spec.scorer)
    for sample in load_samples(spec):
        text = answer_text(sample.example, spec.answer_marker)
        assert score(text, sample, {}).values["accuracy_strict"] == 1.0, sample.id


SIZES = {
    "copy": lambda n: 1,
    "sort": lambda n: 1,
    "reverse": lambda n: 1,
    "replace_index": lambda n: 1,
    "insert_index": lambda n: 1,
    "remove_index": lambda n: 1,
    "replace_random": lambda n: n,
    "insert_random": lambda n: n + 1,
    "remove_random": lambda n: n,
    "shuffle": lambda n: factorial(n) - 1,
    "sudoku": lambda n: 1,
    "latin_square": lambda n: 576,
    "list_copy": lambda n: 1,
    "list_replace_index": lambda n: 1,
    "list_replace_random": lambda n: n,
}


@pytest.mark.parametrize("task_id", SIZES)
def test_answer_sets_have_the_size_of_the_design(loaded, task_id):
    for sample in loaded(task_id)[1]:
        size = SIZES[task_id](sample.length)
        assert len(set(sample.answers.texts)) == len(sample.answers.texts) == size
        assert sample.answers.weights == pytest.approx((1 / size,) * size)


def test_a_list_shuffle_accepts_every_order_the_input_included(loaded):
    for sample in loaded("list_shuffle")[1]:
        assert isinstance(sample.answers, Permutations)
        assert (list(sample.answers.items), sample.answers.exclude_input) == (sample.facts["items"], False)
    small = load_samples(builtin_spec("list_shuffle", {"n": 4, "samples": 5}))
    assert all(len(sample.answers.texts) == 24 for sample in small)
    assert all(sample.fields["context"] in sample.answers.texts for sample in small)


@pytest.mark.parametrize("task_id", LINES)
def test_lengths_are_25_each_of_3_to_6_in_file_order(loaded, task_id):
    samples = loaded(task_id)[1]
    assert [sample.length for sample in samples] == [n for n in (3, 4, 5, 6) for _ in range(25)]
    assert all(len(sample.facts["items"]) == sample.length for sample in samples)
    assert {len(json.loads(sample.shots[0].fields["context"])) for sample in samples} == {3, 4, 5, 6}


@pytest.mark.parametrize("task_id", ["replace_index", "insert_index", "remove_index", "list_replace_index"])
def test_an_index_task_states_that_positions_count_from_0_and_asks_for_every_one(loaded, task_id):
    spec, samples = loaded(task_id)
    assert "Positions count from 0" in spec.prompt
    six = [sample.facts["index"] for sample in samples if sample.length == max(s.length for s in samples)]
    assert set(six) <= set(range(samples[-1].length + task_id.startswith("insert")))
    assert {0, 1, samples[-1].length - 1} <= set(six)


@pytest.mark.parametrize("task_id", EXACT)
def test_the_prompt_shows_every_field_and_nothing_of_the_answer(loaded, task_id):
    spec, samples = loaded(task_id)
    assert all(set(field_names(spec.prompt)) == sample.fields.keys() for sample in samples)
    if "random" in task_id:
        assert "random" in spec.prompt


def test_the_shuffle_prompt_excludes_the_input_and_the_list_shuffle_allows_it():
    assert "has to differ from the order above" in builtin_spec("shuffle").prompt
    assert "the order above is allowed too" in builtin_spec("list_shuffle").prompt


def test_every_sudoku_and_its_shot_have_exactly_one_solution(loaded):
    """Checked against all 288 grids that filtering Latin squares gives, not by our solver."""
    squares = derived_answers({"symbols": list("1234")}).texts
    grids = [square.replace(",", "") for square in squares]
    solved = [g for g in grids if all(len({g[i], g[i + 1], g[i + 5], g[i + 6]}) == 4 for i in (0, 2, 10, 12))]
    assert len(solved) == 288
    for sample in loaded("sudoku")[1]:
        for fields, answer in [
            (sample.fields, sample.example),
            *((s.fields, s.answer) for s in sample.shots),
        ]:
            assert fields["grid"].count("0") == 8
            assert [g for g in solved if re.fullmatch(fields["grid"].replace("0", "."), g)] == [answer]


@pytest.mark.parametrize("task_id", [*LINES, "latin_square", "sudoku"])
def test_every_answer_fits_the_canvas_in_pieces_of_our_vocabulary(loaded, task_id):
    """Answers of one sample have the same length, so the example stands for all; 7 people are 22 pieces."""
    spec, samples = loaded(task_id)
    pieces = re.compile(
        "|".join(map(re.escape, sorted(vocabulary(), key=len, reverse=True))) + "|.", re.DOTALL
    )
    longest = max(len(pieces.findall(sample.example)) for sample in samples)
    expected = {"insert_index": 22, "insert_random": 22, "latin_square": 31, "sudoku": 19}.get(task_id, 19)
    assert longest == (16 if task_id.startswith("remove") else expected) <= spec.canvas


@pytest.mark.parametrize("task_id", LINES)
@pytest.mark.parametrize("n", [2, 7, 15, 20])
def test_the_canvas_of_a_variant_holds_4_and_a_half_tokens_per_person(task_id, n):
    spec = builtin_spec(task_id, {"n": n})
    longest = max(n, n + task_id.startswith("insert"))
    assert spec.canvas == min(size for size in (32, 64, 128, 256) if size >= 4.5 * longest)


def test_the_answers_of_a_chain_of_thought_begin_with_its_marker():
    for params in ({"cot": True, "n": 4}, {"cot": True, "n": 9}):
        spec = builtin_spec("shuffle", params | {"samples": 3})
        for sample in load_samples(spec):
            plain = list_answers(sample.facts)
            if isinstance(plain, Enumerated):
                assert sample.answers.texts == tuple(f"{spec.answer_marker} {text}" for text in plain.texts)
            else:
                assert sample.answers.opening == f'{spec.answer_marker} ["'
