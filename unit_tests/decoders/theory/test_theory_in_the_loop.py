"""The real loop with the exact model is as often right as the closed forms and the exact law say.

List operations with one token per item and only the items left to decode (infilling), as the paper assumes.
Every count lies in its central interval at 1e-6; the draws are keyed, so a passing seed passes everywhere.
"""

import itertools
from collections import Counter, defaultdict

import pytest
from scipy.stats import binom

from decoders.loop.batching import sweep
from decoders.models.ideal import Ideal
from decoders.rows import Row, Setting
from decoders.text.tokenizer import EOS_ID, MASK_ID, PieceTokenizer
from decoders.theory.answer_sets import TokenAnswers, chance_correct, enumerated, permutations, template_ids
from decoders.theory.closed_forms import (
    replace_random_accuracy,
    replace_random_threshold_accuracy,
    shuffle_accuracy,
    shuffle_threshold_accuracy,
)
from decoders.theory.exact_law import interval_of_correct
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import TopK

N = 6
SAMPLES = 500
OF_CERTAINTY = 100
"""Samples where all or none must be right: one that is not fails the test."""

ALPHA = 1e-6
ITEMS = "abcdef"
TOKENIZER = PieceTokenizer(['["', '", "', '"]', "Ann", "Bob", "Cleo", "Dan", " Lee", " Orr", " Poe", " Ray"])
FRAME = {"opening": '["', "separator": '", "', "closing": '"]'}
CANVAS = 2 * N + 3
SCORES = ("random", "left_to_right", "confidence", "margin", "entropy")
KS = (1, 2, 3, 4, N)


def written(items):
    return FRAME["opening"] + FRAME["separator"].join(items) + FRAME["closing"]


def listed(texts, gen_length=CANVAS):
    weights = [1.0] * len(texts)
    return enumerated(TOKENIZER, texts, weights, gen_length=gen_length, eos_id=EOS_ID, sample="s")


def shuffled(items, exclude_input=False, gen_length=CANVAS):
    give = {"gen_length": gen_length, "eos_id": EOS_ID, "sample": "s"}
    return permutations(TOKENIZER, items, exclude_input=exclude_input, **give, **FRAME)


TASKS = {
    "shuffle": listed([written(order) for order in itertools.permutations(ITEMS)]),
    "shuffle described": shuffled(ITEMS),
    "replace_random": listed([written(ITEMS[:i] + "x" + ITEMS[i + 1 :]) for i in range(N)]),
    "replace_index": listed([written("abxdef")]),
    "copy": listed([written(ITEMS)]),
}
TEMPLATE = template_ids(
    TOKENIZER, written(["[MASK]"] * N), mask_id=MASK_ID, gen_length=CANVAS, eos_id=EOS_ID, sample="s"
)


def ideal():
    return Ideal(TOKENIZER, mask_id=MASK_ID, eos_id=EOS_ID, vocab_size=len(TOKENIZER))


def judge(answers):
    """Return a function that says whether token ids are one of *answers*."""
    if isinstance(answers, TokenAnswers):
        return {tuple(line) for line in answers.ids.tolist()}.__contains__
    slot, fixed = answers.slot.tolist(), answers.fixed.tolist()
    items = [tuple(item) for item in answers.item_tokens.tolist()]

    def is_order(ids):
        if any(token != want for token, want, s in zip(ids, fixed, slot, strict=True) if s < 0):
            return False
        held = [
            tuple(token for token, s in zip(ids, slot, strict=True) if s == at) for at in range(len(items))
        ]
        return sorted(held) == sorted(items) and not (answers.exclude_input and held == items)

    return is_order


def n_samples(accuracy):
    return SAMPLES if 0.0 < accuracy < 1.0 else OF_CERTAINTY


def counts_of(denoiser, wanted, expected):
    """Return how many samples of each (key, answers, setting) are right; all are decoded in one sweep."""
    judges = {id(answers): judge(answers) for _, answers, _ in wanted}
    is_right = {key: judges[id(answers)] for key, answers, _ in wanted}
    rows = [
        Row(
            key=(key, index),
            prompt_ids=(),
            gen_length=CANVAS,
            setting=setting,
            template_ids=TEMPLATE,
            context=answers,
            sample_id=f"{key[0]}-{index}",
        )
        for key, answers, setting in wanted
        for index in range(n_samples(expected[key]))
    ]
    counts = dict.fromkeys(is_right, 0)
    for outcome in sweep(denoiser, rows):
        key = outcome.key[0]
        counts[key] += is_right[key](outcome.ids)
    return counts


def expected_accuracy(task, score, k, temperature):
    """Return the closed form, or None where there is none (a sampled order that depends on the tokens)."""
    if task in ("copy", "replace_index"):
        return 1.0
    if task.startswith("shuffle"):
        return shuffle_accuracy(N, k)
    if temperature == 0.0 or k in (1, N):
        return replace_random_accuracy(N, k, greedy=temperature == 0.0)
    return None


def misses(counts, expected):
    """Return the keys whose count is outside its interval."""
    found = {}
    for key, accuracy in expected.items():
        n = n_samples(accuracy)
        low, high = binom.interval(1 - ALPHA, n, accuracy) if 0.0 < accuracy < 1.0 else (accuracy * n,) * 2
        if not low <= counts[key] <= high:
            found[key] = (counts[key] / n, accuracy)
    return found


@pytest.mark.parametrize("task", TASKS)
def test_top_k_is_as_often_right_as_the_closed_form(task):
    """All orders, greedy and sampled, every k, mixed in one queue."""
    expected, wanted = {}, []
    for score, k, temperature in itertools.product(SCORES, KS, (0.0, 1.0)):
        accuracy = expected_accuracy(task, score, k, temperature)
        if accuracy is not None:
            key = (task, score, k, temperature)
            expected[key] = accuracy
            setting = Setting(method=TopK(score=score), k=k, temperature=temperature)
            wanted.append((key, TASKS[task], setting))
    assert len(wanted) >= 30
    assert misses(counts_of(ideal(), wanted, expected), expected) == {}


LIMIT = (N - 1) / N
GAMMAS = (0.1, 0.25, 0.5 - 1e-4, 0.5 + 1e-4, LIMIT - 1e-4, LIMIT + 1e-4, 1.0)


def test_thresholds_are_as_often_right_as_the_closed_forms():
    """Both sides of 1/2 (shuffle) and of (n-1)/n (replace random)."""
    expected, wanted = {}, []
    for gamma in GAMMAS:
        setting = Setting(method=Threshold(gamma=gamma))
        for task in TASKS:
            key = (task, gamma)
            if task.startswith("shuffle"):
                expected[key] = shuffle_threshold_accuracy(N, gamma)
            else:
                expected[key] = (
                    replace_random_threshold_accuracy(N, gamma) if task == "replace_random" else 1.0
                )
            wanted.append((key, TASKS[task], setting))
    assert {expected["replace_random", gamma] for gamma in GAMMAS} == {0.0, 1.0}
    assert expected["shuffle", GAMMAS[2]] == 0.5
    assert expected["shuffle", GAMMAS[3]] == 1.0
    assert misses(counts_of(ideal(), wanted, expected), expected) == {}


class FixedOrder(Ideal):
    """Ties between tokens and positions go to the lowest: every position chooses the same item."""

    unbiased_ties = False


class OneDrawPerCanvas(Ideal):
    """Reorders the vocabulary of a whole canvas by one draw: positions agree with each other."""

    unbiased_ties = False

    def __call__(self, canvas, attend, query, contexts):
        logits = super().__call__(canvas, attend, query, contexts)
        return logits + 1e-4 * (logits.new_ones(logits.shape[1]).cumsum(0) * 37 % 11)


@pytest.mark.parametrize("biased", [FixedOrder, OneDrawPerCanvas])
def test_a_biased_tie_rule_is_caught_by_the_closed_form(biased):
    keys = [("shuffle", score, 2, 0.0) for score in SCORES]
    wanted = [(key, TASKS["shuffle"], Setting(method=TopK(score=key[1]), k=2)) for key in keys]
    model = biased(TOKENIZER, mask_id=MASK_ID, eos_id=EOS_ID, vocab_size=len(TOKENIZER))
    expected = dict.fromkeys(keys, shuffle_accuracy(N, 2))
    assert set(misses(counts_of(model, wanted, expected), expected)) == set(keys)


PEOPLE = ("Ann Lee", "Bob Orr", "Cleo Poe", "Dan Ray")
LETTERS = tuple("abcdefghi")
FULL = 16
LINES = {
    "remove_random": listed([written(PEOPLE[:i] + PEOPLE[i + 1 :]) for i in range(4)], FULL),
    "insert_random": listed([written([*PEOPLE[:i], "Bob Lee", *PEOPLE[i:]]) for i in range(5)], FULL),
    "shuffle people": listed([written(order) for order in itertools.permutations(PEOPLE)][1:], FULL),
    "uneven": enumerated(
        TOKENIZER,
        ["Ann", "Bob Lee", "Cleo Poe Ray", "Dan Orr"],
        [1, 3, 2, 3],
        gen_length=FULL,
        eos_id=EOS_ID,
        sample="s",
    ),
    "shuffle described, input excluded": shuffled(PEOPLE, exclude_input=True, gen_length=FULL),
    "shuffle of three, input excluded": shuffled(PEOPLE[:3], exclude_input=True, gen_length=FULL),
    "shuffle of seven letters": shuffled(LETTERS[:7], exclude_input=True, gen_length=FULL),
}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("line", LINES)
def test_whole_answers_are_as_often_right_as_the_exact_law_of_their_recorded_order(line, temperature):
    """Brackets, separators, lengths and end of text are decoded too; orders blind to the tokens."""
    answers = LINES[line]
    settings = [
        Setting(method=TopK(score=score), k=k, block_length=block, temperature=temperature)
        for score, k, block in itertools.product(("random", "left_to_right"), (1, 2, 5, FULL), (None, 8))
        if block is None or k <= block
    ]
    settings.append(Setting(method=TopK(score="confidence"), k=FULL, temperature=temperature))
    rows = [
        Row(
            key=(which, index),
            prompt_ids=(),
            gen_length=FULL,
            setting=setting,
            context=answers,
            sample_id=f"{line}-{index}",
        )
        for which, setting in enumerate(settings)
        for index in range(100)
    ]
    chances, right, is_right = defaultdict(list), Counter(), judge(answers)
    known = {}
    for outcome in sweep(ideal(), rows):
        which = outcome.key[0]
        if outcome.commit_step not in known:
            known[outcome.commit_step] = chance_correct(answers, outcome.commit_step, temperature)
        chances[which].append(known[outcome.commit_step])
        right[which] += is_right(outcome.ids)
    outside = {}
    for which, probabilities in chances.items():
        low, high = interval_of_correct(probabilities, ALPHA)
        if not low <= right[which] <= high:
            outside[which] = (low, right[which], high)
    assert outside == {}
    assert any(0.0 < chance < 0.999 for chance in known.values()), "the law says more than 0 or 1 somewhere"
