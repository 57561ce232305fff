"""Logits of the published LLaDA code, computed once and stored as numbers, against our loader's."""

import json
from pathlib import Path

import pytest
import torch

from decoders.models.llada import load
from decoders.protocols import ModelRequest

torch.set_num_threads(1)

GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden"
CASES = ("plain0", "plain1", "plain2", "pad_left", "pad_right")

pytestmark = pytest.mark.skipif(
    not (GOLDEN / "logits" / "llada.safetensors").is_file(),
    reason="the golden logits are development data not present here",
)


@pytest.fixture(scope="module")
def model():
    loaded = load(
        ModelRequest(
            name="llada", source=str(GOLDEN / "checkpoints" / "llada"), dtype="float32", device="cpu"
        )
    )
    loaded.suppressed_ids = ()
    return loaded


@pytest.fixture(scope="module")
def tensors():
    from safetensors.torch import load_file

    return load_file(GOLDEN / "logits" / "llada.safetensors")


def test_every_published_case_is_compared():
    described = json.loads((GOLDEN / "logits" / "llada.json").read_text(encoding="utf-8"))
    assert sorted(case["name"] for case in described["cases"]) == sorted(CASES)


@pytest.mark.parametrize("case", CASES)
def test_logits_equal_those_of_the_published_code(model, tensors, case):
    canvas = tensors[f"{case}.input_ids"]
    attend = tensors.get(f"{case}.valid", torch.ones_like(canvas)).bool()
    query = attend.nonzero()
    logits = model(canvas, attend, query, [None] * len(canvas))
    expected = tensors[f"{case}.logits"][query[:, 0], query[:, 1]]
    assert expected.abs().max() > 1.0
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0.0)
