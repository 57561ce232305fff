"""``--pb-timing``: numbers in pytest-benchmark's file, from cells that are decoded alone and warm."""

import json

import pytest

pytest.importorskip("pytest_benchmark", reason="pytest-benchmark is not installed")

TIMED = ("--task", "copy,shuffle", "--unmasking", "random", "--k", "4,32", "--samples", "4", "--pb-timing")


def test_the_file_of_pytest_benchmark_has_tokens_per_second_and_step_latency(suite):
    result = suite.run(*TIMED, "--benchmark-json=timing.json")
    result.assert_outcomes(passed=4)
    found = json.loads(suite.pytester.path.joinpath("timing.json").read_text())["benchmarks"]
    by_cell = {entry["extra_info"]["cell"]: entry for entry in found}
    assert by_cell.keys() == {f"{task}-ideal-random-k{k}" for task in ("copy", "shuffle") for k in (4, 32)}
    for name, entry in by_cell.items():
        info, wall_s = entry["extra_info"], entry["stats"]["total"]
        assert entry["group"] == "ideal-" + name.partition("-")[0]
        assert entry["stats"]["rounds"] == 1
        records = [r for r in suite.records() if name == f"{r.parts['task']}-ideal-random-k{r.parts['k']}"]
        content = {record.decode_key: record.content_tokens for record in records}
        assert info["content_tokens"] == sum(content.values())
        assert info["forwards"] == {"k4": 8, "k32": 1}[name.rpartition("-")[2]]  # four rows in one batch
        assert info["tokens_per_second"] == pytest.approx(info["content_tokens"] / wall_s)
        assert info["step_latency_s"] == pytest.approx(wall_s / info["forwards"])


def test_every_cell_is_decoded_again_and_alone(suite):
    plain = [option for option in TIMED if option != "--pb-timing"]
    suite.run(*plain).assert_outcomes(passed=4)
    summary = suite.summary()
    n_before = len(suite.records())
    result = suite.run(*TIMED)
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["0 of 4 items reused; *"])
    assert len(suite.records()) > n_before
    assert suite.summary() == summary


def test_a_timed_model_that_cannot_be_loaded_is_one_reason(suite):
    result = suite.run(*TIMED, "--model", "llada=./nowhere")
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(["failed, 4 items: model llada=./nowhere: *"])


def test_a_timed_cell_that_fails_has_no_throughput(suite, monkeypatch):
    def broken(*arguments):
        raise ZeroDivisionError("half way")

    monkeypatch.setattr("decoders.models.ideal.Ideal.__call__", broken)
    result = suite.run(*TIMED, "--benchmark-json=timing.json")
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["failed, 4 items: 4 of 4 samples failed (model_error); *"])
    for entry in json.loads(suite.pytester.path.joinpath("timing.json").read_text())["benchmarks"]:
        assert entry["extra_info"]["content_tokens"] == 0
        assert entry["extra_info"]["tokens_per_second"] is None


def test_several_batch_sizes_are_measured_one_after_the_other(suite, loaded_libraries):
    options = ["--task=copy", "--unmasking=random", "--k=4", "--samples=4", "--model=tiny", "--pb-timing"]
    options += ["--pb-batch=1,3"]
    result = suite.run(*options, "--benchmark-json=timing.json")
    result.assert_outcomes(passed=1)
    (entry,) = json.loads(suite.pytester.path.joinpath("timing.json").read_text())["benchmarks"]
    alone, three = entry["extra_info"]["batches"]
    assert (alone["batch"], alone["rows_per_forward"], alone["differ"]) == (1, 1.0, 0)
    assert (three["batch"], three["differ"]) == (3, 0)
    assert (alone["forwards"], three["forwards"]) == (32, 16)  # 4 samples in 8 steps each
    assert three["rows_per_forward"] == 2.0
    for one in (alone, three):
        assert one["tokens_per_second"] == pytest.approx(
            one["content_tokens"] / (one["seconds_per_sample"] * 4)
        )
        assert one["step_latency_s"] == pytest.approx(one["seconds_per_sample"] * 4 / one["forwards"])
        assert one["peak_bytes"] is None or one["peak_bytes"] > 2**20
    assert entry["extra_info"]["tokens_per_second"] == alone["tokens_per_second"]
    assert entry["stats"]["total"] == pytest.approx(4 * alone["seconds_per_sample"])
    lines = ["throughput * batch *", "copy-tiny-random-k4 * 1 * 1.0 *", "copy-tiny-random-k4 * 3 * 2.0 *"]
    computed = "computed with: tiny on * in float32, * attention, TF32 off, not compiled, torch *"
    result.stdout.fnmatch_lines([*lines, computed])
