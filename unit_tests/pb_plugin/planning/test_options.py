"""The table of options, and how it is added to pytest and read."""

import dataclasses
import re
import types
from pathlib import Path

import pytest

from decoders.rows import CACHES
from decoders.served.options import SpendLimits
from pb_plugin.planning.limits import Limits
from pb_plugin.planning.option_grammar import Shard
from pb_plugin.planning.options import TABLE, Options, add_options, read_options, read_value

pytest_plugins = ["pytester"]

PROBE = """
from pb_plugin.planning.options import add_options, read_options
import pytest

def pytest_addoption(parser):
    add_options(parser)

def pytest_report_header(config):
    return f"read: {read_options(config)!r}"
"""

CODE = "owner/name@0123456789abcdef0123456789abcdef01234567"
ROWS = {row.field: row for row in TABLE}


@pytest.fixture(autouse=True)
def _only_our_options_once(monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def test_the_caches_are_those_of_the_loop():
    assert ROWS["cache"].choices == CACHES


@pytest.fixture
def read(pytester):
    """Run pytest's own parser over arguments and a configuration file, and return what is read."""

    def run(*args, toml=""):
        pytester.makefile(".toml", pyproject=f"[tool.pytest]\n{toml}")
        return read_options(pytester.parseconfig(*args))

    pytester.plugins = [types.SimpleNamespace(pytest_addoption=add_options)]
    return run


def test_the_table_and_the_dataclass_have_the_same_fields():
    assert len({row.field for row in TABLE}) == len(TABLE)
    assert {row.field for row in TABLE} == {field.name for field in dataclasses.fields(Options)}


def test_selectors_have_plain_names_and_the_rest_starts_with_pb():
    plain = {row.flag for row in TABLE if not row.flag.startswith("--pb-")}
    assert plain == {"--model", "--task", "--unmasking", "--k", "--block-length", "--samples", "--seed"}
    assert {row.ini for row in TABLE} == {f"pb_{row.field}" for row in TABLE}


def test_nothing_given_gives_the_defaults_with_the_store_under_the_root(read, pytester):
    assert read() == Options(store=pytester.path / ".pb")


def test_every_option_is_read_from_the_command_line(read, pytester):
    options = read(
        *["--model", "ideal", "--model", "llada=x@1,dream"],
        *["--task", "shuffle:n=15", "--task=copy,sort"],
        *["--unmasking", "threshold:gamma=0.8,0.9", "--unmasking", "random"],
        *["--k", "1,2", "--k", "4", "-k", "shuffle", "--block-length", "8,16"],
        *[
            "--samples",
            "10",
            "--seed",
            "3,4",
            "--pb-store",
            "s",
            "--pb-fresh",
            "--pb-data",
            "../d",
            "--pb-trace",
        ],
        *["--pb-gate", "PB80>=4", "--pb-gate", "lo(PB80)>=2", "--pb-floor", "copy=0.9"],
        *["--pb-save-baseline", "new.json", "--pb-baseline", "old.json", "--pb-gate-strict"],
        *["--pb-gate-at", "PB90(content)", "--pb-margin", "2.5"],
        *["--pb-save-baseline", "new.json", "--pb-baseline", "old.json", "--pb-gate-strict"],
        *["--pb-gate-at", "PB90(content)", "--pb-margin", "2.5"],
        *["--pb-batch", "1", "--pb-sweep", "isolated", "--pb-timing", "--pb-temperature", "0,0.5"],
        *["--pb-cache", "dual", "--pb-grammar", "none", "--pb-bertscore", "x@3"],
        *["--pb-timeout", "60,600", "--pb-keep-failures"],
        *["--pb-dtype", "bfloat16", "--pb-device", "cuda:1", "--pb-compile"],
        *[
            "--pb-concurrency",
            "4",
            "--pb-budget",
            "requests=9,usd=0.5",
            "--pb-prices",
            "p",
            "--pb-tokenizer",
            "t",
        ],
        *["--pb-allow-remote-code", CODE, "--pb-allow-remote-code", f" {CODE} "],
        *["--pb-shard", "2/8", "--pb-workers-per-gpu", "2", "--pb-device-map", "auto"],
        *["--pb-engine", "ray", "--pb-ray-address", "auto", "--pb-ray-workers", "4"],
    )
    assert options == Options(
        model=("ideal", "llada=x@1", "dream"),
        task=("shuffle:n=15", "copy", "sort"),
        unmasking=("threshold:gamma=0.8,0.9", "random"),
        k=(1, 2, 4),
        block_length=(8, 16),
        samples=10,
        seed=(3, 4),
        temperature=(0.0, 0.5),
        store=pytester.path / "s",
        fresh=True,
        data=pytester.path.parent / "d",
        gate=("PB80>=4", "lo(PB80)>=2"),
        save_baseline=pytester.path / "new.json",
        baseline=pytester.path / "old.json",
        gate_at=(90.0, "content"),
        margin=2.5,
        gate_strict=True,
        trace=True,
        floor=(("copy", 0.9),),
        batch=(1,),
        sweep="isolated",
        timeout=Limits(forward=60.0, sample=600.0),
        keep_failures=True,
        timing=True,
        cache="dual",
        grammar="none",
        bertscore="x@3",
        dtype="bfloat16",
        device="cuda:1",
        compile=True,
        allow_remote_code=(CODE, CODE),
        concurrency=4,
        budget=SpendLimits(requests=9, usd=0.5),
        prices=pytester.path / "p",
        tokenizer=pytester.path / "t",
        shard=Shard(2, 8),
        workers_per_gpu=2,
        device_map="auto",
        engine="ray",
        ray_address="auto",
        ray_workers=4,
    )


def test_every_option_has_a_twin_in_the_configuration_and_the_command_line_wins(read, pytester):
    toml = """
pb_model = ["llada"]
pb_task = ["copy"]
pb_unmasking = ["threshold:gamma=0.8,0.9", "random"]
pb_k = ["1,2", "4"]
pb_block_length = ["8"]
pb_samples = 10
pb_seed = ["3"]
pb_temperature = ["0.5"]
pb_store = "s"
pb_fresh = true
pb_data = "d"
pb_gate = ["PB80>=4"]
pb_save_baseline = "new.json"
pb_baseline = "old.json"
pb_gate_at = "PB75"
pb_margin = "0.5"
pb_gate_strict = true
pb_html = "report.html"
pb_trace = true
pb_floor = ["copy=0.9"]
pb_batch = "2"
pb_sweep = "isolated"
pb_share = "off"
pb_timeout = "60"
pb_keep_failures = true
pb_timing = true
pb_cache = "prefix"
pb_grammar = "later"
pb_bertscore = "roberta-large"
pb_dtype = "float32"
pb_device = "cpu"
pb_compile = true
pb_allow_remote_code = ["owner/name@0123456789abcdef0123456789abcdef01234567"]
pb_concurrency = 4
pb_budget = "usd=2"
pb_prices = "prices.yaml"
pb_tokenizer = "folder"
pb_shard = "1/1"
pb_gpus_per_worker = 1
pb_workers_per_gpu = 3
pb_device_map = "auto"
pb_engine = "local"
pb_ray_address = "host:6379"
pb_ray_workers = 2
"""
    options = read("--k", "8", "--samples", "20", toml=toml)
    assert options == Options(
        model=("llada",),
        task=("copy",),
        unmasking=("threshold:gamma=0.8,0.9", "random"),
        k=(8,),
        block_length=(8,),
        samples=20,
        seed=(3,),
        temperature=(0.5,),
        store=pytester.path / "s",
        fresh=True,
        data=pytester.path / "d",
        gate=("PB80>=4",),
        save_baseline=pytester.path / "new.json",
        baseline=pytester.path / "old.json",
        gate_at=(75.0, "canvas"),
        margin=0.5,
        gate_strict=True,
        html=pytester.path / "report.html",
        trace=True,
        floor=(("copy", 0.9),),
        batch=(2,),
        sweep="isolated",
        share="off",
        timeout=Limits(forward=60.0, sample=48 * 60.0),
        keep_failures=True,
        timing=True,
        cache="prefix",
        grammar="later",
        bertscore="roberta-large",
        dtype="float32",
        device="cpu",
        compile=True,
        allow_remote_code=(CODE,),
        concurrency=4,
        budget=SpendLimits(usd=2.0),
        prices=pytester.path / "prices.yaml",
        tokenizer=pytester.path / "folder",
        shard=Shard(1, 1),
        gpus_per_worker=1,
        workers_per_gpu=3,
        device_map="auto",
        engine="local",
        ray_address="host:6379",
        ray_workers=2,
    )
    assert len(toml.split("\n")) - 2 == len(TABLE)


def test_an_empty_list_in_the_configuration_means_the_default(read):
    assert read(toml="pb_model = []").model == ("ideal",)


def test_paths_of_the_configuration_are_relative_to_its_file(read, pytester, monkeypatch):
    inner = pytester.mkdir("inner")
    monkeypatch.chdir(inner)
    args = ["-c", str(pytester.path / "pyproject.toml"), "--pb-store", "s"]
    options = read(*args, toml='pb_data = "d"')
    assert (options.store, options.data) == (inner / "s", pytester.path / "d")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--k", "1,x"], r"--k must be a whole number of at least 1, got 'x'"),
        (["--k", "0"], r"--k must be a whole number of at least 1, got '0'"),
        (["--samples", "0"], r"--samples must be a whole number of at least 1, got '0'"),
        (["--seed", "-1"], r"--seed must be a whole number of at least 0, got '-1'"),
        (["--pb-batch", "many"], r"--pb-batch must be a whole number of at least 1, got 'many'"),
        (["--pb-batch", "8,1,8", "--pb-timing"], r"--pb-batch must give each size once, got '8,1,8'; remove"),
        (
            ["--pb-batch", "1,8"],
            r"--pb-batch must be one size without --pb-timing, .*, got 1,8; name one",
        ),
        (["--block-length", "8,"], r"--block-length must be a list without empty items, got '8,'"),
        (["--pb-temperature", "-1"], r"--pb-temperature must be a number of at least 0, got '-1'"),
        (["--pb-floor", "copy=2"], r"--pb-floor copy must be a number in \[0, 1\], got '2'"),
        (["--pb-sweep", "all"], r"--pb-sweep must be one of group, isolated, gate, got 'all'; leave it out"),
        (["--pb-dtype", "int8"], r"--pb-dtype must be one of float32, bfloat16, got 'int8'"),
        (
            ["--pb-timeout", "soon"],
            r"--pb-timeout must be SECONDS for a forward, or FORWARD,SAMPLE, above 0, got 's",
        ),
        (
            ["--pb-timeout", "0"],
            r"--pb-timeout must be SECONDS for a forward, .*, got '0'; such as 1800, or inf",
        ),
        (["--pb-timeout", "1,2,3"], r"--pb-timeout must be SECONDS for a forward, .*, got '1,2,3'"),
        (["--pb-timeout", "nan"], r"--pb-timeout must be SECONDS for a forward, .*, got 'nan'"),
        (
            ["--pb-timeout", "9,3"],
            r"--pb-timeout must give a sample at least the time of a forward, got '9,3'",
        ),
        (["--pb-device", " "], r"--pb-device must be not empty, got ' '; leave the option out"),
        (["--pb-store", ""], r"--pb-store must be not empty, got ''"),
        (["--pb-gate", ""], r"--pb-gate must be not empty, got ''"),
        (
            ["--pb-allow-remote-code", "owner/name@main"],
            r"--pb-allow-remote-code must end in a full commit .*, got 'owner/name@main'; the code behind",
        ),
        (
            ["--pb-shard", "0/4"],
            r"--pb-shard must be i/n with 1 <= i <= n, got '0/4'; the first",
        ),
        (["--pb-shard", "5/4"], r"--pb-shard must be i/n with 1 <= i <= n, got '5/4'"),
        (["--pb-shard", "2"], r"--pb-shard must be i/n with 1 <= i <= n, got '2'"),
        (
            ["--pb-workers-per-gpu", "0"],
            r"--pb-workers-per-gpu must be a whole number of at least 1, got",
        ),
        (["--pb-device-map", "even"], r"--pb-device-map must be one of auto, got 'even'"),
        (["--model", "a,a"], r"--model must be a list without repetitions, got 'a' twice"),
    ],
)
def test_a_bad_value_names_option_rule_value_and_cure(read, args, message):
    with pytest.raises(ValueError, match=message):
        read(*[f"{args[0]}={args[1]}"])


def test_a_worker_has_several_gpus_or_shares_one(read):
    said = r"--pb-gpus-per-worker must be 1 where workers share a GPU, got 4 with --pb-workers-per-gpu 2; "
    with pytest.raises(ValueError, match=said):
        read("--pb-workers-per-gpu=2", "--pb-gpus-per-worker=4")


def test_a_bad_value_of_the_configuration_names_its_key(read):
    with pytest.raises(ValueError, match=r"pb_k must be a whole number of at least 1, got 'x'"):
        read(toml='pb_k = ["x"]')


def test_a_home_folder_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_value(ROWS["store"], "~/x", name="--pb-store", folder=Path("/a")) == tmp_path / "x"


def test_the_help_shows_every_option_and_its_default(pytester):
    pytester.makeconftest(PROBE)
    output = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--help").stdout.str()
    for row in TABLE:
        assert re.search(rf"^\s+{row.flag}\b", output, re.MULTILINE), row.flag
        assert row.kind in {"flag", "lines"} or "Default:" in row.help, row.flag
        assert row.ini in output


def test_the_number_types_offered_are_those_that_loading_takes():
    from decoders.loading.checkpoint import DTYPES

    (row,) = [row for row in TABLE if row.field == "dtype"]
    assert row.choices == tuple(DTYPES)
