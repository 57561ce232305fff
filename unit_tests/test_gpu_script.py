"""The script for a GPU runs whole on a CPU with a small network, and what it tells can be checked by hand."""

import importlib.util
import sys

import pytest
import torch

from decoders.rows import Decoded
from unit_tests.pages import ROOT

SMALL = ["--layers=1", "--width=128", "--vocabulary=300", "--device=cpu", "--most-rows=2"]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("gpu_script", ROOT / "bench_tests" / "gpu.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_it_runs_on_a_cpu_and_finds_all_tokens_equal(script, capsys):
    with torch.inference_mode():
        script.main(SMALL)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1 layers x 128, 300 tokens, bfloat16, ")
    assert "our loop at batch 1 and the plain one: 2 of 2 rows equal" in lines
    first = lines.index(script.HEADER)
    alone, two = (line.split() for line in lines[first + 1 : first + 3])
    assert (alone[0], alone[-1]) == ("1", "1/1")
    assert (two[0], two[-1]) == ("2", "2/2")
    assert float(two[1]) > 0.0
    assert "the same batch twice: equal" in lines
    assert "tiny in float32: 32 of 32 records equal on cpu and the CPU" in lines


@pytest.mark.slow
def test_no_batch_is_begun_that_would_end_too_late(script, capsys):
    with torch.inference_mode():
        script.main([*SMALL, "--seconds", "0"])
    assert "batch 1: left out, it would end after 0 s" in capsys.readouterr().out.splitlines()


def test_the_work_of_a_network_is_that_of_its_weights_and_of_attention(script):
    """One layer of width 2 and inner width 6 has 16 + 36 weights, a head of 10 tokens 20."""
    shape = script.Shape(layers=1, width=2, inner=6, heads=1, vocabulary=10)
    length, queried = 256, 64 + 48 + 32 + 16
    operations, moved = shape.work(1)
    assert operations == 4 * (2 * length * 52 + 4 * length**2 * 2) + 2 * queried * 20
    assert moved == 2 * 4 * (52 + 20) + 4 * queried * 10


def test_memory_that_is_full_is_seen_by_the_rows_of_a_forward(script, monkeypatch):
    with torch.inference_mode():
        model = script.make(
            script.Shape(layers=1, width=128, inner=128, heads=1, vocabulary=300),
            torch.device("cpu"),
            compiled=False,
        )
        real = type(model).__call__

        def short(self, canvas, *rest):
            if len(canvas) > 2:
                raise torch.OutOfMemoryError("full")
            return real(self, canvas, *rest)

        monkeypatch.setattr(type(model), "__call__", short)
        found, most = script.decoded(model, script.questions(model, 4), 4)
    assert most == 2
    assert all(isinstance(outcome, Decoded) for outcome in found)
