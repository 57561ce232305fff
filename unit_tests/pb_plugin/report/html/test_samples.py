"""Which samples a page shows, with what was asked, what was valid, and the text of every token."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.report.html.before import answers_of
from pb_plugin.report.html.samples import MOST_ANSWERS, Shown, chosen_samples, shown_cells, texts_of, trace_of
from pb_plugin.report.html.tokens import folders_of, pieces_of
from pb_plugin.report.stored import read_report

NAMES = [f"s{number}" for number in range(12)]


def shown(exact):
    cells = shown_cells(exact)
    return texts_of(exact, cells, chosen_samples(cells, None), {})


def test_every_result_is_there_with_its_question_and_valid_answers(exact):
    found = shown(exact)
    assert {task: len(samples) for task, samples in found["tasks"].items()} == {"copy": 6, "shuffle": 6}
    assert [len(cell["rows"]) for cell in found["cells"]] == [6] * 8
    for cell in found["cells"]:
        for row in cell["rows"]:
            question = found["tasks"][cell["task"]][row["q"]]
            assert question["chat"][-1][0] == "user"
            if row["o"] == "right" and question["rule"] is None:
                assert row["a"] in question["answers"]
            assert len(question["answers"]) <= MOST_ANSWERS
    rules = [question["rule"] for question in found["tasks"]["shuffle"]]
    assert any(rule and rule.startswith("and ") and rule.endswith(" more") for rule in rules)


def test_answers_of_an_earlier_run_stand_beside_those_of_the_same_request(exact, earlier):
    cells = shown_cells(exact)
    found = texts_of(exact, cells, chosen_samples(cells, None), {}, answers_of(str(earlier)))
    rows = [row["b"] | {"now": row["a"]} for cell in found["cells"] for row in cell["rows"]]
    changed = [row for row in rows if row["change"] != "same"]
    assert [(row["o"], row["a"], row["change"]) for row in changed] == [
        ("wrong", "something wrong", "better"),
        ("right", "another way to say it", "other"),
    ]
    assert all(row["a"] == row["now"] for row in rows if row not in changed)
    worse = texts_of(read_report(earlier, None), *shown_and_chosen(earlier), {}, answers_of(str(exact.store)))
    assert Counter(row["b"]["change"] for cell in worse["cells"] for row in cell["rows"]) == {
        "worse": 1,
        "other": 1,
        "same": 46,
    }


def shown_and_chosen(store):
    cells = shown_cells(read_report(store, None))
    return cells, chosen_samples(cells, None)


def test_what_was_not_asked_before_has_nothing_beside_it(exact, traced):
    cells = shown_cells(exact)
    found = texts_of(exact, cells, chosen_samples(cells, None), {}, answers_of(str(traced.store)))
    assert not any("b" in row for cell in found["cells"] for row in cell["rows"])


def test_a_run_of_a_store_is_named_behind_an_at(exact):
    assert answers_of(f"{exact.store}@{exact.path.stem}").answers == answers_of(str(exact.store)).answers
    with pytest.raises(ValueError, match="must hold the run 'none'"):
        answers_of(f"{exact.store}@none")


@pytest.mark.parametrize(
    "trace",
    [
        None,
        {},
        {"commits": [[0, 0, 5, 0.5]]},
        {"commits": [[0, 8, 5, 0.5]], "remasks": []},
        {"commits": [[0, 0, "<b>", 0.5]], "remasks": []},
        {"commits": [[0, 0, 5]], "remasks": []},
        {"commits": [], "remasks": [[0, -1]]},
        {"commits": {}, "remasks": []},
    ],
    ids=["none", "empty", "half", "outside", "text", "short", "negative", "no list"],
)
def test_a_trace_that_does_not_fit_its_record_is_none(make_record, trace):
    assert trace_of(make_record(trace=trace)) is None


def test_a_trace_is_shown_with_the_words_of_tokens_that_were_masked_again(traced):
    found = shown(traced)
    rows = [row for cell in found["cells"] for row in cell["rows"]]
    assert all(row["trace"]["c"] for row in rows)
    passing = {str(told[2]) for row in rows for told in row["trace"]["c"]}
    assert passing <= found["tokens"]["ideal"]["texts"].keys()
    assert any(row["trace"]["m"] for row in rows)


def test_the_words_of_the_tokens_make_the_answer(exact):
    found = shown(exact)
    words = found["tokens"]["ideal"]
    assert words["reason"] is None
    for cell in found["cells"]:
        for row in cell["rows"]:
            assert "".join(words["texts"][str(token)] for token in row["ids"]).startswith(row["a"])
            assert len(row["steps"]) == len(row["ids"])


@given(
    st.lists(
        st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0.0, 1.0]), min_size=1),
        min_size=1,
        max_size=6,
    ),
    st.integers(1, 12),
)
def test_a_subset_keeps_every_kind_of_result_of_every_setting(make_record, make_cell, outcomes, most):
    cells = [
        Shown(
            cell=make_cell("copy").planned,
            curve="c",
            setting=str(place),
            by_sample={
                name: make_record(score=score, parts={"sample_id": name}) for name, score in of.items()
            },
        )
        for place, of in enumerate(outcomes)
    ]
    kept = chosen_samples(cells, most)["copy"]
    names = {name for of in outcomes for name in of}
    assert len(set(kept)) == len(kept)
    assert set(kept) <= names
    assert len(kept) >= min(most, len(names))
    for of in outcomes:
        assert {of[name] for name in kept if name in of} == set(of.values())


def test_another_tokenizer_is_never_shown(make_record):
    record = make_record(parts={"model": "tiny"}, ids=(20, 21, 22, 23, 24, 25, 26, 27), text="not these")
    found = pieces_of("tiny", [record], {}, None)
    assert found.texts == {}
    assert found.reason == "ids are shown: the tokenizer of tiny does not give back the stored texts"


def test_a_model_whose_tokenizer_is_not_here_shows_ids_and_says_what_helps(make_record):
    found = pieces_of("llada", [make_record()], {}, None)
    assert (found.texts, found.reason) == (
        {},
        "ids are shown: the tokenizer of llada is not here; name it with --tokenizer llada=FOLDER",
    )


def test_a_named_tokenizer_gives_the_words(make_record):
    from decoders.models.tiny import shipped_folder
    from decoders.text.hf_tokenizer import HFTokenizer

    tokenizer = HFTokenizer.from_folder(shipped_folder())
    ids = tuple(range(30, 38))
    record = make_record(parts={"model": "mine"}, ids=ids, text=tokenizer.decode(list(ids)))
    found = pieces_of("mine", [record], folders_of([f"mine={shipped_folder()}"]), None)
    assert (found.reason, set(found.texts)) == (None, set(ids))


@pytest.mark.parametrize("value", ["llada", "=.", "llada=", "llada=/no/such/folder"])
def test_a_tokenizer_that_is_not_named_so_is_refused(value):
    with pytest.raises(ValueError, match=r"--tokenizer must be MODEL=FOLDER .*got '.*'; write --tokenizer"):
        folders_of([value])
    assert folders_of(["m=."]) == {"m": Path()}
