"""Adaptive Parallel Decoding: a diffusion model drafts from left to right, a small causal one verifies.

Legend: P = prompt length, W = drafted positions of a step, V = ids that both models share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from decoders.fingerprint import checkpoint_hash
from decoders.loading.checkpoint import LoadError, Preset, find_checkpoint
from decoders.loop import draws, sampling
from decoders.models import autoregressive, dream
from decoders.models.autoregressive import AutoregressiveGenerator
from decoders.network import attention
from decoders.network.denoiser import NativeDenoiser, OwnLoop
from decoders.network.family import load_checkpoint
from decoders.network.row_batches import check_rows, must_be_at_least, read_params
from decoders.network.self_tests import SelfTest
from decoders.network.transformers_interior import growing_cache, with_cache
from decoders.protocols import ModelRequest
from decoders.rows import Decoded, Row
from decoders.text.hf_tokenizer import HFTokenizer

PRESETS = MappingProxyType(
    {
        "apd": Preset(
            hub_id="Dream-org/Dream-v0-Instruct-7B", revision="main", dtype="bfloat16", licence="Apache-2.0"
        )
    }
)
VERIFIERS = MappingProxyType(
    {"apd": Preset(hub_id="Qwen/Qwen2.5-0.5B", revision="main", dtype="bfloat16", licence="Apache-2.0")}
)
"""What verifies the drafts of the preset of the same name."""

FIRST = ("draft", "target")
DEFAULTS: Mapping[str, Any] = MappingProxyType({"mix": 0.7, "lookahead": 100, "first": "draft"})


@dataclass(kw_only=True, eq=False)
class ApdGenerator(OwnLoop):
    """A diffusion model whose drafts count as far as the mixture with a causal model agrees with them.

    A step drafts the next ``lookahead`` positions from the logits D of the diffusion model, runs the causal
    model over the draft for its logits A, and draws again from ``mix * D + (1 - mix) * A`` with the same
    Gumbel noise. The longest prefix in which both draws agree is committed, at least one token: with
    ``first=draft`` (as published) the first drafted token is never refused, with ``first=target`` the token
    of the mixture stands in for it. A row ends with its first EOS, which is its last id, or at its length.

    ``nfe`` counts forwards of the diffusion model, ``nfe_other`` those of the causal one, one per step;
    ``evaluated_positions`` are those of the diffusion model.

    Source: Israel, Van den Broeck, Grover (arXiv:2506.00413), algorithm 1, and their code.
    Differs: rows are decoded one after another; no window of cached keys in the diffusion model (its W), no
    top-p; the temperature divides D when drafting and the mixture when verifying, once each (published code
    verifies greedily and drafts at its square); noise belongs to a position and is not drawn anew when that
    is drafted again, so that a refused draft does not change the law of what follows it; ids that only one
    of the models has are never drafted.
    """

    verifier: AutoregressiveGenerator
    n_ids: int
    unwanted_ids: tuple[int, ...]

    @property
    def self_tests(self) -> tuple[SelfTest, ...]:
        """Checks made when the two models were loaded, the diffusion model's first."""
        return (*self.denoiser.self_tests, *self.verifier.self_tests)

    def close(self) -> None:
        """Drop both networks and give their memory back; the model cannot be used afterwards."""
        self.denoiser.close()
        self.verifier.close()

    def generate(self, rows: Sequence[Row], params: Mapping[str, Any]) -> list[Decoded]:
        """Decode *rows* in the order given.

        Raises:
            ValueError: A parameter, or a row, asks for what the models cannot do.
            RuntimeError: The model was closed.
        """
        chosen = read_params(params, DEFAULTS, name=self.name)
        if not 0.0 < chosen["mix"] <= 1.0:
            raise ValueError(
                f"mix must be above 0 and at most 1, got {chosen['mix']!r}; "
                "it is the weight of the diffusion model, 1 accepts every draft"
            )
        must_be_at_least(chosen["lookahead"], 1, key="lookahead")
        if chosen["first"] not in FIRST:
            raise ValueError(f"first must be one of {', '.join(FIRST)}, got {chosen['first']!r}; choose one")
        check_rows(rows, name=self.name, greedy=False)
        for row in rows:
            self._check_prompt(row)
        with torch.inference_mode():
            return [self._decode(row, chosen) for row in rows]

    def _decode(self, row: Row, chosen: Mapping[str, Any]) -> Decoded:
        cache = growing_cache()
        ids, start = list(row.prompt_ids), len(row.prompt_ids)
        mix, end = chosen["mix"], start + row.gen_length
        commit_step: list[int] = []
        nfe, evaluated, stopped = 0, 0, False
        while len(ids) < end and not stopped:
            right = min(len(ids) + chosen["lookahead"], end)
            drafted = self._drafted(ids, right)
            draft = self._drawn(drafted, row, len(ids) - start)
            mixture = mix * drafted + (1.0 - mix) * self._verified(ids, draft.tolist(), cache)
            target = self._drawn(mixture, row, len(ids) - start)
            n_accepted = max(1, int((draft == target).long().cumprod(dim=0).sum()))
            tokens = (draft if chosen["first"] == "draft" else target)[:n_accepted].tolist()
            answer = self.answer_ids(tokens)
            stopped = len(answer) < len(tokens)
            tokens = tokens[: len(answer) + stopped]
            if len(tokens) < len(draft):
                cache.crop(len(tokens) - len(draft))
            ids += tokens
            commit_step += [nfe] * len(tokens)
            nfe, evaluated = nfe + 1, evaluated + right
        return Decoded(
            key=row.key,
            ids=tuple(ids[start:]),
            nfe=nfe,
            nfe_other=nfe,
            commit_step=tuple(commit_step),
            evaluated_positions=evaluated,
            finish_reason="eos" if stopped else "length",
        )

    def _drafted(self, ids: list[int], right: int) -> Tensor:
        """Return the diffusion model's logits [W, V] after *ids*, for positions up to *right*."""
        mask_id, device = self.denoiser.mask_id, self.denoiser.device
        canvas = torch.tensor([ids + [mask_id] * (right - len(ids))], device=device)
        places = torch.arange(len(ids), right, device=device)
        query = torch.stack([torch.zeros_like(places), places], dim=1)
        logits = self.denoiser(canvas, torch.ones_like(canvas, dtype=torch.bool), query, (None,))
        unwanted = torch.tensor(self.unwanted_ids, dtype=torch.int64, device=device)
        return logits[:, : self.n_ids].index_fill(1, unwanted, float("-inf"))

    def _verified(self, ids: list[int], draft: list[int], cache: Any) -> Tensor:
        """Return the causal model's logits [W, V] at the positions of *draft* after *ids*.

        *cache* holds what precedes the last of *ids*, whose row predicts the first drafted token.
        """
        tokens = (ids + draft[:-1])[cache.get_seq_length() :]
        inputs = torch.tensor([tokens], device=self.verifier.device)
        attend = torch.ones(1, len(ids) + len(draft) - 1, dtype=torch.bool, device=self.verifier.device)
        hidden = self.verifier.network.model(
            input_ids=inputs,
            attention_mask=attention.causal_mask(attend, len(tokens)),
            position_ids=attention.position_ids(attend)[:, -len(tokens) :],
            use_cache=True,
            **with_cache(self.verifier.network.model, cache),
        ).last_hidden_state
        logits: Tensor = self.verifier.network.lm_head(hidden[0, -len(draft) :])
        return logits[:, : self.n_ids].float()

    def _drawn(self, logits: Tensor, row: Row, first: int) -> Tensor:
        """Return tokens [W] of generated positions from *first* on; the same noise at every call."""
        if row.setting.temperature == 0.0:
            return logits.argmax(dim=1)
        places = torch.arange(first, first + len(logits), device=logits.device)
        return sampling.sampled(
            logits,
            torch.full(places.shape, row.setting.temperature, dtype=torch.float64, device=logits.device),
            torch.full_like(places, draws.row_key(row.seed, row.sample_id)),
            torch.zeros_like(places),
            places,
            torch.arange(logits.shape[1], device=logits.device),
        )

    def _check_prompt(self, row: Row) -> None:
        if not row.prompt_ids:
            raise ValueError(
                f"prompt_ids must not be empty for {self.name!r}, got none in row {row.key!r}; "
                "the first token follows the last of the prompt"
            )
        if max(row.prompt_ids) >= self.n_ids:
            raise ValueError(
                f"prompt_ids must be below the {self.n_ids} ids that both models of {self.name!r} have, "
                f"got {max(row.prompt_ids)} in row {row.key!r}; leave that token out"
            )
        length = len(row.prompt_ids) + row.gen_length
        longest = min(self.denoiser.max_length, self.verifier.max_length)
        if length > longest and not self.tokenizer.is_fallback:
            raise ValueError(
                f"canvas of {self.name!r} must be at most {longest} tokens long, got {length}; "
                "use shorter prompts, fewer worked examples or a shorter generated region"
            )


def _both(request: ModelRequest) -> tuple[ModelRequest, ModelRequest]:
    """Return the requests of the diffusion model and of the causal one."""
    if request.source is None and request.name in PRESETS:
        presets = PRESETS[request.name], VERIFIERS[request.name]
        first, second = (replace(request, source=p.hub_id, revision=p.revision) for p in presets)
        return first, second
    parts = [] if request.source is None else request.source.split("+")
    if len(parts) != 2 or not all(parts):
        raise LoadError(
            f"source must be DIFFUSION+AUTOREGRESSIVE, two folders or hub ids joined by one plus sign, got "
            f"{request.source!r}; name a Dream checkpoint and a small causal one with the same tokenizer "
            f"(--model {request.name}=DIR_OR_HUB_ID+DIR_OR_HUB_ID)"
        )
    if request.revision is not None:
        raise LoadError(
            f"revision must be left out for two checkpoints, got {request.revision!r} with "
            f"{request.source!r}; give folders of the revisions you want"
        )
    return replace(request, source=parts[0]), replace(request, source=parts[1])


def fingerprint(request: ModelRequest) -> str:
    """Return the hash of the files of both checkpoints, in their order; hub ids are fetched for it.

    Raises:
        ValueError: The source is not two checkpoints, or one cannot be found or is incomplete.
    """
    hashes = [checkpoint_hash(find_checkpoint(one, PRESETS)) for one in _both(request)]
    return hashlib.sha256("+".join(hashes).encode()).hexdigest()


def load(request: ModelRequest) -> ApdGenerator:
    """Return the two checkpoints that *request* asks for, a Dream one and a causal one, as one model.

    Raises:
        LoadError: One cannot be found, read or trusted, or their tokenizers differ in the ids they share.
    """
    first, second = _both(request)
    denoiser, verifier = load_checkpoint(first, dream.FAMILY), autoregressive.load(second)
    n_ids = min(denoiser.vocab_size, verifier.vocab_size)
    unwanted = {*denoiser.suppressed_ids, *verifier.suppressed_ids} & set(range(n_ids))
    _check_same_tokens(denoiser, verifier, sorted(set(range(n_ids)) - unwanted))
    return ApdGenerator(
        denoiser=denoiser, verifier=verifier, n_ids=n_ids, unwanted_ids=tuple(sorted(unwanted))
    )


def _check_same_tokens(
    denoiser: NativeDenoiser, verifier: AutoregressiveGenerator, shared: Sequence[int]
) -> None:
    """Raise a LoadError unless *shared* ids mean the same to both models and hold an end of text."""
    ours, theirs = denoiser.tokenizer, verifier.tokenizer
    cure = "choose checkpoints made with one tokenizer"
    if ours.is_fallback != theirs.is_fallback:
        without = denoiser.directory if ours.is_fallback else verifier.directory
        raise LoadError(f"both checkpoints must hold a tokenizer or neither, got none in {without}; {cure}")
    if isinstance(ours, HFTokenizer) and isinstance(theirs, HFTokenizer):
        special = dict.fromkeys((*denoiser.chat.markers, *denoiser.chat.end_of_turn))
        differing = [text for text in special if ours.token_id(text) != theirs.token_id(text)]
        differing += [
            ours.decode([token]) for token in shared if ours.decode([token]) != theirs.decode([token])
        ]
        if differing:
            raise LoadError(
                f"both tokenizers must have the same ids, got {len(differing)} that differ, the first of "
                f"{differing[0]!r}; {cure}"
            )
    if not denoiser.eos_ids & set(shared):
        raise LoadError(
            f"an EOS must be among the {len(shared)} ids that both models have, "
            f"got {sorted(denoiser.eos_ids)}; {cure}"
        )
