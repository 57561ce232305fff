"""What torch finds here, how GPUs are named where there are some, and what becomes of freed memory."""

import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from decoders import devices
from decoders.devices import machine
from decoders.loop.batching import decode
from decoders.protocols import ModelRequest
from decoders.testing.hash_denoiser import HashDenoiser
from decoders.unmasking.threshold import Threshold


def test_the_cpu_is_always_there_with_its_threads():
    found = machine()
    assert found.version == torch.__version__
    assert found.devices[-1] == "cpu"
    assert found.threads == torch.get_num_threads()


def test_gpus_come_first_with_name_and_memory(monkeypatch):
    cards = [
        SimpleNamespace(name="Acme 1", total_memory=80 * 2**30),
        SimpleNamespace(name="B", total_memory=2**30),
    ]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(cards))
    monkeypatch.setattr(torch.cuda, "get_device_properties", cards.__getitem__)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert machine().devices == ("cuda:0 (Acme 1, 80 GiB)", "cuda:1 (B, 1 GiB)", "mps", "cpu")


FAULTS = '''
import resource
import torch
from decoders.devices import keep_freed_memory, release
torch.set_num_threads(1)
def forward():
    for size in (1, 3, 5, 7):
        found = [torch.ones(size << 18) for _ in range(8)]
        del found
def page_faults(between=lambda: None):
    """Return how many pages ten rounds of blocks of 1 to 7 MB took anew from the system."""
    for _ in range(3):
        forward()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        forward()
        between()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(page_faults())
keep_freed_memory()
print(page_faults())
print(page_faults(lambda: release(torch.device("cpu"))))
'''


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_freed_memory_is_kept_for_the_next_forward_until_it_is_released():
    told = subprocess.run([sys.executable, "-c", FAULTS], check=True, capture_output=True, text=True).stdout
    usual, kept, released = map(int, told.split())
    assert kept < usual / 10
    assert released > usual / 10


def test_every_sweep_asks_for_it(monkeypatch):
    asked = []
    monkeypatch.setattr("decoders.loop.batching.keep_freed_memory", lambda: asked.append(True))
    decode(HashDenoiser(), [[2]], Threshold(gamma=0.9), gen_length=4)
    assert asked == [True]


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(devices.ctypes, "CDLL", lambda name: pytest.fail("no library is asked"))
    devices.keep_freed_memory.__wrapped__()
    devices.release(torch.device("cpu"))


def test_the_kernel_of_attention_is_one_that_torch_has_or_the_plain_one():
    cpu = torch.device("cpu")
    assert devices.attention_kernel(4, 16, torch.float32, cpu) == "flash"
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert devices.attention_kernel(4, 16, torch.float32, cpu) == "math"


def test_tf32_is_off_wherever_a_device_is_chosen(monkeypatch):
    from decoders.loading.checkpoint import choose_device

    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        assert choose_device(ModelRequest(name="m", device="cpu")) == torch.device("cpu")
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cuda.matmul.allow_tf32
        assert not torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision(precision)


def test_what_goes_to_a_gpu_goes_from_pinned_memory_without_waiting(monkeypatch):
    made, told = torch.arange(3), []
    monkeypatch.setattr(torch, "tensor", lambda values, dtype: made)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: told.append("pinned") or self)
    monkeypatch.setattr(
        torch.Tensor, "to", lambda self, device, **how: told.append((str(device), how)) or self
    )
    assert devices.placed([0, 1, 2], "cuda:1") is made
    assert devices.placed([0, 1, 2], torch.device("cpu")) is made
    assert told == ["pinned", ("cuda:1", {"non_blocking": True}), ("cpu", {})]


@pytest.mark.skipif(not devices.PROCESS.is_dir(), reason="only Linux tells the peak of a process")
def test_the_peak_of_a_process_is_that_since_the_start():
    peak = devices.PeakMemory("cpu")
    peak.start()
    before = peak.most()
    held = torch.ones(2**26)  # 256 MB
    del held
    assert peak.most() - before > 200 * 2**20
    peak.start()
    assert peak.most() - before < 100 * 2**20


def test_elsewhere_nobody_knows_the_peak(monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "PROCESS", tmp_path / "none")
    peak = devices.PeakMemory("cpu")
    peak.start()
    assert peak.most() is None


def test_on_a_gpu_the_peak_is_that_of_tensors(monkeypatch):
    told = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: told.append(str(device)))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 7)
    peak = devices.PeakMemory("cuda:1")
    peak.start()
    assert (peak.most(), told) == (7, ["cuda:1"])
