"""A small random autoregressive checkpoint with tokenizer and chat template, as published ones look."""

import json

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\n" + SYSTEM + "<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_tiny_ar(folder, seed=5):
    """Write the checkpoint to *folder*: bytes, and words of printable ones, ended now and then."""
    import torch
    from safetensors.torch import save_file
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import Qwen2Config, Qwen2ForCausalLM

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    ids = {character: place for place, character in enumerate(alphabet)}
    special = {token: len(ids) + place for place, token in enumerate(SPECIAL)}
    backend = Tokenizer(models.BPE(vocab={**ids, **special}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    folder.mkdir(parents=True, exist_ok=True)
    backend.save(str(folder / "tokenizer.json"))
    end = special["<|im_end|>"]
    config = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "vocab_size": len(ids) + len(special),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "hidden_act": "silu",
        "eos_token_id": end,
        "pad_token_id": special["<|endoftext|>"],
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
    }
    network = Qwen2ForCausalLM(Qwen2Config.from_dict(dict(config)))
    source = torch.Generator().manual_seed(seed)
    written = {place for character, place in ids.items() if character.isascii()} | {end}
    with torch.no_grad():
        for name, weight in network.named_parameters():
            noise = torch.randn(weight.shape, generator=source)
            weight.copy_(1.0 + 0.1 * noise if "norm" in name else 0.2 * noise)
        for place in set(range(config["vocab_size"])) - written:
            network.lm_head.weight[place] = 0.0  # never the largest: another is above 0
    save_file({n: t.contiguous() for n, t in network.state_dict().items()}, folder / "model.safetensors")
    files = {
        "config.json": config,
        "generation_config.json": {"eos_token_id": list(special.values())[::2], "do_sample": False},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "chat_template": TEMPLATE,
            "clean_up_tokenization_spaces": False,
        },
    }
    for name, values in files.items():
        (folder / name).write_text(json.dumps(values), encoding="utf-8")
    return folder
