"""Parameters of a task: ids, canvases, and what is refused."""

import pytest

from task_specs import BENCHMARK_IDS, VARIANT_PARAMS
from task_specs.catalogue import TASK_SETS, variant_id
from task_specs.load import data_checksum, load_samples
from task_specs.spec import builtin_spec


@pytest.mark.parametrize(
    ("task_id", "params", "variant", "canvas", "positions"),
    [
        ("shuffle", {"n": "15"}, "shuffle_n15", 128, 128),
        ("shuffle", {"n": 7}, "shuffle_n7", 32, 32),
        ("insert_random", {"n": 7}, "insert_random_n7", 64, 64),
        ("remove_random", {"n": 7}, "remove_random_n7", 32, 32),
        ("copy", {"n": 20}, "copy_n20", 128, 128),
        ("reverse", {"cot": "true"}, "reverse_cot", 256, 256),
        ("reverse", {"cot": True, "n": 4, "canvas": 128}, "reverse_n4_cot_canvas128", 128, 128),
        ("shuffle", {"n": 15, "cot": True}, "shuffle_n15_cot", 1024, 1024),
        ("insert_index", {"n": 7, "cot": True}, "insert_index_n7_cot", 512, 512),
        ("sudoku", {"blanks": 4}, "sudoku_blanks4", 64, 64),
        ("latin_square", {"samples": 7}, "latin_square_samples7", 64, 64),
        ("copy", {"canvas": "64"}, "copy_canvas64", 64, 64),
        ("w2s_easy", {"words": "2"}, "w2s_easy_words2", 64, 64),
        ("w2s_hard", {"canvas": 128, "words": 1}, "w2s_hard_words1_canvas128", 128, 128),
        ("paraphrasing", {"canvas": 128}, "paraphrasing_canvas128", 128, 128),
        ("list_shuffle", {"n": 26}, "list_shuffle_n26", 256, 26),
        ("list_copy", {"n": 6}, "list_copy_n6", 32, 6),
        ("list_copy", {"canvas": 32}, "list_copy_canvas32", 32, 10),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_parameter_changes_id_and_canvas(task_id, params, variant, canvas, positions):
    spec = builtin_spec(task_id, params)
    assert (spec.id, spec.base_id, spec.is_variant) == (variant, task_id, True)
    assert (spec.canvas, spec.positions) == (canvas, positions)


@pytest.mark.parametrize(
    ("task_id", "params"),
    [
        ("copy", {"cot": "false"}),
        ("copy", {"canvas": 32, "samples": 100}),
        ("sudoku", {"blanks": "8"}),
        ("list_copy", {"n": 10}),
        ("w2s_medium", {"words": "4"}),
    ],
    ids=["cot", "canvas", "blanks", "n", "words"],
)
def test_a_parameter_that_says_the_default_changes_nothing(task_id, params):
    assert builtin_spec(task_id, params) == builtin_spec(task_id)


def test_the_canvas_that_a_variant_has_anyway_is_no_change():
    assert builtin_spec("copy", {"n": 15, "canvas": 128}) == builtin_spec("copy", {"n": 15})


@pytest.mark.parametrize("task_id", VARIANT_PARAMS)
def test_every_listed_parameter_is_taken_at_both_ends_and_not_beyond(task_id):
    for parameter in VARIANT_PARAMS[task_id].values():
        if parameter.low is None:
            assert builtin_spec(task_id, {parameter.name: True}).id == f"{task_id}_{parameter.name}"
            continue
        for value in (parameter.low, parameter.high):
            is_default = parameter.name == "words" and value == 4
            suffix = "" if is_default else f"_{parameter.name}{value}"
            assert builtin_spec(task_id, {parameter.name: value}).id == f"{task_id}{suffix}"
        for value in (parameter.low - 1, parameter.high + 1, "x", "1.5", True):
            with pytest.raises(
                ValueError, match=f"{parameter.name} of task {task_id} must be a whole number from"
            ):
                builtin_spec(task_id, {parameter.name: value})


def test_a_parameter_that_the_task_lacks_names_those_it_has():
    with pytest.raises(
        LookupError,
        match=r"parameter of task sudoku must be one of blanks, samples, canvas, got 'blank'; did you mean",
    ):
        builtin_spec("sudoku", {"blank": 3})
    with pytest.raises(
        LookupError, match="parameter of task latin_square must be one of samples, canvas, got 'n'"
    ):
        builtin_spec("latin_square", {"n": 5})
    with pytest.raises(
        LookupError, match="parameter of task paraphrasing must be one of canvas, got 'words'"
    ):
        builtin_spec("paraphrasing", {"words": 2})


@pytest.mark.parametrize("value", ["yes", 1, ""])
def test_a_switch_is_true_or_false(value):
    with pytest.raises(
        ValueError, match=r"cot of task copy must be true or false, got .*; it sets: think aloud"
    ):
        builtin_spec("copy", {"cot": value})


def test_another_canvas_reads_the_same_samples():
    wide, default = builtin_spec("copy", {"canvas": 64}), builtin_spec("copy")
    assert data_checksum(wide) == data_checksum(default)
    assert load_samples(wide) == load_samples(default)


def test_every_other_variant_has_data_of_its_own():
    variants = [{}, {"n": 4}, {"n": 5}, {"cot": True}, {"samples": 50}]
    specs = [builtin_spec("copy", params) for params in variants]
    assert len({data_checksum(spec) for spec in specs}) == len(variants)
    assert [(spec.data, spec.checksum) for spec in specs[1:]] == [(None, None)] * 4


def test_more_samples_begin_alike_in_every_stratum():
    few = {sample.id: sample for sample in load_samples(builtin_spec("sort", {"samples": 9}))}
    many = {sample.id: sample for sample in load_samples(builtin_spec("sort"))}
    assert len(few) == 9
    assert all(many[sample_id] == sample for sample_id, sample in few.items())


def test_a_chain_of_thought_asks_the_same_questions():
    plain, aloud = load_samples(builtin_spec("sort")), load_samples(builtin_spec("sort", {"cot": True}))
    assert [sample.facts for sample in plain] == [sample.facts for sample in aloud]
    assert [f"The final list is: {sample.example}" for sample in plain] == [
        sample.example for sample in aloud
    ]


@pytest.mark.parametrize("task_id", BENCHMARK_IDS["waiting_line"])
def test_a_chain_of_thought_has_eight_times_the_canvas(task_id):
    """As in the paper, appendix F.2, whatever the number of people."""
    for n in ({}, {"n": 15}, {"n": 20}):
        plain, aloud = builtin_spec(task_id, n), builtin_spec(task_id, {**n, "cot": True})
        assert aloud.canvas == 8 * plain.canvas
        assert aloud.answer_marker == "The final list is:"


@pytest.mark.parametrize(("name", "texts"), TASK_SETS.items())
def test_a_set_of_tasks_names_variants_by_their_ids(name, texts):
    for text in texts:
        task, _, n = text.partition(":n=")
        assert builtin_spec(task, {"n": n}).id == variant_id(text)
    assert len(texts) == 10


def test_more_samples_than_there_are_inputs_is_an_error():
    spec = builtin_spec("list_copy", {"n": 2, "samples": 651})
    with pytest.raises(
        ValueError,
        match=r"samples of task list_copy_n2_samples651 must be at most the number of .* 651; only",
    ):
        load_samples(spec)
