"""Small checkpoints of every family, written under published names from networks built here."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

IDS = {"mask_token_id": 310, "eos_token_id": 300, "pad_token_id": 301, "torch_dtype": "float32"}
SIZES = {
    "vocab_size": 320,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-6,
}
CONFIGS = {
    "dream": {
        "architectures": ["DreamModel"],
        "model_type": "Dream",
        **SIZES,
        **IDS,
        "intermediate_size": 96,
        "hidden_act": "silu",
        "rope_theta": 1000000.0,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "use_sliding_window": False,
    },
    "sdar": {
        "architectures": ["SDARForCausalLM"],
        "model_type": "sdar",
        **SIZES,
        **IDS,
        "intermediate_size": 96,
        "head_dim": 16,
        "hidden_act": "silu",
        "rope_theta": 1000000,
        "attention_bias": False,
        "block_size": 4,
    },
    "sdar_moe": {
        "architectures": ["SDARMoeForCausalLM"],
        "model_type": "sdar_moe",
        **SIZES,
        **IDS,
        "intermediate_size": 96,
        "moe_intermediate_size": 32,
        "head_dim": 16,
        "hidden_act": "silu",
        "rope_theta": 1000000,
        "attention_bias": False,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "norm_topk_prob": True,
        "num_experts": 4,
        "num_experts_per_tok": 2,
    },
    "llada_moe": {
        "architectures": ["LLaDAMoEModelLM"],
        "model_type": "llada",
        **SIZES,
        **IDS,
        "rms_norm_eps": 1e-5,
        "rope_theta": 50000,
        "qk_layernorm": True,
        "shared_expert_intermediate_size": None,
        "moe_router_enable_expert_bias": False,
        "moe_router_score_function": "softmax",
        "partial_rotary_factor": 1,
        "norm_topk_prob": None,
        "moe_layer_freq": [1, 1],
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "expert_intermediate_size": 32,
    },
    "llada2": {
        "architectures": ["LLaDA2MoeModelLM"],
        "model_type": "llada2_moe",
        **SIZES,
        **IDS,
        "intermediate_size": 96,
        "moe_intermediate_size": 24,
        "head_dim": 16,
        "rope_theta": 600000,
        "partial_rotary_factor": 0.5,
        "use_qk_norm": True,
        "use_bias": False,
        "use_qkv_bias": False,
        "norm_topk_prob": True,
        "score_function": "sigmoid",
        "router_dtype": "fp32",
        "routed_scaling_factor": 2.5,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "num_shared_experts": 1,
        "n_group": 4,
        "topk_group": 2,
        "first_k_dense_replace": 1,
    },
    "fast_dllm_v2": {
        "architectures": ["Fast_dLLM_QwenForCausalLM"],
        "model_type": "Fast_dLLM_Qwen",
        **SIZES,
        **IDS,
        "intermediate_size": 96,
        "hidden_act": "silu",
        "rope_theta": 1000000.0,
        "use_sliding_window": False,
        "bd_size": 4,
        "conplemenrary_mask": True,
    },
    "stable_diffcoder": {
        "architectures": ["StableDiffcoderForCausalLM"],
        "model_type": "llama",
        **SIZES,
        **IDS,
        "intermediate_size": 96,
        "head_dim": 16,
        "hidden_act": "silu",
        "rope_theta": 500000.0,
        "attention_bias": False,
        "mlp_bias": False,
    },
}


def native_networks():
    """Return the network of transformers for each family, with the fields of `CONFIGS` said its way."""
    import transformers as hf

    def rope(theta, share=1.0):
        return {"rope_type": "default", "rope_theta": theta, "partial_rotary_factor": share}

    return {
        "dream": lambda: hf.Qwen2ForCausalLM(
            hf.Qwen2Config(**SIZES, intermediate_size=96, rope_parameters=rope(1e6))
        ),
        "sdar": lambda: hf.Qwen3ForCausalLM(
            hf.Qwen3Config(**SIZES, intermediate_size=96, head_dim=16, rope_parameters=rope(1e6))
        ),
        "sdar_moe": lambda: hf.Qwen3MoeForCausalLM(
            hf.Qwen3MoeConfig(
                **SIZES,
                head_dim=16,
                moe_intermediate_size=32,
                num_experts=4,
                num_experts_per_tok=2,
                norm_topk_prob=True,
                mlp_only_layers=[],
                rope_parameters=rope(1e6),
            )
        ),
        "llada_moe": lambda: hf.Qwen3MoeForCausalLM(
            hf.Qwen3MoeConfig(
                **{**SIZES, "rms_norm_eps": 1e-5},
                head_dim=16,
                moe_intermediate_size=32,
                num_experts=4,
                num_experts_per_tok=2,
                norm_topk_prob=False,
                mlp_only_layers=[],
                rope_parameters=rope(50000.0),
            )
        ),
        "llada2": lambda: hf.Glm4MoeForCausalLM(
            hf.Glm4MoeConfig(
                **SIZES,
                intermediate_size=96,
                moe_intermediate_size=24,
                head_dim=16,
                n_routed_experts=8,
                num_experts_per_tok=2,
                n_shared_experts=1,
                n_group=4,
                topk_group=2,
                routed_scaling_factor=2.5,
                first_k_dense_replace=1,
                norm_topk_prob=True,
                use_qk_norm=True,
                rope_parameters=rope(600000.0, 0.5),
            )
        ),
        "fast_dllm_v2": lambda: hf.Qwen2ForCausalLM(
            hf.Qwen2Config(**SIZES, intermediate_size=96, rope_parameters=rope(1e6))
        ),
        "stable_diffcoder": lambda: hf.LlamaForCausalLM(
            hf.LlamaConfig(**SIZES, intermediate_size=96, head_dim=16, rope_parameters=rope(500000.0))
        ),
    }


def randomize(network, seed):
    """Fill *network* with weights large enough for its confidences to differ; return it."""
    import torch

    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(network.state_dict().items()):
            if name.endswith("inv_freq"):
                continue
            noise = torch.randn(weight.shape, generator=source)
            weight.copy_(1.0 + 0.1 * noise if "norm" in name and weight.ndim == 1 else 0.2 * noise)
    return network.eval().requires_grad_(False)


def unpacked(weights):
    """Return *weights* with each expert by itself, as checkpoints publish them."""
    found = {}
    for name, weight in weights.items():
        stem, _, kind = name.rpartition(".")
        if not stem.endswith(".experts"):
            found[name] = weight
            continue
        for expert, rows in enumerate(weight):
            if kind == "down_proj":
                found[f"{stem}.{expert}.down_proj.weight"] = rows.clone()
            else:
                gate, up = rows.chunk(2)
                found[f"{stem}.{expert}.gate_proj.weight"] = gate.clone()
                found[f"{stem}.{expert}.up_proj.weight"] = up.clone()
    return found


def published_llada2(weights):
    """Return *weights* under the names of LLaDA2, written down apart from the loader's own table."""
    import torch

    renames = {
        "embed_tokens": "word_embeddings",
        "self_attn.o_proj": "attention.dense",
        "self_attn.q_norm": "attention.query_layernorm",
        "self_attn.k_norm": "attention.key_layernorm",
        "gate.e_score_correction_bias": "gate.expert_bias",
    }
    found = {}
    for name, weight in unpacked(weights).items():
        if ".self_attn.q_proj." in name:
            kinds = [weights[name.replace("q_proj", f"{kind}_proj")] for kind in "qkv"]
            fused = name.replace("self_attn.q_proj", "attention.query_key_value")
            found[fused] = torch.cat(kinds)
        elif ".self_attn.k_proj." not in name and ".self_attn.v_proj." not in name:
            for native, published in renames.items():
                name = name.replace(native, published)
            found[name] = weight
    return found


PUBLISHED = {"sdar_moe": unpacked, "llada_moe": unpacked, "llada2": published_llada2}
"""How the published names come from those of transformers, where they differ."""


@dataclass(frozen=True)
class Tiny:
    """A family's checkpoint and the network it was written from."""

    folder: Path
    network: Any


def write(folder, config, weights):
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A small checkpoint of each family that a denoiser loads, by the family's module."""
    import torch

    torch.set_num_threads(1)
    found = {}
    for seed, (family, make) in enumerate(native_networks().items()):
        network = randomize(make(), seed)
        folder = tmp_path_factory.mktemp(family)
        write(folder, CONFIGS[family], PUBLISHED.get(family, dict)(network.state_dict()))
        found[family] = Tiny(folder=folder, network=network)
    return found


def sedd_config(graph):
    absorb = graph == "absorb"
    return {
        "tokens": 255,
        "graph": {"type": graph},
        "noise": {"type": "loglinear" if absorb else "geometric", "sigma_min": 1e-3, "sigma_max": 2.0},
        "model": {
            "hidden_size": 32,
            "n_heads": 2,
            "n_blocks": 2,
            "cond_dim": 16,
            "length": 64,
            "dropout": 0.1,
            "scale_by_sigma": absorb,
        },
    }


@pytest.fixture(scope="session")
def tiny_sedd(tmp_path_factory):
    """A small SEDD checkpoint by graph."""
    import torch

    from decoders.models.sedd.network import SeddNetwork

    torch.set_num_threads(1)
    found = {}
    for seed, graph in enumerate(("absorb", "uniform")):
        absorb = graph == "absorb"
        network = SeddNetwork(
            states=255 + absorb, hidden_size=32, n_blocks=2, n_heads=2, cond_dim=16, scale_by_sigma=absorb
        )
        network = randomize(network, seed)
        folder = tmp_path_factory.mktemp(f"sedd_{graph}")
        write(folder, sedd_config(graph), network.state_dict())
        found[graph] = Tiny(folder=folder, network=network)
    return found


@pytest.fixture
def make_row():
    """Return a function that makes a row for a model that owns its loop."""
    from dataclasses import dataclass

    from decoders.rows import Row, Setting

    @dataclass(frozen=True)
    class Native:
        name: str = "native"
        takes_k: bool = False

    def make(key, prompt, length, **fields):
        setting = Setting(method=Native(), temperature=fields.pop("temperature", 0.0))
        prompt = tuple(int(token) for token in prompt)
        return Row(
            key=key, prompt_ids=prompt, gen_length=length, setting=setting, sample_id=str(key), **fields
        )

    return make


@pytest.fixture(scope="session")
def write_tiny(tmp_path_factory):
    """Return a function that writes a network, given random weights, as a checkpoint."""

    def build(name, config, network, seed):
        network = randomize(network, seed)
        folder = tmp_path_factory.mktemp(name)
        write(folder, config, network.state_dict())
        return Tiny(folder=folder, network=network)

    return build
