"""Length and overlap of references, by hand; and as ``pb theory`` shows them."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.cli import main
from pb_plugin.report.references import jaccard, reference_facts
from task_specs.catalogue import BENCHMARK_IDS
from task_specs.sample import Enumerated, Permutations, Sample

torch.set_num_threads(1)

IDS = st.lists(st.integers(0, 9), min_size=1, max_size=8)


def with_answers(answers):
    return Sample(
        id="a", fields={}, facts={}, shots=(), example=None, answers=answers, template=None, length=1
    )


def sample(*texts):
    return with_answers(Enumerated(texts=texts, weights=(1 / len(texts),) * len(texts)) if texts else None)


def words(text):
    return [hash(word) for word in text.split()]


@given(IDS, IDS)
def test_overlap_is_symmetric_between_0_and_1_and_counts_distinct_tokens_only(first, second):
    found = jaccard(first, second)
    assert 0.0 <= found <= 1.0
    assert found == jaccard(second, first) == jaccard(first * 2, second[::-1])
    assert (found == 1.0) == (set(first) == set(second))
    assert (found == 0.0) == set(first).isdisjoint(second)


def test_length_and_overlap_by_hand():
    """Pairs share 1 of 3, 0 of 4 and 0 of 4 words: 1/9; the other sample 2 of 2: (1/9 + 1) / 2 = 5/9."""
    found = reference_facts([sample("a b", "a c", "d e"), sample("x y", "y x x x")], words)
    assert found == {"references": 5, "tokens": pytest.approx(12 / 5), "overlap": pytest.approx(5 / 9)}


def test_a_single_reference_has_a_length_and_no_overlap():
    assert reference_facts([sample("a b c")], words) == {"references": 1, "tokens": 3.0, "overlap": None}


def test_without_references_there_is_nothing_to_describe():
    orders = Permutations(items=("a", "b"), opening="", separator=" ", closing="", exclude_input=False)
    assert reference_facts([sample(), with_answers(orders)], words) is None


@pytest.mark.parametrize("task", BENCHMARK_IDS["text_writing"])
def test_the_theory_of_a_text_task_describes_its_references(capsys, task):
    assert main(["theory", task, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["tasks"]
    assert found["references"]["references"] == 500
    assert 10 < found["references"]["tokens"] < 40
    assert 0.05 < found["references"]["overlap"] < 0.5


def test_the_text_shows_them_with_c_and_says_what_they_are_not(capsys):
    assert main(["theory", "copy", "w2s_easy"]) == 0
    lines = capsys.readouterr().out.splitlines()
    head = next(place for place, line in enumerate(lines) if line.startswith("text task"))
    assert lines[head].split() == ["text", "task", "references", "tokens", "overlap", "C"]
    task, references, *_, bits = lines[head + 1].split()
    assert (task, references) == ("w2s_easy", "500")
    assert any(line.startswith("w2s_easy") and f" {bits} " in line for line in lines[:head])
    assert "say nothing about the tasks" in " ".join(lines[head:])
    assert not any(line.startswith("copy") for line in lines[head:])


def test_exact_tasks_have_no_references_to_describe(capsys):
    assert main(["theory", "copy", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["tasks"]
    assert found["references"] is None
    assert main(["theory", "copy"]) == 0
    assert "text task" not in capsys.readouterr().out
