"""BERTScore F1 on transformers: how near the tokens of two texts are in an encoder's hidden states.

torch and transformers are imported by `load_bert_scorer` only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT_ENCODER = "roberta-large"

LAYERS: Mapping[str, int] = MappingProxyType(
    {"roberta-large": 17, "bert-base-uncased": 9, "distilbert-base-uncased": 5}
)
"""The layer that agrees best with human judgement, by encoder (Zhang et al. 2020, appendix B)."""

VERSION = 1
"""Raised whenever a value may move."""

MAX_TOKENS = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Embedded:
    """A text in hidden states.

    Args:
        states: Float32 [T, D], every token scaled to length 1, special tokens included.
        weights: Float32 [T], 0 for the special tokens at both ends and 1 for all others.
    """

    states: Tensor
    weights: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class BertScorer:
    """BERTScore with one loaded encoder.

    **Source**: Zhang et al. 2020, "BERTScore: Evaluating Text Generation with BERT", equations for R, P, F.
    Every token of one text is matched with the nearest of the other (special tokens are among the
    candidates, but their own matches do not count); no idf weights, no rescaling by a baseline.

    Args:
        encoder: Hub id or folder.
        layer: Number of layers that are used, counted from the embeddings.
        weights_id: Commit of the hub, or the checksum of a folder's weights.
        version: Of this code and of transformers, whose tokenizers have moved values.
        embed: Texts to their hidden states, in order.
    """

    encoder: str
    layer: int
    weights_id: str
    version: str
    embed: Callable[[Sequence[str]], list[Embedded]]

    def score(self, pairs: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
        """Return ``f1``, ``precision``, ``recall`` and what computed them for every (text, reference).

        Texts are stripped; a pair with an empty side scores 0. Each distinct text is embedded once.
        """
        stripped = [(text.strip(), reference.strip()) for text, reference in pairs]
        texts = sorted({side for pair in stripped if all(pair) for side in pair}, key=lambda t: (len(t), t))
        embedded = dict(zip(texts, self.embed(texts), strict=True))
        record = {
            "encoder": self.encoder,
            "layer": self.layer,
            "weights_id": self.weights_id,
            "version": self.version,
        }
        found = []
        for text, reference in stripped:
            values = _match(embedded[text], embedded[reference]) if text and reference else (0.0, 0.0, 0.0)
            found.append(dict(zip(("precision", "recall", "f1"), values, strict=True)) | record)
        return found


def load_bert_scorer(
    encoder: str = DEFAULT_ENCODER, layer: int | None = None, *, device: str = "cpu", batch_size: int = 32
) -> BertScorer:
    """Return BERTScore with *encoder*; naming a hub id asks for the network unless it was downloaded before.

    Args:
        encoder: Hub id, or a folder with config, tokenizer and safetensors weights.
        layer: Layers to use; None for the known best one of `LAYERS`.
        device: Where the encoder runs.
        batch_size: Texts encoded together; moves values by float rounding only.

    Raises:
        ValueError: The encoder cannot be loaded, or has no such layer.
        ModuleNotFoundError: torch or transformers is not installed.
    """
    import torch
    import transformers

    if layer is None and encoder.rpartition("/")[2] not in LAYERS:
        raise ValueError(
            f"layer must be given for an encoder other than {', '.join(LAYERS)}, got None for {encoder!r}; "
            "the layer that agrees best with human judgement differs by encoder"
        )
    used = LAYERS[encoder.rpartition("/")[2]] if layer is None else layer
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(encoder)
        if _splits_bytes(tokenizer):
            tokenizer = transformers.AutoTokenizer.from_pretrained(encoder, add_prefix_space=True)
        model = transformers.AutoModel.from_pretrained(encoder, dtype=torch.float32, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"encoder must be a folder or hub id with safetensors weights, got {encoder!r} ({error}); "
            "correct the name, or download it first"
        ) from error
    ends = (tokenizer.cls_token_id, tokenizer.sep_token_id)
    if None in ends:
        raise ValueError(
            f"encoder must mark both ends of a text with special tokens, got {encoder!r}; choose a BERT"
        )
    config = model.config
    depth = config.num_hidden_layers
    if not 1 <= used <= depth:
        raise ValueError(
            f"layer must be from 1 to {depth} in {encoder!r}, got {used!r}; choose one that it has"
        )
    stacks = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == depth]
    del stacks[0][used:]
    model.eval().requires_grad_(False).to(device)
    limit = min(tokenizer.model_max_length, _positions(config), MAX_TOKENS)
    special = torch.tensor(ends)

    def embed(texts: Sequence[str]) -> list[Embedded]:
        found = []
        for start in range(0, len(texts), batch_size):
            batch = tokenizer(
                list(texts[start : start + batch_size]),
                truncation=True,
                max_length=limit,
                padding=True,
                return_tensors="pt",
            )
            ids, mask = batch["input_ids"], batch["attention_mask"]
            output = model(input_ids=ids.to(device), attention_mask=mask.to(device))
            hidden = torch.nn.functional.normalize(output.last_hidden_state, dim=-1).cpu()
            for states, row, kept in zip(hidden, ids, mask.bool(), strict=True):
                weights = (~torch.isin(row[kept], special)).float()
                found.append(Embedded(states=states[kept], weights=weights))
        return found

    return BertScorer(
        encoder=encoder,
        layer=used,
        weights_id=_weights_id(encoder, config),
        version=f"{VERSION} (transformers {transformers.__version__})",
        embed=embed,
    )


def _match(text: Embedded, reference: Embedded) -> tuple[float, float, float]:
    """Return precision, recall and F1; all 0 where a side holds special tokens only."""
    if not (text.weights.any() and reference.weights.any()):
        return 0.0, 0.0, 0.0
    similarity = text.states @ reference.states.T
    precision = _mean(similarity.max(dim=1).values, text.weights)
    recall = _mean(similarity.max(dim=0).values, reference.weights)
    if precision <= 0.0 or recall <= 0.0:
        return precision, recall, 0.0  # the harmonic mean is of positive numbers only
    return precision, recall, min(2.0 * precision * recall / (precision + recall), 1.0)  # 1 up to rounding


def _mean(values: Tensor, weights: Tensor) -> float:
    return float((values * weights).sum() / weights.sum())


def _splits_bytes(tokenizer: Any) -> bool:
    """Return whether the tokenizer is a byte-level BPE, which tells the first word from later ones."""
    steps = json.loads(tokenizer.backend_tokenizer.to_str())["pre_tokenizer"]
    return '"ByteLevel"' in json.dumps(steps)


def _positions(config: Any) -> int:
    """Return how many tokens the encoder can place; the RoBERTa family counts from pad_token_id + 1."""
    taken = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0
    return int(config.max_position_embeddings) - taken


def _weights_id(encoder: str, config: Any) -> str:
    commit = getattr(config, "_commit_hash", None)
    if commit is not None:
        return str(commit)
    digest = sha256()
    for path in sorted(Path(encoder).glob("*.safetensors")):
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"
