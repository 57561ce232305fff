"""A small SEDD with random weights, as a checkpoint folder that a training starts from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from decoders.models.sedd.network import SeddNetwork

GRAPHS = ("absorb", "uniform")
QUERY_GAIN = 1.5
OUTPUT_GAIN = 0.1
"""Size of the first output weights against those of the embedding, so that log scores start near 0."""
SIGMA = (1e-4, 20.0)
"""Published range of the noise of the uniform graph."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How large a new SEDD is.

    Args:
        graph: ``absorb`` or ``uniform``.
        width: Channels of a layer.
        layers: Layers.
        heads: Heads of each layer, a divisor of the width into heads of even width.
        condition: Channels of the embedded noise level.
        length: Longest prompt and canvas together.
        sigma_min: Noise at time 0 of the uniform graph, whose noise grows in equal ratios.
        sigma_max: Its noise at time 1; 8 leaves less than one token of a thousand as it was.

    Raises:
        ValueError: A value breaks its rule.
    """

    graph: str = "absorb"
    width: int = 128
    layers: int = 4
    heads: int = 4
    condition: int = 64
    length: int = 96
    sigma_min: float = SIGMA[0]
    sigma_max: float = SIGMA[1]

    def __post_init__(self) -> None:
        if self.graph not in GRAPHS:
            raise ValueError(f"graph must be one of {', '.join(GRAPHS)}, got {self.graph!r}; choose one")
        for name in ("width", "layers", "heads", "condition", "length"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a whole number from 1 on, got {value!r}; correct it")
        if self.width % self.heads or self.width // self.heads % 2:
            raise ValueError(
                f"heads must be a divisor of width={self.width} into heads of even width, got "
                f"{self.heads!r}; choose another"
            )
        self._check_noise()

    def _check_noise(self) -> None:
        ends = (self.sigma_min, self.sigma_max)
        if not all(type(end) in (int, float) for end in ends) or not 0.0 < ends[0] < ends[1] < math.inf:
            raise ValueError(
                f"sigma_min and sigma_max must be two numbers above 0, the smaller first, got {ends!r}; "
                "correct them"
            )
        if self.graph == "absorb" and ends != SIGMA:
            raise ValueError(
                f"sigma_min and sigma_max must be left out for graph absorb, got {ends!r}; "
                "its noise has no range"
            )


def write_start(folder: Path, sizes: Sizes, tokenizer: Mapping[str, Any], eos: str, seed: int) -> None:
    """Write config.json, tokenizer.json and random weights; the same seed gives the same weights.

    Args:
        folder: Made if it is not there.
        sizes: How large.
        tokenizer: Content of tokenizer.json.
        eos: The token that ends a text.
        seed: Of the weights.
    """
    from safetensors.torch import save_file

    vocabulary = tokenizer["model"]["vocab"]
    absorbs = sizes.graph == "absorb"
    config = {
        "tokens": len(vocabulary),
        "eos_token_id": vocabulary[eos],
        "graph": {"type": sizes.graph},
        "noise": {"type": "loglinear"}
        if absorbs
        else {"type": "geometric", "sigma_min": sizes.sigma_min, "sigma_max": sizes.sigma_max},
        "model": {
            "hidden_size": sizes.width,
            "cond_dim": sizes.condition,
            "length": sizes.length,
            "n_blocks": sizes.layers,
            "n_heads": sizes.heads,
            "scale_by_sigma": absorbs,
        },
    }
    network = _network(sizes, len(vocabulary) + absorbs, seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("config.json", config), ("tokenizer.json", tokenizer)):
        (folder / name).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
    save_file(network.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})


def _network(sizes: Sizes, states: int, seed: int) -> SeddNetwork:
    """Return a network whose layers do not depend on the noise level yet and pass on what they compute.

    It can copy from the start, and learns from where: a layer adds what its heads look at, carried through
    value weights and output weights that are their transpose, and a position gives the highest scores to
    tokens with an embedding like what it carries. In half of the heads the keys start out equal to the
    queries, so that a position looks at positions like itself. Where all these weights were drawn apart,
    small networks learned the form of an answer and, in the same time, nothing of what stands in it.

    Source: mimetic initialisation (Trockman and Kolter, arXiv:2305.09828), in a simple form; output weights
    that start out as the embedding: Press and Wolf, arXiv:1608.05859, who tie them for good.
    Differs: the published network starts with all gates and its output weights at 0.
    """
    generator = torch.Generator().manual_seed(seed)
    width = sizes.width
    network = SeddNetwork(
        states=states,
        hidden_size=width,
        n_blocks=sizes.layers,
        n_heads=sizes.heads,
        cond_dim=sizes.condition,
        scale_by_sigma=sizes.graph == "absorb",
    )
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.dim() == 1:
                parameter.fill_(float("norm" in name))
            else:
                parameter.normal_(0.0, parameter.shape[1] ** -0.5, generator=generator)
        network.vocab_embed.embedding.normal_(0.0, 0.3, generator=generator)
        network.output_layer.linear.weight.copy_(OUTPUT_GAIN * network.vocab_embed.embedding)
        for module in network.modules():
            modulation = getattr(module, "adaLN_modulation", None)
            if modulation is not None:
                nn.init.zeros_(modulation.weight)
        blocks: Any = network.blocks
        for block in blocks:
            block.adaLN_modulation.bias.view(6, width)[[2, 5]] = 1.0
            queries, keys, values = block.attn_qkv.weight.chunk(3)
            queries *= QUERY_GAIN
            keys[: width // 2] = queries[: width // 2]
            block.attn_out.weight.copy_(values.T)
    return network
