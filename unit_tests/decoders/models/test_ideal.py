"""The exact model gives exact marginals: against brute force, and through the loop."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.loop.batching import decode
from decoders.models.ideal import Ideal, load
from decoders.protocols import ModelRequest
from decoders.testing import check_denoiser
from decoders.text.tokenizer import EOS_ID, MASK_ID, PieceTokenizer
from decoders.theory.answer_sets import TokenAnswers, enumerated, permutations
from decoders.unmasking.top_k import confidence

MASK = MASK_ID
TOKENIZER = PieceTokenizer(["Ab", "Cd", "Ef", "Gh", " x1", " x2", " x3", " x4", " x5", '["', '", "', '"]'])


def ideal():
    return Ideal(TOKENIZER, mask_id=MASK_ID, eos_id=EOS_ID, vocab_size=len(TOKENIZER))


def marginals(model, canvases, contexts, prompt=0):
    """Return {token: probability} of every masked position of every row, keyed by (row, position)."""
    canvas = torch.tensor(canvases)
    query = (canvas == MASK).nonzero()
    padded = torch.cat([torch.full((len(canvas), prompt), 5), canvas], dim=1)
    logits = model(padded, torch.ones_like(padded), query + torch.tensor([0, prompt]), contexts)
    support = model.support(contexts)
    return {
        (row, position): {
            int(token): math.exp(value)
            for token, value in zip(support[row], line.tolist(), strict=True)
            if value > -math.inf
        }
        for (row, position), line in zip(query.tolist(), logits, strict=True)
    }


def nearest_marginal(answers, weights, canvas, position):
    """The answers that disagree with the fewest committed tokens, in proportion to their weights."""
    distance = [sum(c not in (MASK, a) for c, a in zip(canvas, row, strict=True)) for row in answers]
    mass = {}
    for row, weight, far in zip(answers, weights, distance, strict=True):
        if far == min(distance):
            mass[row[position]] = mass.get(row[position], 0.0) + weight
    return {token: value / sum(mass.values()) for token, value in mass.items()}


@st.composite
def listed_cases(draw, length=None):
    """Answers over few tokens, and canvases that may contradict all of them or hold a token of none."""
    length = length or draw(st.integers(1, 5))
    row = st.lists(st.integers(2, 5), min_size=length, max_size=length).map(tuple)
    answers = draw(st.lists(row, min_size=1, max_size=8, unique=True))
    weights = [draw(st.integers(1, 4)) for _ in answers]
    token = st.sampled_from([MASK, MASK, 2, 3, 4, 5, 99])
    canvases = draw(st.lists(st.lists(token, min_size=length, max_size=length), min_size=1, max_size=4))
    return answers, weights, canvases


def token_answers(answers, weights):
    ids = np.array(answers)
    weight = np.array(weights, dtype=np.float32)
    return TokenAnswers(ids=ids, weights=weight / weight.max(), support=np.unique(ids))


@given(case=listed_cases(), prompt=st.integers(0, 3))
@settings(deadline=None, max_examples=150)
def test_marginals_are_those_of_the_nearest_answers(case, prompt):
    answers, weights, canvases = case
    context = token_answers(answers, weights)
    found = marginals(ideal(), canvases, [context] * len(canvases), prompt)
    for (row, position), marginal in found.items():
        assert marginal == pytest.approx(
            nearest_marginal(answers, weights, canvases[row], position), abs=1e-6
        )


@given(cases=st.lists(listed_cases(length=3), min_size=2, max_size=3))
@settings(deadline=None, max_examples=30)
def test_rows_of_different_samples_do_not_mix(cases):
    contexts, canvases = [], []
    for answers, weights, rows in cases:
        contexts += [token_answers(answers, weights)] * len(rows)
        canvases += rows
    together = marginals(ideal(), canvases, contexts)
    for row, (canvas, context) in enumerate(zip(canvases, contexts, strict=True)):
        alone = marginals(ideal(), [canvas], [context])
        for (_, position), marginal in alone.items():
            assert together[row, position] == pytest.approx(marginal, abs=1e-6)


def permuted(items, exclude_input, gen_length, **written):
    given_text = {"opening": '["', "separator": '", "', "closing": '"]'} | written
    described = permutations(
        TOKENIZER,
        items,
        exclude_input=exclude_input,
        gen_length=gen_length,
        eos_id=EOS_ID,
        sample="s",
        **given_text,
    )
    texts = [
        given_text["opening"] + given_text["separator"].join(order) + given_text["closing"]
        for order in itertools.permutations(items)
    ]
    kept = texts[1:] if exclude_input else texts
    listed = enumerated(TOKENIZER, kept, [1.0] * len(kept), gen_length=gen_length, eos_id=EOS_ID, sample="s")
    return described, listed


def ignoring_contradictions(answers, canvas, position):
    """Take the tokens in position order; one that no order left agrees with is ignored."""
    for place, token in enumerate(canvas):
        agreeing = [row for row in answers if row[place] == token]
        if token != MASK and agreeing:
            answers = agreeing
    counts = {}
    for row in answers:
        counts[row[position]] = counts.get(row[position], 0) + 1
    return {token: count / len(answers) for token, count in counts.items()}


@given(data=st.data(), n=st.integers(2, 5), exclude_input=st.booleans(), two_tokens=st.booleans())
@settings(deadline=None, max_examples=150)
def test_the_closed_form_of_permutations_equals_their_enumeration(data, n, exclude_input, two_tokens):
    items = ["Ab x1", "Cd x2", "Ef x3", "Gh x4", "z x5"]
    items = items[:n] if two_tokens else list("abcde")[:n]
    length = 2 + n * (1 + two_tokens) + (n - 1) + 1
    described, listed = permuted(items, exclude_input, length)
    token = st.one_of(st.just(MASK), st.sampled_from(described.support.tolist()))
    own = st.sampled_from([*listed.ids.tolist(), described.fixed.tolist()])
    loose = st.lists(token, min_size=length, max_size=length)
    holes = st.lists(st.booleans(), min_size=length, max_size=length)
    near = st.builds(lambda ids, hole: [MASK if h else i for i, h in zip(ids, hole, strict=True)], own, holes)
    canvas = data.draw(loose | near)
    found = marginals(ideal(), [canvas], [described])
    for (_, position), marginal in found.items():
        assert marginal == pytest.approx(
            ignoring_contradictions(listed.ids.tolist(), canvas, position), abs=1e-6
        )


@pytest.mark.parametrize("exclude_input", [False, True])
def test_many_items_are_nearly_equally_likely_at_every_open_slot(exclude_input):
    items = [chr(97 + i) for i in range(20)]
    described = permutations(
        TOKENIZER, items, opening="", separator="", closing="", exclude_input=exclude_input, gen_length=21,
        eos_id=EOS_ID, sample="s",
    )  # fmt: skip
    canvas = [MASK] * 21
    canvas[3] = TOKENIZER.encode("a")[0]
    found = marginals(ideal(), [canvas], [described])
    assert found[0, 20] == {EOS_ID: 1.0}
    assert found[0, 0] == pytest.approx({TOKENIZER.encode(item)[0]: 1 / 19 for item in items[1:]}, rel=1e-5)


@pytest.mark.parametrize("n", [2, 3])
def test_reaching_the_excluded_input_is_wrong_and_no_failure(n):
    """Tokens chosen at once can leave no order at all; such a row ends wrong, as the law counts it."""
    described, listed = permuted(list("abc")[:n], True, n, opening="", separator="", closing="")
    done = decode(ideal(), [()] * 300, confidence(), gen_length=n, k=n - 1, contexts=[described] * 300)
    right = {tuple(row) for row in listed.ids.tolist()}
    assert {row.ids in right for row in done} == ({True} if n == 2 else {True, False})


def test_prompts_of_the_exact_model_are_empty_and_not_read():
    context = token_answers([(5, 6), (6, 5)], [1, 1])
    assert ideal().encode_prompt([{"role": "user", "content": "Shuffle."}]) == []
    with_prompt = decode(ideal(), [(7,), (8, 9)], confidence(), gen_length=2, k=1, contexts=[context] * 2)
    without = decode(ideal(), [(), ()], confidence(), gen_length=2, k=1, contexts=[context] * 2)
    assert [row.ids for row in with_prompt] == [row.ids for row in without]


def test_the_exact_model_obeys_the_rules_of_denoisers():
    described, listed = permuted(["a", "b"], False, 8)
    check_denoiser(ideal(), contexts=(described, listed), gen_length=8)
    check_denoiser(ideal(), contexts=(listed, token_answers([(5,) * 8], [1])), gen_length=8)


def test_a_context_that_is_no_answer_set_is_refused():
    message = r"contexts must be TokenAnswers or TokenPermutations, got None; see decoders\.theory"
    with pytest.raises(TypeError, match=message):
        decode(ideal(), [()], confidence(), gen_length=2, k=1)


@pytest.mark.parametrize("gen_length", [1, 3])
def test_answers_of_another_length_are_refused(gen_length):
    context = token_answers([(5, 6), (6, 5)], [1, 1])
    message = "contexts must hold answers as long as the generated region, got 2 positions; tokenise"
    with pytest.raises(RuntimeError, match=message):
        decode(ideal(), [()], confidence(), gen_length=gen_length, k=1, contexts=[context])


def test_load_gives_our_tokenizer_with_the_vocabulary_asked_for():
    model = load(ModelRequest(name="ideal", vocabulary=("Ann", " Lee")))
    assert model.tokenizer.encode("Ann Lee") == [258, 259]
    assert (model.mask_id, model.eos_ids, model.vocab_size) == (MASK_ID, {EOS_ID}, 260)
    assert model.unbiased_ties


def test_load_borrows_a_published_tokenizer(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    backend = Tokenizer(models.WordLevel({"red": 0, "blue": 1, "and": 2, "?": 3}, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.save(str(tmp_path / "tokenizer.json"))
    model = load(ModelRequest(name="ideal", source=str(tmp_path)))
    assert (model.mask_id, model.eos_ids, model.vocab_size) == (4, {5}, 6)
    texts = ["red and blue", "blue and red", "blue"]
    context = enumerated(model.tokenizer, texts, [1.0, 1.0, 1.0], gen_length=4, eos_id=5, sample="s")
    done = decode(model, [()] * 40, confidence(), gen_length=4, k=1, contexts=[context] * 40)
    read = {model.tokenizer.decode([token for token in row.ids if token != 5]) for row in done}
    assert read == set(texts)
    check_denoiser(model, contexts=(context, context), gen_length=4)


def test_load_refuses_a_folder_without_tokenizer(tmp_path):
    with pytest.raises(ValueError, match=r"tokenizer must be a tokenizer\.json"):
        load(ModelRequest(name="ideal", source=str(tmp_path)))
