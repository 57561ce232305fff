"""Each engine by its documented answers: what is sent, what is told, and that no step is invented."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoders.rows import Decoded, Failed
from decoders.served.dialects import DIALECTS, dialect_of
from decoders.served.dialects.steps import UNKNOWN, block_bounds, counted
from decoders.served.facts import ServerError
from unit_tests.decoders.served.scripted import Engine, page, stream

SGLANG = {
    "version": "0.5.6",
    "model_path": "m",
    "dllm_algorithm": "LowConfidence",
    "dllm_algorithm_config": "/etc/dllm.yaml",
    "api_key": "s3cret-of-the-server",
    "random_seed": 123,
    "internal_states": [{"last_gen_throughput": 1.0}],
}


def steps_of(decoded):
    assert isinstance(decoded, Decoded), decoded
    return decoded.nfe_kind, decoded.nfe, decoded.nfe_low, decoded.nfe_high


def sglang(**changes):
    usage = {"prompt_tokens": 8, "completion_tokens": 12}
    info = {**SGLANG, **changes}
    return Engine(
        [stream("text", usage=usage, finish="length")], owner="sglang", pages={"/get_server_info": info}
    )


def test_sglang_gives_bounds_by_its_blocks(ask):
    outcome = ask(sglang(), params={"threshold": 0.9, "block_length": 4})
    assert steps_of(outcome.one) == ("bounds", None, 3, 3 * 5)
    server = outcome.one.served.details["server"]
    assert (server["engine"], server["version"], server["model"]) == ("sglang", "0.5.6", "served-model")
    assert server["settings"] == {
        "model_path": "m",
        "dllm_algorithm": "LowConfidence",
        "dllm_algorithm_config": "/etc/dllm.yaml",
    }
    assert "vllm_xargs" not in outcome.engine.asked[0]


def test_what_sglang_does_not_tell_the_user_says_or_nothing_is_asked(ask):
    with pytest.raises(
        ServerError, match=r"threshold, block_length of http.* must be known, and the server does"
    ):
        ask(sglang())
    engine = sglang()
    with pytest.raises(ServerError, match=r"--unmasking native:block_length=\.\.\."):
        ask(engine, params={"threshold": 0.9})
    assert engine.asked == []
    silent = Engine(owner="sglang")
    with pytest.raises(ServerError, match=r"dllm_algorithm of .* must be known"):
        ask(silent)
    assert steps_of(ask(silent, params={"dllm_algorithm": "none"}).one)[0] == "counted"


def test_sglang_without_diffusion_is_one_token_per_step_unless_it_drafts(ask):
    assert steps_of(ask(sglang(dllm_algorithm=None)).one) == ("counted", 12, None, None)
    drafting = sglang(dllm_algorithm=None, speculative_algorithm="EAGLE")
    assert steps_of(ask(drafting).one) == ("unknown", None, None, None)


def test_what_contradicts_the_server_is_refused(ask):
    with pytest.raises(ServerError, match=r"was started with dllm_algorithm='LowConfidence', got .*'Joint'"):
        ask(sglang(), params={"dllm_algorithm": "Joint", "threshold": 0.9, "block_length": 4})


def vllm(replies=None, *, pages=None, counters=True):
    state = {"drafts": 100.0, "accepted": 40.0, "finished": 7.0}

    def metrics(handler):
        lines = [f'vllm:request_success_total{{finished_reason="stop"}} {state["finished"]}']
        lines += ['vllm:request_success_total{finished_reason="length"} 2.0']
        if counters:
            lines += [f'vllm:spec_decode_num_drafts_total{{engine="0"}} {state["drafts"]}']
            lines += [f"vllm:spec_decode_num_accepted_tokens_total {state['accepted']}"]
        page("# HELP x\n" + "\n".join(lines), kind="text/plain")(handler)

    def reply(number, body):
        state["drafts"] += 3
        state["accepted"] += 2
        state["finished"] += 1
        return (replies or [stream("text")])[-1]

    engine = Engine(
        reply, owner="vllm", pages={"/version": {"version": "0.20"}, "/metrics": metrics, **(pages or {})}
    )
    engine.state = state
    return engine


DIFFUSION = {"canvas_length": 32, "max_denoising_steps": 16}


def test_vllm_counts_by_the_metrics_one_question_at_a_time(ask):
    outcome = ask(vllm(), 5, params={**DIFFUSION, "max_steps": 8})
    assert {steps_of(found) for found in outcome.found.values()} == {("counted", 3, None, None)}
    assert outcome.engine.most_at_once == 1
    assert outcome.engine.asked[0]["vllm_xargs"] == {"diffusion_max_steps": 8}
    assert "max_steps" not in outcome.engine.asked[0]


def test_vllm_asked_in_parallel_tells_no_steps(ask):
    outcome = ask(vllm(), 5, params=DIFFUSION, concurrency=4)
    assert {steps_of(found)[0] for found in outcome.found.values()} == {"unknown"}


def test_counters_that_somebody_else_moved_are_nobodys(ask):
    engine = vllm()
    plain = engine.replies

    def crowded(number, body):
        engine.state["finished"] += 1
        return plain(number, body)

    engine.replies = crowded
    assert steps_of(ask(engine, params=DIFFUSION).one)[0] == "unknown"


def test_vllm_that_answers_with_its_steps_is_asked_in_parallel(ask):
    engine = vllm([stream("text", delay=0.02, extra={"num_spec_steps": 6})])
    outcome = ask(engine, 9, params=DIFFUSION)
    assert {steps_of(found) for found in outcome.found.values()} == {("counted", 6, None, None)}
    assert outcome.engine.most_at_once > 1


def test_vllm_shows_its_diffusion_in_development_mode(ask):
    info = {"vllm_config": {"diffusion_config": {"canvas_length": 64, "max_denoising_steps": 8}}}
    engine = vllm(pages={"/server_info?config_format=json": info})
    outcome = ask(engine)
    assert outcome.one.served.details["server"]["settings"]["canvas_length"] == 64
    with pytest.raises(ServerError, match="was started with canvas_length=64, got canvas_length=32"):
        ask(vllm(pages={"/server_info?config_format=json": info}), params=DIFFUSION)


def test_vllm_that_counts_steps_must_be_called_diffusion_or_drafting(ask):
    with pytest.raises(ServerError, match=r"speculative of .* must be known"):
        ask(vllm())
    with pytest.raises(ServerError, match=r"canvas_length, max_denoising_steps of .* must be known"):
        ask(vllm(), params={"diffusion_entropy": 0.1})
    assert steps_of(ask(vllm(), params={"speculative": True}).one) == ("counted", 5 - 2, None, None)


def test_vllm_without_counters_is_one_token_per_step(ask):
    assert steps_of(ask(vllm(counters=False)).one) == ("counted", 5, None, None)
    with pytest.raises(ServerError, match=r"speculative of .* must be known"):
        ask(Engine(owner="vllm"))  # no metrics: it may do anything


LMDEPLOY = {
    "dllm_block_length": 4,
    "denoising_steps": 4,
    "unmasking_strategy": "low_confidence_dynamic",
    "confidence_threshold": 0.85,
}


def test_lmdeploy_has_to_be_described_and_tells_no_steps(ask):
    outcome = ask(Engine(owner="lmdeploy"), params=LMDEPLOY)
    assert steps_of(outcome.one) == ("unknown", None, None, None)
    assert "denoising_steps" not in outcome.engine.asked[0]
    for name in LMDEPLOY:
        with pytest.raises(ServerError, match=f"{name} of .* must be known"):
            ask(Engine(owner="lmdeploy"), params={k: v for k, v in LMDEPLOY.items() if k != name})
    static = {**LMDEPLOY, "unmasking_strategy": "sequential"}
    static.pop("confidence_threshold")
    assert steps_of(ask(Engine(owner="lmdeploy"), params=static).one)[0] == "unknown"


def test_diffulex_tells_nfe_and_takes_its_limit_per_request(ask):
    outcome = ask(Engine([stream("text", extra={"nfe": 7})]), scheme="diffulex", params={"max_nfe": 8})
    assert steps_of(outcome.one) == ("counted", 7, None, None)
    assert outcome.engine.asked[0]["max_nfe"] == 8


@pytest.mark.parametrize("extra", [None, {"nfe": "7"}, {"nfe": -1}, {"nfe": True}, {"nfe": 0}, {"nfe": 2.5}])
def test_a_diffulex_that_tells_nonsense_tells_nothing(ask, extra):
    assert steps_of(ask(Engine([stream("text", extra=extra)]), scheme="diffulex").one)[0] == "unknown"


def test_mercury_takes_its_effort_and_tells_no_steps(ask):
    outcome = ask(Engine(), scheme="mercury", params={"reasoning_effort": "low"})
    assert steps_of(outcome.one) == ("unknown", None, None, None)
    assert outcome.engine.asked[0]["reasoning_effort"] == "low"


def test_a_plain_server_is_one_token_per_step_unless_it_drafts(ask):
    assert steps_of(ask(Engine(), scheme="plain").one) == ("counted", 5, None, None)
    assert steps_of(ask(Engine(), scheme="plain", params={"speculative": True}).one)[0] == "unknown"
    drafted = Engine(
        [stream("text", extra={"timings": {"draft_n": 3, "draft_n_accepted": 2}})], owner="llamacpp"
    )
    assert steps_of(ask(drafted).one)[0] == "unknown"
    props = {"build_info": "b5000", "model_path": "/m.gguf"}
    found = ask(Engine(owner="llamacpp", pages={"/props": props})).one
    assert found.served.details["server"] == {
        "engine": "plain",
        "version": "b5000",
        "model": "served-model",
        "settings": {"model_path": "/m.gguf"},
    }


def test_a_server_that_nobody_names_tells_no_steps(ask):
    assert steps_of(ask(Engine([stream("text", extra={"nfe": 3})])).one) == ("unknown", None, None, None)


@pytest.mark.parametrize("scheme", ["openai", "mercury", "diffulex"])
def test_a_parameter_that_a_dialect_does_not_have_is_refused(ask, scheme):
    with pytest.raises(
        ServerError, match=r"parameters of native for .* must be of .*, got 'threshold'; correct"
    ):
        ask(Engine(), scheme=scheme, params={"threshold": 0.9})


def test_a_parameter_of_another_type_is_refused(ask):
    with pytest.raises(ServerError, match="max_nfe must be of type int for diffulex, got 'many'; correct it"):
        ask(Engine(), scheme="diffulex", params={"max_nfe": "many"})


def test_a_named_dialect_wins_over_what_the_server_says():
    models = [{"id": "m", "owned_by": "vllm"}]
    assert dialect_of("openai", models) is DIALECTS["vllm"]
    assert dialect_of("plain", models) is DIALECTS["plain"]
    assert dialect_of("openai", []) is DIALECTS["openai"]
    assert len({d.owner for d in DIALECTS.values() if d.owner}) == 6


def test_several_models_must_be_chosen_from(ask):
    with pytest.raises(
        ServerError, match=r"must have exactly one model where none is named, got a, b; write URL#"
    ):
        ask(Engine(models=("a", "b")))
    assert ask(Engine(models=("a", "b")), model="#b").engine.asked[0]["model"] == "b"


@given(st.integers(1, 300), st.integers(1, 64), st.integers(0, 200), st.booleans(), st.data())
def test_bounds_hold_for_any_decoding_in_blocks(tokens, block, prompt, ended, data):
    """Blocks of the whole text, first one shared with the prompt; each takes 1 to block + 1 forwards."""
    positions = tokens + (1 if ended and data.draw(st.booleans()) else 0)
    offset = data.draw(st.sampled_from([0, prompt % block]))
    blocks = -(-(offset + positions) // block)
    nfe = sum(data.draw(st.lists(st.integers(1, block + 1), min_size=blocks, max_size=blocks)))
    found = block_bounds(tokens, block, prompt=prompt, ended=ended)
    assert found.low <= nfe <= found.high
    unknown_prompt = block_bounds(tokens, block, prompt=None, ended=ended)
    assert unknown_prompt.low <= nfe <= unknown_prompt.high


def test_bounds_are_blocks_and_blocks_times_block_and_one():
    found = block_bounds(32, 8, prompt=16, ended=False)
    assert (found.kind, found.nfe, found.low, found.high) == ("bounds", None, 4, 4 * 9)
    assert block_bounds(None, 8, prompt=0, ended=False) == UNKNOWN
    assert block_bounds(32, None, prompt=0, ended=False) == UNKNOWN
    assert block_bounds(0, 8, prompt=0, ended=True) == UNKNOWN


def test_nothing_told_is_unknown_and_never_a_number():
    assert counted(None) == counted(0) == UNKNOWN
    assert (counted(4).kind, counted(4).nfe) == ("counted", 4)


def test_a_restarted_server_with_other_settings_gets_another_key(ask):
    first = sglang()
    params = {"threshold": 0.9, "block_length": 4}
    one = ask(first, params=params).fingerprint
    from decoders.served.facts import Facts

    base = {"engine": "sglang", "version": "1", "model": "m", "settings": {"a": 1}, "where": "u"}
    same = Facts(**base).fingerprint()
    for change in (
        {"version": "2"},
        {"model": "n"},
        {"settings": {"a": 2}},
        {"where": "v"},
        {"engine": "vllm"},
    ):
        assert Facts(**{**base, **change}).fingerprint() != same
    assert one != ask(sglang(dllm_algorithm="Joint"), params=params).fingerprint


def test_a_server_restarted_in_the_middle_of_a_run_has_no_answer_stored_under_the_old_key(ask):
    engine = sglang()

    def reply(number, body):
        if number == 2:
            engine.pages["/get_server_info"] = {**SGLANG, "version": "0.5.7"}
        return stream("text", usage={"prompt_tokens": 8, "completion_tokens": 12})

    engine.replies = reply
    found = ask(engine, 6, params={"threshold": 0.9, "block_length": 4}, concurrency=1).found
    assert [isinstance(found[key], Failed) for key in range(6)] == [False, False, True, True, True, True]
    assert "version '0.5.6' -> '0.5.7'; run again" in str(found[2].error)
    assert len(engine.asked) == 3
