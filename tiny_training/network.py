"""The network before training: the architecture of `decoders.models.tiny`, its size and first weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from decoders.loading.checkpoint import Config
from tiny_training import layout
from tiny_training.vocabulary import BLANK, EOS, MASK, PIECES

WIDTH = 128
LAYERS = 5
HEADS = 4
INNER = 256
ROPE_THETA = 100.0
"""Rotary wave lengths from 2 pi to about 470 positions: a row has at most 90."""

EMBEDDING_STD = 0.3
QUERY_GAIN = 1.5


def config_json() -> dict[str, Any]:
    """Return the content of config.json, with the field names that LLaDA publishes."""
    return {
        "architectures": ["TinyModelLM"],
        "model_type": "tiny",
        "dtype": "float32",
        "block_type": "llama",
        "layer_norm_type": "rms",
        "activation_type": "silu",
        "rope": True,
        "rope_theta": ROPE_THETA,
        "rope_full_precision": True,
        "include_bias": False,
        "weight_tying": True,
        "rms_norm_eps": 1e-5,
        "d_model": WIDTH,
        "n_layers": LAYERS,
        "n_heads": HEADS,
        "n_kv_heads": HEADS,
        "mlp_hidden_size": INNER,
        "vocab_size": len(PIECES),
        "embedding_size": len(PIECES),
        "max_sequence_length": layout.PROMPT + layout.CANVAS,
        "mask_token_id": MASK,
        "eos_token_id": EOS,
        "pad_token_id": BLANK,
    }


def new_network(config: Config, seed: int) -> Any:
    """Return the untrained network of *config*; the same seed gives the same weights.

    In half of the heads the keys start out equal to the queries, so that a position looks at positions like
    itself; these and all queries are somewhat larger than the other keys.

    Source: mimetic initialisation (Trockman and Kolter, arXiv:2305.09828), in a simple form.
    """
    from decoders.models.tiny import plan

    torch.manual_seed(seed)
    found = plan(config)
    network = found.network(found.native)
    network.set_attn_implementation("eager")
    network.lm_head.weight = network.model.embed_tokens.weight
    nn.init.normal_(network.model.embed_tokens.weight, std=EMBEDDING_STD)
    for layer in network.model.layers:
        query, key = layer.self_attn.q_proj.weight, layer.self_attn.k_proj.weight
        nn.init.normal_(query, std=QUERY_GAIN * WIDTH**-0.5)
        nn.init.normal_(key, std=WIDTH**-0.5)
        with torch.no_grad():
            key[: WIDTH // 2] = query[: WIDTH // 2]
    return network
