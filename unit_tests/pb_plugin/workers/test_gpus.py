"""Which GPUs there are: what CUDA_VISIBLE_DEVICES names, else what the driver lists."""

import pytest

from pb_plugin.workers import gpus
from pb_plugin.workers.gpus import visible_gpus

TWO = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-7a4c)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-91be)
"""
SLICED = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-e9)
  MIG 3g.20gb     Device  0: (UUID: MIG-c7384736)
  MIG 3g.20gb     Device  1: (UUID: MIG-a28ad590)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-f0)
"""


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("0,1,2", ("0", "1", "2")),
        (" 3, 1 ", ("3", "1")),
        ("", ()),
        ("-1", ()),
        ("1,-1,2", ("1",)),
        ("0,0,1", ("0",)),
        ("GPU-7a4c,GPU-91be", ("GPU-7a4c", "GPU-91be")),
        ("MIG-c7384736,1", ("MIG-c7384736", "1")),
        ("MIG-GPU-e9/1/0", ("MIG-GPU-e9/1/0",)),
        ("NoDevFiles", ()),
    ],
)
def test_the_variable_says_which_as_cuda_reads_it(named, found):
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": named}, lambda: TWO) == found


@pytest.mark.parametrize(
    ("listed", "found"), [(TWO, ("0", "1")), (SLICED, ("MIG-c7384736", "MIG-a28ad590", "1")), ("", ())]
)
def test_without_it_the_driver_does_and_slices_replace_their_gpu(listed, found):
    assert visible_gpus({}, lambda: listed) == found


@pytest.mark.parametrize(
    ("body", "found"), [("echo 'GPU 0: Fake (UUID: GPU-1)'", ("0",)), ("echo no driver; exit 9", ())]
)
def test_the_driver_is_asked_by_its_own_command(tmp_path, monkeypatch, body, found):
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{body}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert visible_gpus({}) == found


def test_a_machine_without_driver_has_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus({}) == ()


def test_a_driver_that_hangs_has_none(tmp_path, monkeypatch):
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\nexec sleep 20\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(gpus, "LONGEST_S", 0.1)
    assert visible_gpus({}) == ()
