"""Keys go from the environment to one host, and into nothing else."""

import json
import logging

import pytest

from decoders.rows import Failed
from decoders.served.client.keys import key_for, without_key
from decoders.served.facts import ServerError
from unit_tests.decoders.served.scripted import Engine, error, page, stream, whole

KEY = "sk-very-secret-0123456789"


def test_a_key_goes_to_the_host_it_is_for_and_to_no_other():
    keys = {"OPENAI_API_KEY": "o", "ANTHROPIC_API_KEY": "a", "INCEPTION_API_KEY": "i"}
    assert key_for("https://api.openai.com/v1", keys) == "o"
    assert key_for("https://api.anthropic.com", keys) == "a"
    assert key_for("https://api.inceptionlabs.ai/v1", keys) == "i"
    assert key_for("http://127.0.0.1:8000/v1", keys) == ""
    assert key_for("https://example.org/v1", {**keys, "PB_API_KEY": " p\n"}) == "p"


def test_a_company_without_its_key_and_a_key_on_an_open_line_are_refused():
    with pytest.raises(ValueError, match=r"OPENAI_API_KEY must hold a key for api.openai.com, got none"):
        key_for("https://api.openai.com/v1", {})
    with pytest.raises(
        ValueError, match=r"example.org must be asked over https where there is a key, got http"
    ):
        key_for("http://example.org/v1", {"PB_API_KEY": "p"})
    assert key_for("http://localhost:1/v1", {"PB_API_KEY": "p"}) == "p"
    assert key_for("http://example.org/v1", {}) == ""


def test_the_key_is_sent_and_seen_nowhere(ask, monkeypatch, caplog):
    monkeypatch.setenv("PB_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    outcome = ask(Engine())
    assert outcome.engine.headers[0]["authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(outcome.one)
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "reply",
    [
        error(401, f"Incorrect API key provided: {KEY}"),
        error(500, f"crashed with {KEY}"),
        error(400, f"bad {KEY}"),
        page(f"{KEY} is no JSON"),
        stream(raw=[KEY]),
        stream(f"your key is {KEY}"),
        whole(f"your key is {KEY}"),
        whole(finish=f"{KEY}"),
        stream(raw=[json.dumps({"error": {"message": f"no {KEY}"}})]),
        page("", status=307, Location=f"http://localhost:1/{KEY}"),
        page("x", kind=f"text/{KEY}"),
    ],
    ids=range(11),
)
def test_a_server_that_sends_its_key_back_does_not_get_it_into_a_message(ask, monkeypatch, caplog, reply):
    monkeypatch.setenv("PB_API_KEY", KEY)
    caplog.set_level(logging.INFO)
    outcome = ask(Engine([reply]), attempts=1)
    assert isinstance(outcome.one, Failed)
    chain, current = [], outcome.one.error
    while current is not None:
        chain.append(str(current))
        current = current.__cause__
    assert KEY not in "".join(chain)
    assert KEY not in caplog.text


def test_a_server_that_tells_its_key_as_a_setting_is_not_believed(ask, monkeypatch):
    monkeypatch.setenv("PB_API_KEY", KEY)
    info = {"version": KEY, "model_path": "m"}
    outcome = ask(Engine(owner="sglang", pages={"/get_server_info": info}))
    assert "sent its key back" in outcome.error


def test_a_server_that_wants_a_key_says_where_to_put_it(ask):
    with pytest.raises(ServerError, match=r"answered 401 for /v1/models; put its key into PB_API_KEY"):
        ask(Engine(pages={"/v1/models": error(401)}))


def test_hiding_hides_every_occurrence_and_nothing_without_a_key():
    assert without_key("a K b K", "K") == "a *** b ***"
    assert without_key("text", "") == "text"
