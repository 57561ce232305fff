"""What a run measured of its machine goes into a file of its own and comes back, or is refused."""

import shutil
from pathlib import Path

import pytest

import decoders
from decoders.models import load
from decoders.traits import Numerics
from pb_plugin.measuring import measured
from pb_plugin.measuring.measured import Measured, from_plain, to_plain
from pb_plugin.measuring.throughput import Throughput
from pb_plugin.report.terminal import measured_lines

CARD = Numerics(
    device="Acme 1", dtype="bfloat16", attention="efficient", tf32=False, compiled=True, torch="2.13.0"
)
FAST = Throughput(
    cell="copy-tiny-confidence-k4",
    batch=8,
    rows_per_forward=7.5,
    forwards=16,
    content_tokens=120,
    tokens_per_second=60.0,
    seconds_per_sample=0.125,
    step_latency_s=0.125,
    peak_bytes=300 * 2**20,
    differ=1,
)
FOUND = Measured(numerics=(("llada", CARD),), throughput=(FAST,))


def test_it_is_written_and_read_again(tmp_path):
    run = tmp_path / "runs" / "a.json"
    assert measured.load(tmp_path, run) == Measured()
    measured.save(Measured(), tmp_path, run)
    assert not list(tmp_path.rglob("*.json"))
    measured.save(FOUND, tmp_path, run)
    assert measured.load(tmp_path, run) == FOUND
    assert from_plain(to_plain(FOUND)) == FOUND


def test_workers_on_one_kind_of_machine_are_told_once():
    both = FOUND + FOUND
    assert both == Measured(numerics=FOUND.numerics, throughput=(FAST, FAST))


def test_people_read_a_table_and_a_line():
    assert measured_lines(FOUND) == [
        "throughput               batch  rows/forward  tokens/s  s/sample  peak MiB  differ",
        "copy-tiny-confidence-k4      8           7.5      60.0    0.1250       300       1",
        "",
        "computed with: llada on Acme 1 in bfloat16, efficient attention, TF32 off, compiled, torch 2.13.0",
    ]
    assert measured_lines(Measured()) == []


def test_a_checkpoint_of_the_hub_says_its_commit(tmp_path, loaded_libraries):
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = tmp_path / "models--owner--tiny" / "snapshots" / commit
    shutil.copytree(Path(decoders.__file__).with_name("checkpoints") / "tiny", folder)
    numerics = load("tiny", str(folder), device="cpu").numerics
    assert numerics.commit == commit
    (line,) = measured_lines(Measured(numerics=(("tiny", numerics),)))
    assert line.startswith("computed with: tiny at commit 0123456789ab on cpu in float32, ")


@pytest.mark.parametrize(
    "text", ["{", '{"numerics": 3, "throughput": []}', "[" * 10_000], ids=["cut", "of a wrong type", "deep"]
)
def test_a_damaged_file_is_named(tmp_path, text):
    path = tmp_path / measured.FOLDER / "a.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(
        ValueError, match=r"a\.json: not what a run measured \(.*\); delete it: no record is lost"
    ):
        measured.load(tmp_path, tmp_path / "runs" / "a.json")
