"""The part of the conformance kit that checks models: denoisers and generators; see `decoders.testing`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from decoders.protocols import Denoiser, Generator, HasSupport
from decoders.rows import Row, Setting
from decoders.state import StepUpdate, StepView
from decoders.testing.capability_checks import check_capabilities
from decoders.traits import model_traits

NFE_KINDS = ("counted", "commanded", "bounds", "unknown")


def check_denoiser(
    denoiser: Denoiser,
    *,
    contexts: Sequence[Any] = (None, None),
    gen_length: int = 8,
    tolerance: float = 1e-4,
) -> None:
    """Check that *denoiser* obeys the rules: shapes, MASK, alignment of queries, padding, determinism.

    What it offers beyond logits is checked as well: shadows, attention, a cache.

    Args:
        denoiser: The model.
        contexts: Two opaque objects for two rows, where the model needs them.
        gen_length: Positions to generate; must fit the contexts.
        tolerance: Largest difference of a log probability between a padded and an unpadded row.

    Raises:
        AssertionError: With the law that is broken.
    """
    assert denoiser.mask_id not in denoiser.eos_ids, "MASK is no end of text"
    assert denoiser.eos_ids, "there is at least one end of text"
    prompts = [
        denoiser.encode_prompt([{"role": "user", "content": text}])
        for text in ("Hi.", "A somewhat longer question?")
    ]
    for prompt in prompts:
        assert all(0 <= token < denoiser.vocab_size for token in prompt), (
            "prompt ids lie inside the vocabulary"
        )
    assert isinstance(denoiser.tokenizer.decode(denoiser.tokenizer.encode("abc 1")), str), (
        "decoding gives text"
    )
    width = max(map(len, prompts))
    canvas = torch.full((2, width + gen_length), denoiser.pad_id)
    for index, prompt in enumerate(prompts):
        canvas[index, width - len(prompt) : width] = torch.tensor(prompt, dtype=torch.long)
    canvas[:, width:] = denoiser.mask_id
    attend = torch.arange(width + gen_length) >= torch.tensor([[width - len(prompt)] for prompt in prompts])
    query = torch.cartesian_prod(torch.arange(2), torch.arange(width, width + gen_length))
    device = model_traits(denoiser).device
    canvas, attend, query = canvas.to(device), attend.to(device), query.to(device)
    untouched = canvas.clone()
    logits = denoiser(canvas, attend, query, list(contexts))
    assert torch.equal(canvas, untouched), "a forward does not change the canvas"
    columns = denoiser.vocab_size
    ids = torch.arange(columns).expand(2, -1)
    if isinstance(denoiser, HasSupport):
        ids = denoiser.support(list(contexts))
        columns = ids.shape[1]
    assert logits.shape == (len(query), columns), (
        f"logits are [N, V] = {(len(query), columns)}, got {tuple(logits.shape)}"
    )
    log_p = torch.log_softmax(logits.float(), dim=1)
    assert not torch.isnan(log_p).any(), "logits are finite somewhere in every row and never NaN"
    mask_column = ids.to(device)[query[:, 0]] == denoiser.mask_id
    assert torch.isneginf(logits[mask_column]).all(), "MASK is never proposed: its logit is -inf"
    assert torch.equal(logits, denoiser(canvas, attend, query, list(contexts))), (
        "the same canvas gives the same logits"
    )
    some = torch.arange(1, len(query), 3)
    part = torch.log_softmax(denoiser(canvas, attend, query[some], list(contexts)).float(), dim=1)
    assert _close(part, log_p[some], tolerance), (
        "logits belong to the queried position, whatever else is asked"
    )
    for index, prompt in enumerate(prompts):
        mine = query[:, 0] == index
        start = width - len(prompt)
        shifted = query[mine] - torch.tensor([index, start], device=device)
        alone = denoiser(canvas[[index], start:], attend[[index], start:], shifted, [contexts[index]])
        same = log_p[mine][:, : alone.shape[1]]
        assert _close(torch.log_softmax(alone.float(), dim=1), same, tolerance), (
            "padding and batch mates change nothing"
        )
    check_capabilities(
        denoiser,
        canvas=canvas,
        attend=attend,
        contexts=contexts,
        gen_length=gen_length,
        tolerance=tolerance,
    )


def _close(first: Tensor, second: Tensor, tolerance: float) -> bool:
    return torch.allclose(
        first.nan_to_num(neginf=-1e4), second.nan_to_num(neginf=-1e4), rtol=0.0, atol=tolerance
    )


def check_generator(
    generator: Generator, params: Mapping[str, Any], *, gen_length: int = 8, rows: Sequence[Row] = ()
) -> None:
    """Check that *generator* obeys the rules: a result per row in order, honest step counts, reproducible.

    Args:
        generator: The model.
        params: Its own parameters.
        gen_length: Positions to generate, where *rows* are not given.
        rows: Rows to decode; two short prompts otherwise.

    Raises:
        AssertionError: With the law that is broken.
    """
    asked = list(rows)
    if not asked:
        setting = Setting(method=_Native())
        for index, text in enumerate(("Hi.", "A somewhat longer question?")):
            prompt = tuple(generator.encode_prompt([{"role": "user", "content": text}]))
            asked.append(
                Row(
                    key=index, prompt_ids=prompt, gen_length=gen_length, setting=setting, sample_id=str(index)
                )
            )
    results = generator.generate(asked, params)
    assert [result.key for result in results] == [row.key for row in asked], "one result per row, in order"
    for row, result in zip(asked, results, strict=True):
        assert len(result.ids) <= row.gen_length, (
            f"at most gen_length={row.gen_length} ids, got {len(result.ids)}"
        )
        assert result.nfe_kind in NFE_KINDS, (
            f"nfe_kind must be one of {', '.join(NFE_KINDS)}, got {result.nfe_kind!r}"
        )
        assert (result.nfe is None) == (result.nfe_kind in ("bounds", "unknown")), (
            "nfe is None exactly when its kind is bounds or unknown"
        )
        bounds = (result.nfe_low, result.nfe_high)
        bounded = None not in bounds and 1 <= bounds[0] <= bounds[1]  # type: ignore[operator]
        assert bounded if result.nfe_kind == "bounds" else bounds == (None, None), (
            f"1 <= nfe_low <= nfe_high exactly when the kind is bounds, got {bounds}"
        )
        assert result.nfe is None or result.nfe >= 1, f"nfe counts forwards, got {result.nfe}"
        assert result.commit_step is None or len(result.commit_step) == len(result.ids), (
            "one commit step per id"
        )
    assert results == generator.generate(asked, params), "the same seed gives the same result"


class _Native:
    """Stands in for a method where the model owns its loop."""

    name = "native"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    needs: ClassVar[frozenset[str]] = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle = False

    def init(self, view: StepView) -> None:
        """Never called."""

    def step(self, view: StepView, memory: None) -> tuple[StepUpdate, None]:
        """Never called."""
        raise AssertionError("a generator owns its loop")
