"""Networks over several devices: where each part goes, and that every tensor is where it is used.

No test has two GPUs. The CPU and torch's meta device, which computes shapes only, stand in for them: as two
GPUs do, they refuse an operation whose tensors are on both.
"""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import decoders
from decoders.loading.checkpoint import LoadError, choose_device
from decoders.models import load
from decoders.network import spread
from decoders.protocols import ModelRequest

pytest.importorskip("accelerate", reason="accelerate is not installed")
pytestmark = pytest.mark.usefixtures("loaded_libraries")

TINY = Path(decoders.__file__).with_name("checkpoints") / "tiny"
LAYERS = [f"model.layers.{number}" for number in range(5)]


@pytest.fixture
def blank():
    """Return tiny's network without weights."""
    network = load("tiny", device="cpu").network
    with torch.device("meta"):
        return type(network)(network.config)


@pytest.fixture
def halves(monkeypatch):
    """Let a request with a device map put the first two layers on the CPU and the rest on the meta device."""
    places = {
        "model.embed_tokens": "cpu",
        "model.rotary_emb": "cpu",
        **dict.fromkeys(LAYERS[:2], "cpu"),
        **dict.fromkeys([*LAYERS[2:], "model.norm", "lm_head"], "meta"),
    }
    monkeypatch.setattr(spread, "layout", lambda network, dtype: places)


@pytest.fixture
def readable(monkeypatch):
    """Let zeros stand for what comes back from the meta device."""
    to = Tensor.to

    def back(tensor: Tensor, *args, **kwargs):
        target = next((a for a in (*args, *kwargs.values()) if isinstance(a, torch.device)), None)
        if tensor.is_meta and target is not None and target.type == "cpu":
            return torch.zeros(tensor.shape, dtype=tensor.dtype)
        return to(tensor, *args, **kwargs)

    monkeypatch.setattr(Tensor, "to", back)


def canvas(rows=2, length=12):
    ids = torch.full((rows, length), 7)
    return ids, torch.ones(rows, length, dtype=torch.bool), torch.tensor([[0, 5], [1, 7]])


def test_layers_are_shared_out_evenly_and_none_is_cut(blank):
    size = 4 * sum(weight.numel() for weight in blank.parameters())
    places = spread.layout(blank, torch.float32, {0: size, 1: size})
    assert set(places.values()) == {"cuda:0", "cuda:1"}
    assert [places[layer] for layer in LAYERS] == sorted(places[layer] for layer in LAYERS)
    shares = [sum(places[layer] == gpu for layer in LAYERS) for gpu in ("cuda:0", "cuda:1")]
    assert min(shares) >= 2
    place = spread.place_of(places)
    assert {str(place(name)) for name, _ in blank.named_parameters()} == {"cuda:0", "cuda:1"}


def test_a_model_that_fits_nowhere_is_refused_with_the_cure(blank):
    size = 4 * sum(weight.numel() for weight in blank.parameters())
    with pytest.raises(LoadError, match=r"must fit on the GPUs that this process sees \(0.0 \+ 0.0 GiB free"):
        spread.layout(blank, torch.float32, {0: size // 4, 1: size // 4})


def test_a_part_that_stands_nowhere_is_named():
    with pytest.raises(ValueError, match=r"got none of the parts of 'lm_head.weight'"):
        spread.place_of({"model": "cpu"})("lm_head.weight")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has GPUs")
def test_without_gpus_a_device_map_is_refused():
    with pytest.raises(LoadError, match="must spread the model over GPUs, got none that this process sees"):
        load("tiny", device_map="auto")


@pytest.mark.parametrize(
    ("asked", "is_mapped", "said"),
    [
        ({"device": "cpu"}, True, "device must be cuda or left out with device map 'auto', got 'cpu'"),
        ({"compiled": True}, True, "networks must not be compiled with device map 'auto', got both"),
        ({}, False, "device map must be left out for 'mine', got 'auto'; only networks of transformers' own"),
    ],
)
def test_what_does_not_go_with_a_device_map_is_refused(asked, is_mapped, said):
    with pytest.raises(LoadError, match=said):
        choose_device(ModelRequest(name="mine", device_map="auto", **asked), is_mapped=is_mapped)


def test_one_device_in_parts_computes_what_it_computes_whole(monkeypatch):
    whole = load("tiny", device="cpu")
    monkeypatch.setattr(spread, "layout", lambda *_: {"model": "cpu", "lm_head": "cpu"})
    parts = load("tiny", device_map="auto")
    assert torch.equal(whole(*canvas(), [None] * 2), parts(*canvas(), [None] * 2))


@pytest.mark.usefixtures("halves", "readable")
def test_every_call_ends_on_the_first_device(monkeypatch):
    monkeypatch.setattr("decoders.network.family.check", lambda *_: ())
    model = load("tiny", device_map="auto")
    assert {weight.device.type for weight in model.network.parameters()} == {"cpu", "meta"}
    ids, attend, query = canvas()
    logits = model(ids, attend, query, [None] * 2)
    assert (logits.shape, logits.device.type) == ((2, model.vocab_size), "cpu")
    logits, maps = model.with_attention(ids, attend, query, 4, [None] * 2)
    assert (maps.shape, maps.device.type) == ((2, 8, 8), "cpu")
    found = model.with_shadows(ids, attend, query, [(4, 8), (4, 8)], query, [None] * 2)
    assert [part.device.type for part in found] == ["cpu", "cpu"]
    cache = model.new_cache(2, 12)
    for window in (None, [(4, 8), (4, 8)]):
        asked = (ids, attend, query, [None] * 2, cache, torch.tensor([0, 1]), window)
        assert model.with_cache(*asked).device.type == "cpu"
