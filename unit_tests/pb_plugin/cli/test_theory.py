"""``pb theory``: C(Y|X) against enumeration and hand computation, and the table of the list operations."""

import itertools
import json
import math

import pytest
import torch

from decoders.text.tokenizer import EOS_ID, PieceTokenizer
from decoders.theory.answer_sets import enumerated, permutations
from decoders.theory.closed_forms import replace_random_correlation, shuffle_correlation
from decoders.theory.total_correlation import total_correlation
from pb_plugin.cli import main
from pb_plugin.cli.theory import correlation, list_op_steps, permutations_correlation, thinking_bits
from task_specs import BENCHMARK_IDS, list_op_ids, task_ids
from unit_tests.pages import EXAMPLES

torch.set_num_threads(1)

ORDERS = [
    (n, width, exclude)
    for n in range(1, 6)
    for width in (1, 2, 3)
    for exclude in (False, True)
    if n > 1 or not exclude
]


@pytest.fixture
def pb(capsys):
    """Return a function that runs ``pb theory`` and returns its output."""

    def run(*arguments, code=0):
        assert main(["theory", *arguments]) == code
        shown = capsys.readouterr()
        return shown.err if code else shown.out

    return run


@pytest.fixture
def pb_json(pb):
    def run(*arguments):
        return {task["task"]: task for task in json.loads(pb(*arguments, "--json"))["tasks"]}

    return run


@pytest.mark.parametrize(("n", "width", "exclude"), ORDERS)
def test_the_closed_form_of_orders_equals_their_enumeration(n, width, exclude):
    orders = list(itertools.permutations(range(n)))[exclude:]
    answers = [[100 * item + token for item in order for token in range(width)] for order in orders]
    expected = total_correlation(answers, [1.0] * len(answers))
    assert permutations_correlation(n, width, exclude_input=exclude) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 7, 26])
def test_with_all_orders_it_is_the_shuffle_and_the_repeated_tokens(n):
    for width in (1, 2):
        expected = shuffle_correlation(n) + (width - 1) * n * math.log2(n)
        assert permutations_correlation(n, width, exclude_input=False) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("n", "width", "exclude"), [(0, 1, False), (1, 1, True), (3, 0, False)])
def test_no_order_has_no_correlation(n, width, exclude):
    with pytest.raises(
        ValueError, match=rf"n and tokens_per_item must be at least 1, .* got {n} and {width}"
    ):
        permutations_correlation(n, width, exclude_input=exclude)


@pytest.mark.parametrize("exclude", [False, True])
def test_described_and_listed_orders_have_one_correlation(exclude):
    people = ("Ann Ash", "Bob Bell", "Cy Cox", "Dee Day")
    parts = [part for person in people for part in person.replace(" ", "# ").split("#")]
    tokenizer = PieceTokenizer(['["', '", "', '"]', *parts])
    size = {"gen_length": 16, "eos_id": EOS_ID, "sample": "here"}
    text = {"opening": '["', "separator": '", "', "closing": '"]'}
    described = permutations(tokenizer, people, **text, exclude_input=exclude, **size)
    orders = list(itertools.permutations(people))[exclude:]
    texts = ['["' + '", "'.join(order) + '"]' for order in orders]
    listed = enumerated(tokenizer, texts, [1 / len(texts)] * len(texts), **size)
    assert correlation(described) == pytest.approx(correlation(listed), abs=1e-6)


def test_every_task_is_in_the_table_by_default(pb_json):
    found = pb_json()
    assert tuple(found) == (*task_ids(), *list_op_ids())
    exact = [task for name, task in found.items() if name not in BENCHMARK_IDS["text_writing"]]
    assert all(task["all"]["without_reference"] == 0 for task in exact)


@pytest.mark.parametrize("task", ["copy", "sort", "reverse", "replace_index", "insert_index", "sudoku"])
def test_one_answer_loses_nothing(pb_json, task):
    whole = pb_json(task)[task]["all"]
    assert whole["answers"] == {"min": 1, "max": 1}
    assert whole["bits"] == {"mean": 0.0, "min": 0.0, "max": 0.0}


def test_bits_of_a_latin_square_are_those_of_16_uniform_cells_and_576_squares(pb_json):
    bits = pb_json("latin_square")["latin_square"]["all"]["bits"]
    assert bits["min"] == bits["max"] == pytest.approx(16 * 2 - math.log2(576))


def test_bits_are_given_by_length_and_their_mean_over_all_samples(pb_json):
    """A replaced person is two tokens, and each of 2 n tokens is the new one with probability 1 / n."""
    found = pb_json("replace_random")["replace_random"]
    by_length = {part["length"]: part for part in found["by_length"]}
    assert sorted(by_length) == [3, 4, 5, 6]
    for n, part in by_length.items():
        keep = (n - 1) / n
        token = -keep * math.log2(keep) + math.log2(n) / n
        assert part["bits"]["mean"] == pytest.approx(2 * n * token - math.log2(n), abs=1e-5)
        assert part["answers"] == {"min": n, "max": n}
    mean = sum(part["samples"] * part["bits"]["mean"] for part in by_length.values()) / 100
    assert found["all"]["bits"]["mean"] == pytest.approx(mean)
    assert found["all"]["bits"]["max"] == by_length[6]["bits"]["max"]


def test_long_shuffles_use_the_closed_form(pb_json):
    found = pb_json("shuffle:n=9", "shuffle:n=15")
    for n in (9, 15):
        bits = found[f"shuffle_n{n}"]["all"]["bits"]
        assert bits["min"] == bits["max"] == pytest.approx(permutations_correlation(n, 2, exclude_input=True))


def test_a_task_without_references_has_no_bits(pb, pb_json, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "id: mine\ncategory: own\nversion: 1\nprompt: Say {w}.\ncanvas: 8\nscorer: list\nscore: accuracy\n"
        "data: mine.jsonl\n",
        encoding="utf-8",
    )
    (tmp_path / "mine.jsonl").write_text('{"id": "a", "fields": {"w": "x"}}\n', encoding="utf-8")
    whole = pb_json(str(tmp_path / "mine.yaml"))["mine"]["all"]
    assert whole == {"samples": 1, "without_reference": 1, "answers": None, "bits": None}
    assert pb(str(tmp_path / "mine.yaml")).splitlines()[1].split() == ["mine", "1", "1", "-", "-", "-", "-"]


@pytest.mark.parametrize("n", [2, 3, 5, 10, 26])
def test_the_steps_of_a_shuffle_run_from_c_to_nothing_lost(n):
    rows = list_op_steps("shuffle", n)
    assert (rows[0]["k"], rows[0]["steps"], rows[0]["bound_bits"], rows[0]["accuracy_greedy"]) == (
        1,
        n,
        0.0,
        1.0,
    )
    assert (rows[-1]["k"], rows[-1]["steps"]) == (n, 1)
    assert rows[-1]["bound_bits"] == pytest.approx(shuffle_correlation(n))
    assert rows[-1]["accuracy_greedy"] == pytest.approx(math.factorial(n) / n**n)
    bounds = [row["bound_bits"] for row in rows]
    assert bounds == sorted(bounds)
    assert {1, 2, n} | ({4} if n >= 4 else set()) <= {row["k"] for row in rows}


def test_every_number_of_steps_that_a_k_gives_is_there():
    for n in range(2, 27):
        assert {row["steps"] for row in list_op_steps("copy", n)} == {-(-n // k) for k in range(1, n + 1)}


def test_steps_of_replace_random_by_hand():
    """With n = 3 and k = 2, each of the first two is the new one with 1/3, never both; the last follows."""
    at_once, of_two = replace_random_correlation(3), 2 * (math.log2(3) - 2 / 3) - math.log2(3)
    rows = list_op_steps("replace_random", 3)
    assert [(row["k"], row["steps"]) for row in rows] == [(1, 3), (2, 2), (3, 1)]
    assert [row["bound_bits"] for row in rows] == pytest.approx([0.0, of_two, at_once], abs=1e-9)
    assert [row["accuracy_greedy"] for row in rows] == [1.0, 1.0, 0.0]
    assert [row["accuracy_sampled"] for row in rows] == [1.0, None, pytest.approx((2 / 3) ** 2)]


@pytest.mark.parametrize("operation", ["copy", "replace_index"])
def test_one_answer_is_right_at_any_speed(operation):
    for row in list_op_steps(operation, 7):
        assert (row["bound_bits"], row["accuracy_greedy"], row["accuracy_sampled"]) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("task", "bits"), [("list_shuffle", shuffle_correlation(10)), ("list_replace_random", None)]
)
def test_the_bound_of_one_step_is_c_of_the_samples(pb_json, task, bits):
    found = pb_json(task)[task]
    expected = replace_random_correlation(10) if bits is None else bits
    assert found["n"] == 10
    assert found["all"]["bits"]["mean"] == pytest.approx(expected, abs=1e-5)
    assert found["steps"][-1]["bound_bits"] == pytest.approx(expected)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_a_trace_of_draws_loses_nothing_in_two_steps_and_one_of_places_what_the_answer_does(n):
    """At once, every number and every letter is chosen without knowing the others."""
    draws, places = (thinking_bits(trace, "shuffle", n) for trace in ("draws", "places"))
    c, orders, each = shuffle_correlation(n), math.log2(math.factorial(n)), n * math.log2(n)
    assert list(draws.values()) == pytest.approx([0.0, 0.0, each, c], abs=1e-9)
    assert list(places.values()) == pytest.approx([c, 0.0, 2 * each - orders, c], abs=1e-9)
    draws, places = (thinking_bits(trace, "replace_random", n) for trace in ("draws", "places"))
    c, one = replace_random_correlation(n), math.log2(n)
    assert list(draws.values()) == pytest.approx([0.0, 0.0, c + one, c], abs=1e-9)
    assert list(places.values()) == pytest.approx([c, 0.0, 2 * c + one, c], abs=1e-9)


def test_a_task_that_thinks_has_its_bits_in_place_of_the_laws_of_steps(pb, pb_json):
    task = f"{EXAMPLES / 'think_places_shuffle.yaml'}:cot=true;n=3"
    ((name, found),) = pb_json(task).items()
    assert (name, found["steps"]) == ("think_places_shuffle_n3_cot", None)
    assert found["thinking"]["together"] == pytest.approx(found["all"]["bits"]["mean"], abs=1e-5)
    lines = pb(task).splitlines()
    head = next(place for place, line in enumerate(lines) if line.startswith("thinking"))
    assert lines[head].split() == ["thinking", "trace", "answer", "together", "without"]
    assert lines[head + 1].split()[1:] == ["2.1699", "0.0000", "6.9248", "2.1699"]
    assert "k: tokens per step" not in "".join(lines)


def test_plain_output_is_aligned_and_explained(pb):
    lines = pb("list_shuffle:n=2", "copy").splitlines()
    assert lines[0] == "task             length  samples  answers    mean     min     max"
    assert lines[1] == "list_shuffle_n2       2      100        2  1.0000  1.0000  1.0000"
    assert lines[2] == "copy             3 to 6      100        1  0.0000  0.0000  0.0000"
    table = lines[lines.index("list_shuffle_n2, n = 2") + 1 :][:3]
    assert table == [
        "k  T     L_T  greedy  sampled",
        "1  2  0.0000  100.00   100.00",
        "2  1  1.0000   50.00    50.00",
    ]
    text = " ".join(lines)
    assert "where it is 0, nothing is lost at any speed" in text
    assert "k: tokens per step; T: steps" in text


def test_lengths_are_listed_where_the_bits_differ(pb):
    rows = [line.split() for line in pb("shuffle").splitlines()[1:6]]
    assert rows[0][:5] == ["shuffle", "3", "to", "6", "100"]
    assert [row[0] for row in rows[1:]] == ["3", "4", "5", "6"]


def test_without_a_list_operation_there_are_no_steps(pb, pb_json):
    assert "k: tokens per step" not in pb("copy")
    assert pb_json("copy")["copy"]["steps"] is None


def test_an_answer_too_long_for_the_canvas_is_told_in_one_line(pb):
    err = pb("shuffle:canvas=4", code=2)
    assert err.startswith("pb: canvas must hold every answer of shuffle_canvas4/n3-000, got 4 positions")
    assert err.count("\n") == 1
