"""What the link by Ray asks for, without Ray."""

from types import SimpleNamespace

import pytest

from pb_plugin.cluster.ray_link import RayLink
from pb_plugin.planning.options import Options


def test_the_client_of_ray_is_refused_with_the_cure():
    with pytest.raises(ValueError, match=r"must be auto, HOST:PORT or local, got 'ray://h:1'; run"):
        RayLink(Options(ray_address="ray://h:1")).open()


class FakeRay:
    """The little of Ray that starts workers."""

    __version__ = "2.0"

    def __init__(self, **resources):
        self.resources = resources
        self.placed = []
        self.asked = {}

    def init(self, **asked):
        self.asked = asked

    def cluster_resources(self):
        return self.resources

    def nodes(self):
        return [{"Alive": True}, {"Alive": True}, {"Alive": False}]

    def remote(self, kind):
        def options(**asked):
            self.placed.append(asked)
            call = SimpleNamespace(remote=object)
            return SimpleNamespace(remote=lambda *_: SimpleNamespace(hello=call))

        return SimpleNamespace(options=options)


@pytest.mark.parametrize(
    ("options", "places", "gpus"),
    [
        ({"model": ("llada",)}, 8, 1.0),
        ({"model": ("llada",), "workers_per_gpu": 4}, 32, 0.25),
        ({"model": ("llada",), "gpus_per_worker": 3}, 2, 3.0),
        ({"model": ("llada",), "device": "cpu"}, 64, 0),
        ({"model": ("ideal",)}, 64, 0),
    ],
)
def test_a_worker_keeps_its_share_of_a_gpu_where_a_model_computes_on_it(monkeypatch, options, places, gpus):
    ray = FakeRay(CPU=64.0, GPU=8.0)
    monkeypatch.setitem(__import__("sys").modules, "ray", ray)
    link = RayLink(Options(**options, ray_address="auto"))
    assert link.open() == "Ray 2.0, 2 machines, 64 CPUs, 8 GPUs"
    assert ray.asked["address"] == "auto"
    assert link.n_places() == places
    link.add("ray0", {})
    assert (ray.placed[0]["num_cpus"], ray.placed[0]["num_gpus"]) == (1, gpus)


def test_no_cluster_at_the_address_is_said_with_the_cure(monkeypatch):
    def init(**asked):
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setitem(__import__("sys").modules, "ray", SimpleNamespace(init=init))
    with pytest.raises(ValueError, match=r"that of a Ray cluster, got 'auto' \(Could not find .*ray start"):
        RayLink(Options(ray_address="auto")).open()
