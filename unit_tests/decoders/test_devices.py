"""What torch finds here, and how GPUs are named where there are some."""

from types import SimpleNamespace

import torch

from decoders.devices import machine


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
