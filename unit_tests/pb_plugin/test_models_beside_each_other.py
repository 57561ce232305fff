"""The paper's comparison end to end: an autoregressive model beside `ideal`, longer lists, thinking aloud."""

import json

import pytest

from pb_plugin.cli import main
from pb_plugin.results.suites import SUITES
from task_specs.load import load_samples
from task_specs.spec import builtin_spec

AR = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "vocab_size": 320,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "hidden_act": "silu",
    "eos_token_id": 300,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
}
"""A random network without a tokenizer, which is fed bytes."""


@pytest.fixture(scope="module")
def ar(tmp_path_factory, loaded_libraries):
    import torch
    from safetensors.torch import save_file
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("ar")
    save_file(Qwen2ForCausalLM(Qwen2Config(**AR)).state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(AR), encoding="utf-8")
    return folder


def tasks(*texts):
    return [part for text in texts for part in ("--task", text)]


def comparison(suite, capsys, *arguments):
    capsys.readouterr()
    assert main(["report", str(suite.store), "--layout", "comparison", "--json", *arguments]) == 0
    found = json.loads(capsys.readouterr().out)
    return {table["title"]: table for table in found["tables"]}, found["chain_of_thought"]


def test_an_autoregressive_model_beside_ideal(suite, ar, capsys):
    """Of `ideal` k = 2, of `ar` its only setting with one token per step; a random network is never right."""
    result = suite.run(
        *("--model", "ideal", "--model", f"ar={ar}", "--samples", "1", "--pb-device", "cpu"),
        *tasks("reverse:n=15", "shuffle:n=5,15", "latin_square"),
        *("--unmasking", "confidence", "--unmasking", "native", "--k", "2,16"),
    )
    assert result.ret == 0, result.outlines[-20:]
    tables, _ = comparison(suite, capsys)
    assert list(tables) == ["Waiting line, n = 15", "Puzzles", "Shuffle by number of people"]
    lines = {line["label"]: line for line in tables["Waiting line, n = 15"]["lines"]}
    assert list(lines) == ["ar-native[default]", "ideal-confidence[k=2]"]
    assert lines["ideal-confidence[k=2]"]["entries"][2]["value"] == 100.0
    assert [lines["ar-native[default]"]["entries"][at]["value"] for at in (2, 3)] == [0.0] * 2
    assert [lines[label]["tps"] for label in lines] == [[1.0, 1.0], [2.0, 2.0]]
    tables, _ = comparison(suite, capsys, "--at", "k=16", "--curve", "ideal-confidence")
    assert [line["label"] for line in tables["Puzzles"]["lines"]] == ["ideal-confidence[k=16]"]


def test_a_chain_of_thought_beside_its_question(suite, capsys):
    """`ideal` writes the marker and the answer, so thinking costs the marker's tokens and gains nothing."""
    chosen = ("--unmasking", "confidence", "--k", "8", "--samples", "2")
    suite.run(*tasks("reverse", "reverse:cot=true"), *chosen)
    _, (thought,) = comparison(suite, capsys)
    assert (thought["task"], thought["plain"], thought["cot"], thought["gain"]) == (
        "reverse",
        100.0,
        100.0,
        0.0,
    )
    assert thought["cot_tokens"] > thought["plain_tokens"] > 0
    assert thought["plain_per_token"] > thought["cot_per_token"]


def released_layout(folder, n):
    """Write our own lists of *n* people in the layout of the published files; return the folder."""
    group = folder / f"waiting_line_n{n}"
    group.mkdir(parents=True)
    prompts = {}
    for task in SUITES["waiting_line"]:
        lines = []
        for sample in load_samples(builtin_spec(task, {"n": n, "samples": 2})):
            facts, shown = sample.facts, {"context": json.dumps(sample.facts["items"])}
            shown |= {name: facts[name] for name in ("word", "index") if name in facts}
            answer = sample.example
            if task.endswith("_random") or task == "shuffle":
                answer = {"input": facts["items"], "example": answer} | (
                    {"word": facts["word"]} if "word" in facts else {}
                )
            lines.append({"input": shown, "answer": answer, "metadata": {"length": n}})
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (group / f"{task}.jsonl").write_text(text, encoding="utf-8")
        prompts[f"waiting_line_n{n}/{task}"] = {"prompt": "{context}"}
    (group / "task_config.yaml").write_text(json.dumps(prompts), encoding="utf-8")
    return folder


@pytest.mark.parametrize("source", ["own", "released"])
def test_the_suite_of_15_people_has_a_pbx(suite, tmp_path, capsys, source):
    data = ("--pb-data", str(released_layout(tmp_path / "data", 15))) if source == "released" else ()
    chosen = ("--task", "waiting_line_n15", "--unmasking", "confidence", "--k", "32,128", "--samples", "1")
    result = suite.run(*chosen, *data, "--pb-gate", "waiting_line_n15:PB1>=32")
    result.assert_outcomes(passed=21)
    assert {record.parts["data_source"] for record in suite.records()} == {source}
    result.stdout.fnmatch_lines(["suite waiting_line_n15*PB90 canvas*", "ideal-confidence *"])
    capsys.readouterr()
    main(["report", str(suite.store), "--json"])
    (curve,) = json.loads(capsys.readouterr().out)["summary"]["curves"]
    assert curve["suites"]["waiting_line_n15"]["reason"] is None
    assert curve["suites"]["waiting_line"]["reason"].startswith("not measured: copy")


def test_lists_of_5_to_20_run_on_ideal_and_longer_ones_are_refused(suite):
    chosen = ("--unmasking", "random", "--k", "16", "--samples", "2")
    suite.run(*tasks("shuffle:n=5,20", "reverse:n=5,20"), *chosen).assert_outcomes(passed=4)
    assert {r.parts["canvas"] for r in suite.records()} == {32, 128}
    refused = suite.run("--task", "shuffle:n=21")
    refused.stderr.fnmatch_lines(["*n of task shuffle must be a whole number from 2 to 20, got '21'*"])
