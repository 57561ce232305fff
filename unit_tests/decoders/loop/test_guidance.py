"""Classifier-free guidance: two canvases of a row in one forward, counted, in any batch."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from decoders.budget import Budget
from decoders.loop.batching import decode, sweep
from decoders.loop.needs import check_offered
from decoders.models.ideal import Ideal
from decoders.rows import NotSupported, Row, Setting
from decoders.testing import HashDenoiser, check_method
from decoders.text.tokenizer import EOS_ID, MASK_ID, PieceTokenizer
from decoders.theory.answer_sets import TokenAnswers
from decoders.unmasking import top_k
from decoders.unmasking.top_k import TopK

PROMPTS = [(3,), (4, 5), (6, 7, 8)]


def naively(model, prompt, length, scale, template):
    """One token per step by confidence in logits + s (logits - those without the prompt)."""
    canvas = [*prompt, *template]
    given = [*range(len(prompt)), *[len(prompt) + i for i, token in enumerate(template) if token != 0]]
    for _ in range(template.count(0)):
        without = [model.mask_id if i in given else token for i, token in enumerate(canvas)]
        masked = [i for i in range(len(canvas)) if canvas[i] == model.mask_id]
        both = []
        for tokens in (canvas, without):
            row = torch.tensor([tokens])
            both.append(
                model(row, torch.ones_like(row).bool(), torch.tensor([[0, i] for i in masked]), [None])[:, 1:]
            )
        probs = (both[0] + scale * (both[0] - both[1])).double().softmax(dim=1)
        surest = int(probs.max(dim=1).values.argmax())
        canvas[masked[surest]] = 1 + int(probs[surest].argmax())
    return tuple(canvas[len(prompt) :])


@pytest.mark.parametrize("template", [[0] * 8, [0, 9, 0, 0, 5, 0, 0, 0]], ids=["plain", "infilling"])
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_guided_logits_are_those_of_the_formula(template, scale):
    rows = decode(
        HashDenoiser(), PROMPTS, top_k.confidence(cfg=scale), gen_length=8, k=1, templates=[template] * 3
    )
    for prompt, row in zip(PROMPTS, rows, strict=True):
        assert row.ids == naively(HashDenoiser(), prompt, 8, scale, template)
        assert (row.nfe, row.forwards, row.evaluated_canvases) == (template.count(0),) * 2 + (
            2 * template.count(0),
        )
        assert row.evaluated_positions == 2 * row.nfe * (len(prompt) + 8)


@pytest.mark.parametrize("score", ["confidence", "margin", "random"])
def test_the_rules_are_obeyed(score):
    check_method(TopK(score=score, cfg=1.5))


class Counting(HashDenoiser):
    def __init__(self):
        super().__init__()
        self.sizes = []

    def __call__(self, canvas, attend, query, contexts):
        self.sizes.append(canvas.numel())
        assert len(contexts) == len(canvas)
        return super().__call__(canvas, attend, query, contexts)


def test_both_canvases_keep_within_the_budget():
    rows = [
        Row(
            key=i,
            prompt_ids=(3, 4 + i),
            gen_length=8,
            setting=Setting(method=top_k.confidence(cfg=scale), k=2),
            sample_id=str(i),
        )
        for i, scale in enumerate((0.0, 0.5, 0.0, 1.5, 2.0))
    ]
    model = Counting()
    found = {row.key: row for row in sweep(model, rows, budget=Budget(tokens=160))}
    assert max(model.sizes) <= 160
    alone = {row.key: row for row in sweep(HashDenoiser(), rows, budget=Budget(tokens=1))}
    assert found == alone
    assert [found[i].evaluated_canvases for i in range(5)] == [None, 8, None, 8, 8]


def test_what_reads_no_prompt_is_not_changed():
    """The exact model has the same law with and without it, and keeps what it rules out at -inf."""
    ids = np.array([[4, 5, 6], [4, 5, 7], [8, 9, 6]])
    answers = TokenAnswers(ids=ids, weights=np.ones(3, dtype=np.float32), support=np.unique(ids))
    model = Ideal(PieceTokenizer(), mask_id=MASK_ID, eos_id=EOS_ID, vocab_size=200)
    guided, plain = (
        decode(model, [()], top_k.confidence(cfg=scale), gen_length=3, k=1, contexts=[answers])[0]
        for scale in (2.0, 0.0)
    )
    assert (guided.ids, guided.commit_step) == (plain.ids, plain.commit_step)


@dataclass(frozen=True, kw_only=True)
class Needy(TopK):
    score: str = "confidence"
    needs: ClassVar[frozenset] = frozenset({"attention"})


@pytest.mark.parametrize(
    "setting",
    [Setting(method=top_k.confidence(cfg=1.0), k=1, cache="prefix"), Setting(method=Needy(cfg=1.0), k=1)],
    ids=["cache", "attention"],
)
def test_guidance_stands_alone(setting):
    with pytest.raises(NotSupported, match="guidance must be without cache, shadow and attention for"):
        check_offered(HashDenoiser(), setting)


@pytest.mark.parametrize("scale", [-1.0, float("inf"), float("nan")])
def test_a_scale_out_of_range_is_refused(scale):
    with pytest.raises(ValueError, match=r"cfg must be at least 0 and finite, got .*; 0 is no guidance"):
        top_k.confidence(cfg=scale)
