"""Laws of the text scorers: hand-made tables, what is unknown stays unknown, nothing asks for empty texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_specs.sample import Sample
from task_specs.scoring import text as scoring
from task_specs.scoring.text import (
    compared_with,
    includes,
    score_paraphrase,
    score_released_paraphrase,
    score_released_summary,
    score_released_w2s,
    score_summary,
    score_w2s,
)


def text_sample(**facts):
    return Sample(
        id="000", fields={}, facts=facts, shots=(), example=None, answers=None, template=None, length=4
    )


W2S = text_sample(words=["dog", "park", "ball", "throw"])
SUMMARY = text_sample(text="Ann: Tea?\nBob: Yes.", references=["Bob wants tea.", "the cat sat on the mat"])
PARAPHRASE = text_sample(text="The meeting was moved to Friday.", references=["They meet on Friday now."])
SAMPLES = {
    score_w2s: W2S,
    score_released_w2s: W2S,
    score_summary: SUMMARY,
    score_released_summary: SUMMARY,
    score_paraphrase: PARAPHRASE,
    score_released_paraphrase: PARAPHRASE,
}
every_scorer = pytest.mark.parametrize("scorer", SAMPLES, ids=lambda scorer: scorer.__name__)

RIGHT = {"matches": 0, "rules": [], "version": "6.8"}
WRONG = {"matches": 2, "rules": ["A", "B"], "version": "6.8"}
KNOWN = {"grammar": RIGHT, "bertscore": {"f1": 0.875, "encoder": "e", "layer": 1, "version": "1"}}

# text -> (own inclusion, own share, released inclusion)
INCLUSION = {
    "all": ("I throw the ball for my dog in the park.", 1, 1, 1),
    "upper-case": ("Dog, PARK, Ball: throw!", 1, 1, 0),
    "inflected": ("She throws balls for dogs in parks.", 0, 0, 1),
    "one-missing": ("A dog in the park has a ball.", 0, 0.75, 0),
    "inside-words": ("A dogma about parking a balloon overthrows.", 0, 0, 1),
    "possessive-and-hyphen": ("The dog's ball-park throw.", 1, 1, 1),
    "across-lines": ("dog\nball\tpark\u00a0throw", 1, 1, 1),
    "none": ("Nothing here.", 0, 0, 0),
}


@pytest.mark.parametrize(("text", "own", "share", "released"), INCLUSION.values(), ids=INCLUSION)
def test_own_inclusion_needs_whole_words_and_the_released_one_their_letters(text, own, share, released):
    values = score_w2s(text, W2S, KNOWN).values
    assert (values["inclusion"], values["inclusion_share"]) == (own, share)
    assert score_released_w2s(text, W2S, KNOWN).values["inclusion"] == released


@pytest.mark.parametrize("grammar", [RIGHT, WRONG], ids=["right", "wrong"])
@pytest.mark.parametrize(("text", "own"), [("dog park ball throw", 1), ("dog park", 0)], ids=["all", "some"])
def test_combined_is_inclusion_and_grammar(text, own, grammar):
    values = score_w2s(text, W2S, {"grammar": grammar}).values
    assert values["grammar"] == (grammar is RIGHT)
    assert values["combined"] == (own and grammar is RIGHT)


@given(word=st.text(alphabet="ab.+*", min_size=1, max_size=4), rest=st.text(alphabet="xyz ", max_size=8))
def test_a_word_is_read_literally_and_a_longer_word_is_another_one(word, rest):
    assert includes(f"{rest} {word} {rest}", word)
    assert not includes(f"q{word}q", word)


def test_a_summary_takes_the_best_reference_and_the_released_one_the_first():
    """By hand: "the cat" has 2 of 6 words and 1 of 5 pairs, so F = 2 (1/3) / (4/3) and 2 (1/5) / (6/5)."""
    own = score_summary("  the cat ", SUMMARY, KNOWN).values
    assert own == pytest.approx({"rouge1": 1 / 2, "rouge2": 1 / 3, "rougeL": 1 / 2, "grammar": 1.0})
    released = score_released_summary("the cat", SUMMARY, KNOWN).values
    assert released == {"rouge1": 0.0, "rouge2": 0.0, "rougeL": 0.0, "grammar": 1.0}
    assert score_released_summary(" Bob wants tea.\n", SUMMARY, KNOWN).values["rougeL"] == 1.0


@pytest.mark.parametrize("scorer", [score_paraphrase, score_released_paraphrase], ids=["own", "released"])
def test_a_paraphrase_is_compared_with_the_sentence_and_not_with_the_references(scorer):
    assert compared_with(PARAPHRASE) == "The meeting was moved to Friday."
    echo = scorer(" The meeting was moved to Friday.\n", PARAPHRASE, KNOWN).values
    assert echo == {"bertscore": 0.875, "one_minus_bleu": 0.0, "grammar": 1.0}
    reference = scorer("They meet on Friday now.", PARAPHRASE, {**KNOWN, "grammar": WRONG}).values
    assert reference == {"bertscore": 0.875, "one_minus_bleu": 1.0, "grammar": 0.0}


@every_scorer
@pytest.mark.parametrize("text", ["", " \n\t", "\u00a0"], ids=repr)
def test_an_empty_text_scores_0_everywhere_without_any_tool(scorer, text):
    full = scorer("some words", SAMPLES[scorer], KNOWN)
    empty = scorer(text, SAMPLES[scorer], {})
    assert empty.values == dict.fromkeys(full.values, 0.0)
    assert empty.reasons == {}


@every_scorer
def test_what_could_not_be_measured_is_none_with_the_reason_and_leaves_the_rest(scorer):
    full = scorer("some words", SAMPLES[scorer], KNOWN)
    unknown = scorer("some words", SAMPLES[scorer], {"grammar": {"reason": "the server died"}})
    assert unknown.values["grammar"] is None
    assert unknown.reasons["grammar"] == "the server died"
    assert unknown.reasons.get("combined", "the server died") == "the server died"
    assert unknown.reasons.get("bertscore", "bertscore was not measured") == "bertscore was not measured"
    known = unknown.values.keys() - unknown.reasons
    assert known == full.values.keys() - {"grammar", "combined", "bertscore"}
    assert {name: unknown.values[name] for name in known} == {name: full.values[name] for name in known}


@every_scorer
def test_a_text_is_never_scored_by_a_tool_nobody_asked(scorer):
    scored = scorer("some words", SAMPLES[scorer], {})
    assert scored.values["grammar"] is None
    assert scored.reasons["grammar"] == "grammar was not measured"


@pytest.mark.parametrize(
    ("scorer", "tool", "missing"),
    [
        (score_summary, "rouge", {"rouge1", "rouge2", "rougeL"}),
        (score_paraphrase, "bleu", {"one_minus_bleu"}),
    ],
    ids=["rouge", "bleu"],
)
def test_a_package_that_is_not_installed_is_a_reason_and_names_the_cure(monkeypatch, scorer, tool, missing):
    def absent(*_, **__):
        raise ModuleNotFoundError("No module named 'acme'", name="acme")

    monkeypatch.setattr(scoring, tool, absent)
    scored = scorer("some words", SAMPLES[scorer], KNOWN)
    assert scored.reasons == dict.fromkeys(
        missing, "acme is not installed; pip install 'parallelbench-pytest[text]'"
    )
    assert scored.values["grammar"] == 1.0


@pytest.mark.parametrize("scorer", [score_summary, score_released_summary], ids=["own", "released"])
def test_a_summary_that_rouge_cannot_read_says_so_and_keeps_its_grammar(scorer):
    text = "東京は首都です"
    scored = scorer(text, text_sample(text="?", references=[text]), KNOWN)
    assert scored.values == {"rouge1": None, "rouge2": None, "rougeL": None, "grammar": 1.0}
    assert set(scored.reasons.values()) == {
        f"ROUGE must compare with a text in words of a-z and 0-9, got {text!r}; "
        "choose another score for this language"
    }


def test_two_equal_words_are_no_paraphrase_but_for_the_published_metric():
    sample = text_sample(text="hello world", references=["hi all"])
    assert score_paraphrase("hello world", sample, KNOWN).values["one_minus_bleu"] == 0.0
    assert score_released_paraphrase("hello world", sample, KNOWN).values["one_minus_bleu"] == 1.0


@pytest.mark.parametrize(
    ("own", "released"),
    [
        (score_w2s, score_released_w2s),
        (score_summary, score_released_summary),
        (score_paraphrase, score_released_paraphrase),
    ],
)
def test_a_code_fence_is_no_part_of_a_text_but_for_the_published_metrics(own, released):
    sample = SAMPLES[own]
    text = compared_with(sample) if own is score_paraphrase else "the dog sat"
    fenced = f"```\n{text}\n```"
    assert own(fenced, sample, KNOWN) == own(text, sample, KNOWN)
    if own is score_paraphrase:
        assert released(fenced, sample, KNOWN).values != released(text, sample, KNOWN).values


@every_scorer
@given(text=st.text())
def test_any_text_has_scores_in_range(scorer, text):
    scored = scorer(text, SAMPLES[scorer], KNOWN)
    assert all(value is not None and 0.0 <= value <= 1.0 for value in scored.values.values())
