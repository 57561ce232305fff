"""The key holds everything: what runs between a question and its text is hashed, or changes no result."""

from decoders.fingerprint import import_closure
from pb_plugin.asking.models import RESULT_CODE

DECODING = ("pb_plugin.running.bench", "pb_plugin.asking.rows", "pb_plugin.asking.models")

CHANGES_NO_RESULT = {
    "decoders.fingerprint": "makes the key",
    "decoders.loading.allowed_code": "allows or refuses code, whose hash is in the fingerprint",
    "decoders.text.json_file": "reads or refuses files of a checkpoint, which are in the fingerprint",
    "decoders.models": "names the module of a model, whose own hash is in the key",
    "decoders.served": "names the module of a served model",
    "decoders.served.address": "says where a server is, which is in the fingerprint",
    "decoders.served.options": "limits, prices and waits: how often a server is asked, not what it answers",
    "decoders.served.client.budget": "counts what is spent",
    "decoders.served.client.failures": "says why there is no answer",
    "decoders.served.client.http": "refuses what is no answer",
    "decoders.served.client.keys": "finds the key of a server",
    "decoders.served.client.answer": "in the hash of a served model, by its RESULT_CODE",
    "pb_plugin.asking.models": "chooses the module and the request, both in the key as fingerprint and code",
    "pb_plugin.asking.planned": "makes the key",
    "pb_plugin.asking.samples": "its questions are in the key as input_hash, its data as data_checksum",
    "pb_plugin.running.bench": "joins rows; its knobs are parts of the key, and no result depends on batches",
}


def reached(packages):
    return import_closure(*DECODING, packages=packages)


def test_every_module_of_the_loop_that_a_decode_reaches_is_in_the_decode_key():
    hashed = import_closure(*RESULT_CODE)
    free = {name for name in reached(("decoders", "pb_plugin")) - hashed if name.startswith("decoders.")}
    assert free <= set(CHANGES_NO_RESULT), "add it to RESULT_CODE, or say why it changes no result"


def test_every_module_that_asks_is_in_the_decode_key_or_its_product_is():
    asking = {name for name in reached(("decoders", "pb_plugin")) if name.startswith("pb_plugin.asking.")}
    assert asking - set(RESULT_CODE) <= set(CHANGES_NO_RESULT)
    assert "pb_plugin.asking.rows" in RESULT_CODE


def test_what_makes_an_answer_of_a_served_model_is_in_its_key():
    from decoders.served import loading

    hashed = import_closure(*loading.RESULT_CODE)
    assert {
        "decoders.served.wire",
        "decoders.served.facts",
        "decoders.served.client.answer",
        "decoders.served.dialects.steps",
        "decoders.served.dialects.vllm",
    } <= hashed
    assert not {name for name in hashed if not name.startswith("decoders.served.")}, "no upgrade asks again"


def test_what_was_outside_the_key_is_in_it():
    hashed = import_closure(*RESULT_CODE)
    assert {
        "decoders.loop.batching",
        "decoders.loop.generating",
        "decoders.theory.answer_sets",
        "pb_plugin.asking.rows",
    } <= hashed
