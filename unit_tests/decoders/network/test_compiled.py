"""A compiled body gives the plain logits, is checked when it is loaded, and is never silently left out."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from decoders.loading.checkpoint import LoadError
from decoders.loop.batching import decode
from decoders.models.llada import load
from decoders.network import compiled
from decoders.network.compiled import CompiledBody, check_compiled
from decoders.protocols import ModelRequest
from decoders.traits import model_traits
from decoders.unmasking.top_k import confidence
from decoders.unmasking.wino import WINO


@pytest.fixture(scope="module")
def plain(tiny_llada_dir):
    return load(ModelRequest(name="llada", source=str(tiny_llada_dir), device="cpu"))


@pytest.fixture
def fast(plain):
    """The same model, its body traced by torch's compiler and run as it is."""
    torch.compiler.reset()
    return replace(plain, compiled=CompiledBody(plain.network.model, backend="eager"))


def test_it_says_what_it_computes_with(plain, fast):
    own = model_traits(plain).numerics
    assert (own.device, own.dtype, own.tf32, own.torch) == ("cpu", "float32", False, torch.__version__)
    assert own.attention in {"flash", "math"}
    assert own == replace(fast.numerics, compiled=False)
    assert fast.numerics.compiled


@pytest.mark.slow
def test_rows_of_any_number_and_lengths_decode_to_the_same_tokens(plain, fast):
    prompts = [[5, 6, 7, 8], [9, 10], [11] * 40]
    expected = decode(plain, prompts, confidence(), gen_length=8, k=2)
    assert decode(fast, prompts, confidence(), gen_length=8, k=2) == expected
    assert fast.compiled is not None


@pytest.mark.slow
def test_a_row_is_compiled_once_for_each_length_or_less(fast):
    from torch._dynamo.utils import counters

    counters.clear()
    for rows in (1, 2, 3, 5):
        canvas = torch.full((rows, 12), 7)
        fast(canvas, torch.ones_like(canvas, dtype=torch.bool), torch.tensor([[0, 3]]), (None,) * rows)
    assert counters["stats"]["unique_graphs"] == 2  # one row, and any other number


def test_caches_and_maps_of_attention_go_through_the_plain_body(plain, fast):
    asked = {"gen_length": 8, "block_length": 4}
    assert decode(fast, [[5, 6]], confidence(), k=2, cache="dual", **asked) == decode(
        plain, [[5, 6]], confidence(), k=2, cache="dual", **asked
    )
    assert decode(fast, [[5, 6]], WINO(), **asked) == decode(plain, [[5, 6]], WINO(), **asked)


def test_the_check_catches_a_body_that_computes_something_else(plain):
    (test,) = check_compiled(plain, plain)
    assert test.passed
    assert test.detail == "compiling moves logits by 0.0e+00 at size " + test.detail[-18:]

    class Other:
        def raw_logits(self, *arguments):
            return plain.raw_logits(*arguments) * 1.01

    with pytest.raises(LoadError, match="self-test 'compiled' of 'llada' must pass, got: compiling moves"):
        check_compiled(Other(), plain)


def test_where_torch_cannot_compile_the_model_is_not_loaded(tiny_llada_dir, monkeypatch):
    def broken(graph, inputs):
        raise RuntimeError("no compiler here\nand much more")

    monkeypatch.setattr("decoders.network.family.CompiledBody", partial(CompiledBody, backend=broken))
    torch.compiler.reset()
    request = ModelRequest(name="llada", source=str(tiny_llada_dir), device="cpu", compiled=True)
    with pytest.raises(
        LoadError, match=r"--pb-compile must have what torch.compile needs, got .*; leave it out"
    ):
        load(request)


@pytest.mark.slow
def test_a_shape_too_many_is_an_error(fast, monkeypatch):
    monkeypatch.setattr(compiled, "MOST_SHAPES", 1)
    canvas = torch.full((1, 12), 7)
    fast(canvas, torch.ones_like(canvas, dtype=torch.bool), torch.tensor([[0, 3]]), (None,))
    with pytest.raises(Exception, match="fullgraph=True"):
        fast(canvas.repeat(3, 2), torch.ones(3, 24, dtype=torch.bool), torch.tensor([[0, 3]]), (None,) * 3)
