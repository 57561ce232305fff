"""ROUGE and BLEU against hand-computed values."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_specs.scoring.overlap import ROUGE_TYPES, UnreadableText, bleu, rouge

words = st.lists(st.sampled_from(["red", "blue", "cat", "sat", "on", "mats"]), max_size=8).map(" ".join)

# prediction, reference -> F of unigrams, bigrams, longest common subsequence
ROUGE_TABLE = {
    "same": ("the cat sat", "the cat sat", 1, 1, 1),
    "case-and-stops": ("The CAT, sat!", "the cat sat", 1, 1, 1),
    "stemmed": ("cats sitting", "cat sits", 1, 1, 1),
    "reordered": ("sat cat the", "the cat sat", 1, 0, 1 / 3),
    "part": ("the cat", "the cat sat on the mat", 2 * (1 / 3) / (4 / 3), 2 * (1 / 5) / (6 / 5), 1 / 2),
    "repeated-word-counts-once": ("the the the the", "the cat", 2 * (1 / 4 * 1 / 2) / (3 / 4), 0, 1 / 3),
    "nothing-shared": ("dogs", "the cat sat", 0, 0, 0),
    "no-word": ("...", "the cat sat", 0, 0, 0),
}


@pytest.mark.parametrize(
    ("text", "reference", "one", "two", "longest"), ROUGE_TABLE.values(), ids=ROUGE_TABLE
)
def test_rouge_by_hand(text, reference, one, two, longest):
    assert rouge(text, [reference]) == pytest.approx({"rouge1": one, "rouge2": two, "rougeL": longest})


@given(text=words, references=st.lists(words.filter(bool), min_size=1, max_size=4))
def test_every_rouge_is_that_of_its_best_reference(text, references):
    alone = [rouge(text, [reference]) for reference in references]
    assert rouge(text, references) == {name: max(found[name] for found in alone) for name in ROUGE_TYPES}


def test_rouge_without_reference_is_refused():
    with pytest.raises(ValueError, match=r"references must hold at least one text, got none; complete"):
        rouge("a", [])


# BLEU = brevity * (p1 p2 p3 p4) ** (1/4)
BLEU_TABLE = {
    "same": ("a b c d e", "a b c d e", 1.0),
    "four-words": ("a b c d", "a b c d", 1.0),
    "three-words": ("a b c", "a b c", 1.0),
    "two-words": ("hello world", "hello world", 1.0),
    "one-word": ("a", "a", 1.0),
    "one-word-of-four": ("a", "a b c d", math.exp(1 - 4 / 1)),
    "two-words-one-other": ("a b", "a c", 0.0),
    "stop-is-a-word": ("a b c.", "a b c.", 1.0),
    "case-counts": ("A B C D", "a b c d", 0.0),
    "last-word-other": ("a b c d e", "a b c d f", (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25),
    "short": ("a b c d", "a b c d e f", math.exp(1 - 6 / 4)),
    "long": ("a b c d e f", "a b c d", (4 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25),
    "no-four-in-a-row": ("a b c x d e f", "a b c y d e f", 0.0),
    "empty": ("", "a b c d", 0.0),
    "cyrillic": ("Привет, мир!", "Привет, мир!", 1.0),
}


@pytest.mark.parametrize(("text", "reference", "expected"), BLEU_TABLE.values(), ids=BLEU_TABLE)
def test_bleu_by_hand(text, reference, expected):
    assert bleu(text, reference) == pytest.approx(expected, abs=1e-12)


@given(text=words, reference=words.filter(bool))
def test_bleu_is_a_share_and_1_only_for_the_same_words(text, reference):
    value = bleu(text, reference)
    assert 0.0 <= value <= 1.0
    assert (value == 1.0) == (text == reference and bool(text))


@given(text=words, reference=words.filter(bool))
def test_the_published_bleu_differs_for_fewer_than_four_words_only(text, reference):
    published = bleu(text, reference, published=True)
    assert published == (bleu(text, reference) if len(text.split()) >= 4 else 0.0)


@pytest.mark.parametrize(
    ("measure", "reference", "message"),
    [
        (
            rouge,
            "東京は首都です",
            "ROUGE must compare with a text in words of a-z and 0-9, got '東京は首都です'; choose",
        ),
        (
            rouge,
            "Привет, мир 24",
            "ROUGE must compare with a text in words of a-z and 0-9, got 'Привет, мир 24'",
        ),
        (rouge, "...", "ROUGE must compare with a text in words of a-z and 0-9, got '...'"),
        (
            bleu,
            "東京 is 首都です",
            "BLEU must compare with a text in words with blanks between them, got '東京 is",
        ),
        (bleu, "กรุงเทพ", "BLEU must compare with a text in words with blanks between them"),
        (bleu, " ", "BLEU must compare with a text in words with blanks between them, got ' '"),
    ],
)
def test_a_reference_whose_words_are_not_found_is_refused_and_not_scored(measure, reference, message):
    with pytest.raises(UnreadableText, match=re.escape(message)):
        measure(reference, [reference] if measure is rouge else reference)


def test_a_text_in_another_script_scores_0_against_a_reference_that_is_read():
    assert set(rouge("東京は首都です", ["Tokyo is the capital", "café au lait"]).values()) == {0.0}
    assert bleu("東京は首都です", "Tokyo is the capital") == 0.0


def test_nothing_is_imported_before_it_is_used():
    code = (
        "import sys, task_specs.scoring.text, task_specs.scoring.bertscore; "
        "import task_specs.scoring.languagetool.checker; "
        "heavy = {'torch', 'transformers', 'rouge_score', 'sacrebleu', 'language_tool_python', 'requests'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
