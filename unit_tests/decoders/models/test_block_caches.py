"""Block caches of the block-causal families: every forward has the logits of the one without a cache."""

from dataclasses import replace
from importlib import import_module

import pytest
import torch

from decoders.budget import Budget
from decoders.loop.batching import sweep
from decoders.loop.needs import check_offered
from decoders.protocols import ModelRequest
from decoders.rows import NotSupported, Row, Setting
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import confidence

torch.set_num_threads(1)

BLOCKED = ("sdar", "llada2", "fast_dllm_v2", "stable_diffcoder")


@pytest.fixture(scope="module")
def models(tiny):
    loaded = {}
    for family in ("dream", "sdar", "llada_moe", "llada2", "fast_dllm_v2", "stable_diffcoder"):
        name = family.replace("_", "-")
        request = ModelRequest(name=name, source=str(tiny[family].folder), device="cpu")
        loaded[family] = import_module(f"decoders.models.{family}").load(request)
    loaded["llada2"].block_length = 4
    return loaded


@pytest.mark.parametrize("family", BLOCKED)
def test_a_block_cache_has_the_logits_of_every_forward_without_one(models, family, monkeypatch):
    """Rows of all lengths join a batch of two, and some skip a block; every forward is run without too."""
    model, calls = models[family], []

    def both(canvas, attend, query, contexts, cache, rows, window):
        logits = with_cache(canvas, attend, query, contexts, cache, rows, window)
        plain = model(canvas, attend, query, contexts)
        torch.testing.assert_close(logits, plain, atol=1e-4, rtol=0.0)
        calls.append((len(canvas), sum(end - start for start, end in window)))
        return logits

    with_cache = model.with_cache
    monkeypatch.setattr(model, "with_cache", both)
    holes = (310, 310, 7, 310, *[9] * 5, 310, 310, 310)
    rows = [
        Row(
            key=n,
            prompt_ids=tuple(range(5, 5 + n)),
            gen_length=12,
            setting=Setting(method=Threshold(gamma=0.5, at_least=1 + n % 2), cache="block"),
            template_ids=holes if n % 3 == 0 else None,
        )
        for n in range(1, 31, 3)
    ]
    rows += [replace(row, key=-row.key, template_ids=holes) for row in rows]
    found = {outcome.key: outcome for outcome in sweep(model, rows, budget=Budget(tokens=999, max_rows=3))}
    assert sum(evaluated for _, evaluated in calls) == sum(row.evaluated_positions for row in found.values())
    plain = [replace(row, setting=replace(row.setting, cache="none")) for row in rows]
    for expected in sweep(model, plain):
        evaluated = found[expected.key].evaluated_positions
        assert found[expected.key] == replace(expected, evaluated_positions=evaluated)
        assert evaluated < expected.evaluated_positions


def test_only_block_causal_families_have_a_block_cache(models):
    setting = Setting(method=confidence(), k=1, cache="block")
    for family in BLOCKED:
        check_offered(models[family], setting)
    for family in ("dream", "llada_moe"):
        with pytest.raises(NotSupported, match="model must have block-causal attention for cache=block, got"):
            check_offered(models[family], setting)
