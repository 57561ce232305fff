"""A small SEDD with random weights, as a checkpoint folder that a training starts from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from decoders.models.sedd.network import SeddNetwork

GRAPHS = ("absorb", "uniform")
QUERY_GAIN = 1.5


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

    Raises:
        ValueError: A value breaks its rule.
    """

    graph: str = "absorb"
    width: int = 128
    layers: int = 4
    heads: int = 4
    condition: int = 64
    length: int = 96

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
        else {"type": "geometric", "sigma_min": 1e-4, "sigma_max": 20.0},
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

    Outputs are near 0, so every ratio starts close to one number of the noise level. In half of the heads
    the keys start out equal to the queries, so that a position looks at positions like itself.

    Source: mimetic initialisation (Trockman and Kolter, arXiv:2305.09828), in a simple form.
    Differs: the published network starts with all gates at 0.
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
        network.output_layer.linear.weight.normal_(0.0, 0.02, generator=generator)
        for module in network.modules():
            modulation = getattr(module, "adaLN_modulation", None)
            if modulation is not None:
                nn.init.zeros_(modulation.weight)
        blocks: Any = network.blocks
        for block in blocks:
            block.adaLN_modulation.bias.view(6, width)[[2, 5]] = 1.0
            queries, keys = block.attn_qkv.weight[:width], block.attn_qkv.weight[width : 2 * width]
            queries *= QUERY_GAIN
            keys[: width // 2] = queries[: width // 2]
    return network
