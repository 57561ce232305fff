"""A small checkpoint with modelling code of its own, written for the tests of the model ``remote``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from decoders.fingerprint import source_files, source_hash
from decoders.protocols import ModelRequest

if TYPE_CHECKING:
    from decoders.models.remote import RemoteDenoiser

MASK, EOS, PAD = 258, 256, 257
ROWS = 264

CONFIGURATION = """
from transformers import PreTrainedConfig


class MixerConfig(PreTrainedConfig):
    model_type = "mixer_of_a_test"

    def __init__(self, width=16, vocab_size=8, **others):
        self.width = width
        self.vocab_size = vocab_size
        super().__init__(**others)
"""

MODELLING = """
import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput

from .configuration_mixer import MixerConfig


class MixerLM(PreTrainedModel):
    config_class = MixerConfig

    def __init__(self, config):
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, config.width)
        self.mix = nn.Linear(config.width, config.width)
        self.head = nn.Linear(config.width, config.vocab_size, bias=False)
        steps = 1.0 / 100 ** (torch.arange(config.width) / config.width)
        self.register_buffer("steps", steps, persistent=False)

    def forward(self, input_ids):
        places = torch.arange(input_ids.shape[1], device=input_ids.device)[:, None]
        hidden = self.embed(input_ids) + torch.sin(places * self.steps).to(self.embed.weight.dtype)
        seen = SEEN
        return MaskedLMOutput(logits=self.head(torch.tanh(hidden + self.mix(seen))))
"""

SEEN = "hidden.mean(dim=1, keepdim=True)"
CAUSAL = "hidden.cumsum(dim=1) / (places + 1)"

CONFIG = {
    "architectures": ["MixerLM"],
    "auto_map": {
        "AutoConfig": "configuration_mixer.MixerConfig",
        "AutoModelForCausalLM": "modeling_mixer.MixerLM",
    },
    "model_type": "mixer_of_a_test",
    "vocab_size": ROWS,
    "width": 16,
    "mask_token_id": MASK,
    "eos_token_id": EOS,
    "pad_token_id": PAD,
    "torch_dtype": "float32",
}

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def weights(rows: int = ROWS, width: int = 16) -> dict:
    """Return random weights of the network."""
    import torch

    source = torch.Generator().manual_seed(5)
    shapes = {
        "embed.weight": (rows, width),
        "mix.weight": (width, width),
        "mix.bias": (width,),
        "head.weight": (rows, width),
    }
    return {name: torch.randn(shape, generator=source) for name, shape in shapes.items()}


def tokenizer_text() -> str:
    """Return a tokenizer.json with one token per byte, and <eos>, <pad>, <mask> after them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<eos>", "<pad>", "<mask>"])
    return backend.to_str()


def write(folder: Path, *, seen: str = SEEN, first: str = "", **config: object) -> Path:
    """Write the checkpoint into *folder*.

    Args:
        folder: Where to.
        seen: What a position sees of the others, as code.
        first: Code at the start of the modelling file.
        config: Values of config.json that replace the usual ones; None takes a key out.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    values = {key: value for key, value in {**CONFIG, **config}.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    (folder / "configuration_mixer.py").write_text(CONFIGURATION, encoding="utf-8")
    (folder / "modeling_mixer.py").write_text(first + MODELLING.replace("SEEN", seen), encoding="utf-8")
    (folder / "tokenizer.json").write_text(tokenizer_text(), encoding="utf-8")
    save_file(weights(), folder / "model.safetensors")
    return folder


def allowed(folder: Path) -> str:
    """Return what the option takes to allow the code in *folder*."""
    return f"{folder}@{source_hash(source_files(folder))}"


def request(folder: Path | str, *allow: str, **fields: object) -> ModelRequest:
    """Return a request for the checkpoint in *folder*, where a user allowed the codes *allow*."""
    return ModelRequest(name="remote", source=str(folder), device="cpu", allow_code=allow, **fields)


def loaded(folder: Path, **fields: object) -> RemoteDenoiser:
    """Load the checkpoint in *folder* with its code allowed."""
    from decoders.models.remote import load

    return load(request(folder, allowed(folder), **fields))


@contextmanager
def module_cache(folder: Path) -> Iterator[Path]:
    """Let transformers keep its copies of code in *folder* and not in the user's cache; forget them after."""
    import sys

    import pytest
    from transformers import dynamic_module_utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(folder))
        patch.setattr(sys, "path", list(sys.path))
        yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "transformers_modules"]:
        del sys.modules[name]
