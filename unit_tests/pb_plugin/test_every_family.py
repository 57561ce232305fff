"""Every family of models runs through the plugin on a small genuine checkpoint, to the records."""

from pathlib import Path

import pytest

from decoders.fingerprint import checkpoint_hash
from pb_plugin.asking.models import ModelHandle
from pb_plugin.planning.option_grammar import parse_model
from pb_plugin.planning.registry import BUILTIN, GENERATORS, MODELS

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINTS = ROOT / ".." / "shared" / "golden" / "checkpoints"

DENOISERS = {
    "llada": "llada",
    "dream": "dream",
    "llada-moe": "llada_moe",
    "llada2": "llada2",
    "sdar": "sdar",
    "fast-dllm-v2": "fast_dllm_v2",
    "stable-diffcoder": "stable_diffcoder",
    "sedd": "sedd_absorb",
}
OWNERS = {
    "sedd-absorb": ("sedd_absorb", "native:steps=4,8"),
    "sedd-uniform": ("sedd_uniform", "native:steps=4;predictor=euler"),
    "llada2.1": ("llada2", "native:threshold=0.5,0.9"),
}

pytestmark = pytest.mark.usefixtures("loaded_libraries")

needs_checkpoints = pytest.mark.skipif(
    not CHECKPOINTS.is_dir(), reason="the golden checkpoints are development data not present here"
)


FEW = ("--unmasking", "confidence", "--unmasking", "threshold:gamma=0.9", "--k", "8,32")


def selected(model, folder):
    chosen = (str(ROOT / "bench_tests"), "-k", "shuffle", "--samples", "3")
    return (*chosen, "--model", f"{model}={CHECKPOINTS / folder}")


def test_no_family_is_left_out():
    ours = {point for group in (MODELS, GENERATORS) for point in BUILTIN[group].values()}
    named = {**BUILTIN[MODELS], **BUILTIN[GENERATORS]}
    tested = {named[model] for model in (*DENOISERS, *OWNERS)}
    elsewhere = {
        "decoders.models.apd:load",
        "decoders.models.autoregressive:load",
        "decoders.models.diffusion_gemma:load",
        "decoders.models.ideal:load",
        "decoders.models.remote:load",
        "decoders.models.sdar_moe:load",
        "decoders.models.sedd.tiny:load",
        "decoders.models.tiny:load",
    }
    assert ours - tested == elsewhere, "these have no golden checkpoint"


@needs_checkpoints
@pytest.mark.slow
@pytest.mark.parametrize("model", DENOISERS)
def test_a_family_of_denoisers_runs_to_the_end(suite, model):
    result = suite.run(*selected(model, DENOISERS[model]), *FEW)
    result.assert_outcomes(passed=3, deselected=48)
    result.stdout.fnmatch_lines(["batch check: 0 of 8 rows differ when decoded alone"])
    records = suite.records()
    assert len(records) == 3 * 3
    for record in records:
        assert not record.failed
        assert record.canvas_tokens == len(record.ids) == 32
        assert len(record.commit_step) == 32
        assert min(record.commit_step) == 0


@needs_checkpoints
@pytest.mark.slow
@pytest.mark.parametrize("model", OWNERS)
def test_a_family_that_owns_its_loop_runs_to_the_end(suite, model):
    folder, native = OWNERS[model]
    n_settings = native.count(",") + 1
    result = suite.run(*selected(model, folder), "--unmasking", native)
    result.assert_outcomes(passed=n_settings, deselected=16 * n_settings)
    result.stdout.no_fnmatch_line("batch check: *")
    records = suite.records()
    assert len(records) == 3 * n_settings
    assert not [record.error for record in records if record.failed]
    assert {record.parts["method"] for record in records} == {"native"}


@needs_checkpoints
@pytest.mark.parametrize(
    ("model", "folder"), [*DENOISERS.items(), *((model, folder) for model, (folder, _) in OWNERS.items())]
)
def test_the_fingerprint_of_a_family_is_that_of_its_files_and_loads_nothing(model, folder):
    source = CHECKPOINTS / folder
    handle = ModelHandle(
        parse_model(f"{model}={source}"), dtype=None, device=None, vocabulary=(), max_rows=None
    )
    assert handle.fingerprint == checkpoint_hash(source)
    assert len(handle.code) == 64
    assert not handle.loaded
