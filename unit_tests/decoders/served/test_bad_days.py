"""What each bad day of a server comes to: an answer after all, or a failure in one line; never a score."""

import re

import pytest

from decoders.rows import Decoded, Failed
from unit_tests.decoders.served.conftest import served_row, text_of
from unit_tests.decoders.served.scripted import (
    Engine,
    anthropic,
    chunks,
    error,
    hang_up,
    html,
    page,
    stream,
    whole,
)


@pytest.mark.parametrize(
    ("replies", "message", "n_asked"),
    [
        ([error(500)], r"answered 500: .*no luck \(3 attempts\); run again later", 3),
        ([html(502)], r"answered 502: an HTML page \(3 attempts\)", 3),
        ([html(200)], r"must answer with JSON or events, got text/html \(3 attempts\)", 3),
        ([error(429)], r"answered 429: .* \(3 attempts\)", 3),
        ([error(429, code="insufficient_quota")], r"answered 429: .*no luck$", 1),
        ([error(429, Retry_After="3600")], r"\(it asks to wait 3600 s\)", 1),
        ([error(400, "max_tokens is too large")], r"answered 400: .*max_tokens is too large$", 1),
        ([error(401)], r"answered 401", 1),
        ([error(404, "no such model")], r"answered 404: .*no such model", 1),
        ([hang_up], r"cut the connection \(.+\) \(3 attempts\)", 3),
        (
            [stream("cut off", cut_after=1)],
            r"without a finish reason: it was cut on the way \(3 attempts\)",
            3,
        ),
        ([stream(raw=["{oops"])], r"must answer in JSON, got something else", 3),
        ([stream(raw=["3"])], r"a chunk must be a JSON object, got int", 3),
        ([stream(raw=['{"choices": 3}'])], r"choices must be a list, got int", 3),
        ([stream(raw=['{"error": {"message": "the model crashed"}}'])], r"the model crashed", 3),
        ([page({"object": "nothing"})], r"without a finish reason", 3),
        ([page("no JSON")], r"must answer in JSON, got something else", 3),
        ([page([1])], r"an answer must be a JSON object, got list", 3),
        ([stream(finish="abort")], r"ended with 'abort', which is the end of no answer", 3),
        ([stream(finish="tool_calls")], r"ended with 'tool_calls'", 3),
        ([stream("")], r"gave an empty answer \(finish stop\); a longer canvas leaves more room", 1),
        ([stream(" \n", finish="length")], r"gave an empty answer \(finish length\)", 1),
        ([stream("", finish="content_filter")], r"gave an empty answer \(finish content_filter\)", 1),
        ([page("", status=307, Location="http://localhost:1/x")], r"got a redirect from http://127.*:1;", 1),
        ([page("", status=302, Location="https://127.0.0.1/x")], r"to https://127.0.0.1:443", 1),
    ],
)
def test_a_question_without_an_answer_is_a_failure_that_says_why(ask, replies, message, n_asked):
    outcome = ask(Engine(replies))
    assert isinstance(outcome.one, Failed)
    assert outcome.one.error.kind == "model_error"
    assert re.search(message, outcome.error), outcome.error
    assert outcome.error.startswith("http://127.0.0.1:")
    assert "\n" not in outcome.error
    assert len(outcome.engine.asked) == n_asked


def test_time_that_runs_out_between_two_pieces_is_told_apart(ask):
    outcome = ask(Engine([stream(delay=0.5)]), timeout_s=0.1, attempts=2)
    assert outcome.one.error.kind == "timeout"
    assert "did not answer in time (2 attempts)" in outcome.error


def test_a_slow_stream_is_an_answer_with_its_times(ask):
    decoded = ask(Engine([stream("slow but sure", delay=0.05)])).one
    details = decoded.served.details
    assert text_of(decoded) == "slow but sure"
    assert 0.0 <= details["first_token_seconds"] < details["seconds"]
    assert details["seconds"] >= 0.15


def test_an_answer_in_one_piece_has_no_first_token_time(ask):
    details = ask(Engine([whole("at once")])).one.served.details
    assert details["first_token_seconds"] is None
    assert details["seconds"] > 0.0


@pytest.mark.parametrize(
    "storm",
    [
        [error(429, Retry_After="0.01"), error(503), error(529)],
        [html(502), hang_up],
        [stream("half an", cut_after=1), html(200), page("")],
    ],
)
def test_a_storm_that_passes_leaves_the_answer_and_how_often_it_was_asked(ask, storm):
    decoded = ask(Engine([*storm, stream("at last")]), attempts=6).one
    assert text_of(decoded) == "at last"
    assert decoded.served.details["attempts"] == len(storm) + 1


def test_what_a_question_lost_to_a_cut_is_not_in_the_next_answer(ask):
    assert text_of(ask(Engine([stream("wrong words", cut_after=2), stream("right")])).one) == "right"


def test_after_a_failure_that_all_would_share_nothing_more_is_asked(ask):
    outcome = ask(Engine([error(401)]), 20, concurrency=1)
    assert all(isinstance(found, Failed) for found in outcome.found.values())
    assert len(outcome.engine.asked) == 1


def test_a_bad_question_costs_no_other(ask):
    def reply(number, body):
        return error(400, "bad") if "question 3" in body["messages"][-1]["content"] else stream("fine")

    found = ask(Engine(reply), 6).found
    assert {key for key, outcome in found.items() if isinstance(outcome, Failed)} == {3}


def test_the_finish_reasons_of_answers_are_kept(ask):
    for written, kept in (("stop", "stop"), ("length", "length"), ("content_filter", "content_filter")):
        assert ask(Engine([stream("text", finish=written)])).one.finish_reason == kept
    for written, kept in (("end_turn", "stop"), ("max_tokens", "length"), ("refusal", "content_filter")):
        decoded = ask(Engine([anthropic("text", reason=written)]), scheme="anthropic").one
        assert decoded.finish_reason == kept
        assert (256 in decoded.ids) == (kept != "length")


def test_a_cut_stream_of_anthropic_is_no_answer(ask):
    assert "cut on the way" in ask(Engine([anthropic(cut_after=3)]), scheme="anthropic").error
    assert "ended with 'tool_use'" in ask(Engine([anthropic(reason="tool_use")]), scheme="anthropic").error


def test_a_server_that_is_not_there_says_so_once_for_all(ask, monkeypatch):
    from decoders.protocols import ModelRequest
    from decoders.served.facts import ServerError
    from decoders.served.loading import fingerprint_with

    with pytest.raises(ServerError, match=r"http://127.0.0.1:9 cannot be reached .*; is it running\?"):
        fingerprint_with(ModelRequest(name="m", source="openai:http://127.0.0.1:9"), {})


def test_requests_overlap_as_asked_and_each_row_has_its_own_answer(ask):
    def reply(number, body):
        return stream(body["messages"][0]["content"], delay=0.02)

    outcome = ask(Engine(reply), 16, concurrency=4)
    assert {key: text_of(found) for key, found in outcome.found.items()} == {
        key: f"question {key}" for key in range(16)
    }
    assert outcome.engine.most_at_once == 4
    assert ask(Engine(reply), 4, concurrency=1).engine.most_at_once == 1


def test_nothing_is_drawn_at_temperature_0_and_each_sample_has_its_own_seed_above(ask):
    (cold,) = ask(Engine(), [served_row(0)]).engine.asked
    assert (cold["temperature"], cold["max_tokens"], "seed" in cold) == (0, 32, False)
    rows = [
        served_row(0, temperature=0.5),
        served_row(1, temperature=0.5),
        served_row(2, temperature=0.5, seed=1),
    ]
    warm = ask(Engine(), rows).engine.asked
    assert {body["temperature"] for body in warm} == {0.5}
    assert len({body["seed"] for body in warm}) == 3
    (own,) = ask(Engine(), 1, params={"own_temperature": True}).engine.asked
    assert "temperature" not in own


def test_the_example_goes_out_as_turns_and_text_comes_back_as_it_was_sent(ask):
    chat = [
        {"role": "user", "content": "Copy a."},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": 'Copy "\u00e9\U0001f600\n".'},
    ]
    from dataclasses import replace

    from decoders.served.wire import chat_ids

    row = replace(served_row(0), prompt_ids=tuple(chat_ids(chat)))
    outcome = ask(Engine([stream('"\u00e9\U0001f600\n"')]), [row])
    assert outcome.engine.asked[0]["messages"] == chat
    assert text_of(outcome.one) == '"\u00e9\U0001f600\n"'
    sent = ask(Engine([anthropic()]), [row], scheme="anthropic").engine.asked[0]
    assert (sent["messages"], sent["max_tokens"], sent["model"]) == (chat, 32, "claude-x")


def test_reasoning_is_counted_apart_from_content(ask):
    usage = {"prompt_tokens": 3, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 6}}
    served = ask(Engine([stream("text", usage=usage)])).one.served
    assert (served.tokens, served.content_tokens, served.details["reasoning_tokens"]) == (9, 3, 6)


def test_tokens_that_nobody_counts_are_not_known_and_nothing_is_made_of_them(ask):
    decoded = ask(Engine([stream("text", usage=None)]), scheme="plain").one
    assert (decoded.served.tokens, decoded.served.content_tokens) == (None, None)
    assert (decoded.nfe, decoded.nfe_kind) == (None, "unknown")
    assert decoded.served.details["tokens_counted_by"] is None


def test_chunks_are_those_of_the_api():
    assert [sorted(chunk["choices"][0]) if chunk["choices"] else [] for chunk in chunks("ab")] == [
        ["delta", "index"],
        ["delta", "index"],
        ["delta", "finish_reason", "index"],
        [],
    ]


def test_generate_returns_in_the_order_asked_or_raises(ask):
    from decoders.protocols import ModelRequest
    from decoders.rows import DecodeError
    from decoders.served.loading import load
    from unit_tests.decoders.served.scripted import serving

    def reply(number, body):
        return stream(body["messages"][0]["content"], delay=0.0 if number % 2 else 0.05)

    with serving(Engine(reply)) as engine:
        model = load(ModelRequest(name="m", source=f"openai:{engine.url}"))
        rows = [served_row(key) for key in range(6)]
        assert [found.key for found in model.generate(rows, {})] == list(range(6))
        engine.replies = [error(400)]
        with pytest.raises(DecodeError, match="answered 400"):
            model.generate(rows[:1], {})
        assert isinstance(next(iter(model.generate_each(rows[:1], {}))), Decoded | Failed)
        model.close()


def test_a_tokenizer_that_the_user_names_counts_what_the_server_does_not(ask, tmp_path, llada_tokenizer_text):
    (tmp_path / "tokenizer.json").write_text(llada_tokenizer_text)
    decoded = ask(Engine([stream("text", usage=None)]), scheme="plain", tokenizer=tmp_path).one
    assert decoded.served.tokens == decoded.served.content_tokens == 4
    assert decoded.served.details["tokens_counted_by"] == tmp_path.name
    assert decoded.nfe_kind == "unknown", "these are not the tokens that the server made"
    assert ask(Engine(), tokenizer=tmp_path).one.served.details["tokens_counted_by"] == "usage"
