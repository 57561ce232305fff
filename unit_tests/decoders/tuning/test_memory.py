"""What a training needs is told before it is begun."""

import shutil
from dataclasses import replace

import pytest
import torch

from decoders.tuning import memory
from decoders.tuning.memory import GIB, Size, check_fits

LLADA = Size(
    frozen=8_000_000_000,
    trained=100_000_000,
    bytes_each=2,
    layers=32,
    width=4096,
    vocabulary=126_464,
    tokens=32 * 200,
    hidden=32 * 32,
    checkpointed=False,
    precision=torch.bfloat16,
)


def test_the_estimate_is_weights_optimizer_outputs_and_logits():
    assert LLADA.bytes == (16_000_000_000 + 100_000_000 * 16 + 6400 * 4096 * 32 * 34 + 12 * 1024 * 126_464)
    wide = replace(LLADA, precision=torch.float32)
    assert wide.bytes - LLADA.bytes == 6400 * 4096 * 32 * 34


def test_computing_layers_twice_needs_less():
    again = replace(LLADA, checkpointed=True)
    assert LLADA.bytes - again.bytes == 6400 * 4096 * (32 * 32 - 34)


def test_what_does_not_fit_is_refused_with_both_numbers(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "free_memory", lambda device: 24 * GIB)
    with pytest.raises(ValueError, match="must fit") as caught:
        check_fits(LLADA, torch.device("cuda"), tmp_path)
    assert str(caught.value) == (
        "the training must fit into the free memory of cuda, got about 44.4 GiB needed and 24.0 GiB free "
        "(100,000,000 of 8,100,000,000 numbers trained, 6,400 positions at once); raise accumulation, set "
        "gradient_checkpointing, or train adapters instead of all weights"
    )


def test_a_full_disk_is_refused_before_anything_is_written(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "free_memory", lambda device: None)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 2 * GIB))
    with pytest.raises(
        ValueError, match=r"must fit onto the disk of .*new, got about 17.3 GiB needed and 2.0"
    ):
        check_fits(LLADA, torch.device("cpu"), tmp_path / "new")


def test_what_fits_is_taken(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "free_memory", lambda device: 80 * GIB)
    small = replace(LLADA, frozen=1000, trained=1000, tokens=1, hidden=1)
    check_fits(small, torch.device("cpu"), tmp_path)


def test_this_machine_tells_what_is_free():
    free = memory.free_memory(torch.device("cpu"))
    assert free is None or free > 0
