"""What models, modules and methods may declare, and what holds where they do not."""

import pytest

from decoders import Setting, load
from decoders.loop.batching import decode
from decoders.models.ideal import load as load_ideal
from decoders.protocols import ModelRequest
from decoders.rows import DecodeError
from decoders.testing import HashDenoiser
from decoders.traits import MethodTraits, ModelTraits, method_traits, model_traits, module_traits
from decoders.unmasking.dus import DUS
from decoders.unmasking.klass import KLASS
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import confidence


def test_what_is_not_declared_has_its_default():
    assert model_traits(object()) == ModelTraits()
    assert method_traits(confidence()) == MethodTraits()
    assert module_traits(pytest).prompt_style == "natural"
    assert model_traits(object()).close() is None


def test_what_is_declared_is_read():
    ideal = load_ideal(ModelRequest(name="ideal"))
    assert model_traits(ideal).unbiased_ties
    assert model_traits(ideal).uses_answers
    assert method_traits(DUS()).blocks == (1, 2, 4, 8, 16, 32)
    assert method_traits(KLASS(upstream_exact=True)).upstream_exact
    assert method_traits(KLASS(upstream_exact=True)).scope == "generated"


@pytest.mark.parametrize(
    ("declares", "message"),
    [
        (
            {"generate": lambda self: None},
            "True exactly where it has generate, got False for Odd; declare owns",
        ),
        ({"owns_loop": True}, "True exactly where it has generate, got True for Odd"),
    ],
    ids=["a generator that does not say so", "one that cannot generate"],
)
def test_a_generator_is_one_because_it_says_so(declares, message):
    with pytest.raises(TypeError, match=message):
        model_traits(type("Odd", (), declares)())


def test_a_step_budget_is_refused_by_a_method_that_has_no_use_for_it():
    assert Setting(method=KLASS(), max_steps=4).max_steps == 4
    message = r"method 'threshold' decides by itself how many steps it takes, got max_steps=4; leave"
    with pytest.raises(ValueError, match=message):
        Setting(method=Threshold(gamma=0.9), max_steps=4)


def test_decode_takes_a_whole_setting():
    prompts, setting = [(3,), (4, 5)], Setting(method=confidence(), k=2, block_length=4)
    whole = decode(HashDenoiser(), prompts, setting, gen_length=8)
    assert whole == decode(HashDenoiser(), prompts, confidence(), gen_length=8, k=2, block_length=4)
    with pytest.raises(ValueError, match="a setting must be given whole, got a Setting and k beside it"):
        decode(HashDenoiser(), prompts, setting, gen_length=8, k=4)


class Owner(HashDenoiser):
    owns_loop = True

    def generate(self, rows, params):
        return []


REFUSED = {
    "a class": (
        HashDenoiser(),
        [(3,)],
        Threshold,
        r"the class Threshold; make one .*: Threshold\(\.\.\.\)",
    ),
    "an object": (HashDenoiser(), [(3,)], 7, "got 7 without name, family, takes_k"),
    "a flat prompt": (
        HashDenoiser(),
        [3, 4],
        confidence(),
        "list of token ids, got 3 as prompt 0; encode",
    ),
    "text": (HashDenoiser(), ["hi"], confidence(), "list of token ids, got 'hi' as prompt 0"),
    "an owner": (Owner(), [(3,)], confidence(), "which owns its loop; call its generate"),
}


@pytest.mark.parametrize(("model", "prompts", "method", "message"), REFUSED.values(), ids=REFUSED)
def test_decode_names_what_it_was_given_instead(model, prompts, method, message):
    with pytest.raises(TypeError, match=message):
        decode(model, prompts, method, gen_length=4, k=1)


def test_an_id_outside_the_vocabulary_is_named():
    size = HashDenoiser().vocab_size
    with pytest.raises(ValueError, match=f"from 0 to {size - 1}, the .*, got {size} in prompt 1"):
        decode(HashDenoiser(), [(3,), (4, size)], confidence(), gen_length=4, k=1)


def test_a_failure_carries_the_rows_that_were_finished():
    class Fails(HashDenoiser):
        def __call__(self, canvas, attend, query, contexts):
            logits = super().__call__(canvas, attend, query, contexts)
            bad = [context == "bad" for context in contexts]
            return logits.masked_fill(logits.new_tensor(bad).bool()[query[:, 0]].unsqueeze(1), float("nan"))

    with pytest.raises(DecodeError, match="not finite") as caught:
        decode(Fails(), [(3,), (4,)], confidence(), gen_length=4, k=2, contexts=["good", "bad"])
    assert [row.key for row in caught.value.finished] == [0]


def test_a_model_is_loaded_by_its_name():
    assert load("ideal").name == load_ideal(ModelRequest(name="ideal")).name
    with pytest.raises(LookupError, match="name must be that of a model, got 'lada'; choose llada"):
        load("lada")
