"""What holds for this project's own tests and not for a user's runs; fixtures that several packages use."""

import gc
import importlib.metadata
import json
import pkgutil
import sys
import warnings
from functools import cache, cached_property
from importlib.metadata import distributions
from io import BytesIO
from itertools import chain, compress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis.strategies import none

HERE = Path(__file__).parent
WARNINGS_ARE_ERRORS = pytest.mark.filterwarnings("error")

# without deadlines: how long an example takes is said by what else the machine does
settings.register_profile("quick", max_examples=40, derandomize=True, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile("quick")  # --hypothesis-profile=thorough is the long form

TINY_CONFIG = {
    "model_type": "llada",
    "architectures": ["LLaDAModelLM"],
    "block_type": "llama",
    "layer_norm_type": "rms",
    "activation_type": "silu",
    "rope": True,
    "rope_full_precision": True,
    "rope_theta": 500000.0,
    "rms_norm_eps": 1e-5,
    "alibi": False,
    "include_bias": False,
    "include_qkv_bias": False,
    "weight_tying": False,
    "d_model": 64,
    "n_heads": 4,
    "n_kv_heads": 2,
    "n_layers": 2,
    "mlp_hidden_size": 96,
    "vocab_size": 320,
    "embedding_size": 320,
    "max_sequence_length": 128,
    "mask_token_id": 310,
    "eos_token_id": 300,
    "pad_token_id": 301,
    "torch_dtype": "float32",
}


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "slow: install modes, kill -9, the full golden set; left out without -m; .ci/run runs them"
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give whole files to workers where folders of ours are run: what a file's tests share is made once."""
    folders = [Path(arg).resolve() for arg in config.args]
    if config.getoption("dist") != "load" or not all(
        folder.is_dir() and folder.is_relative_to(HERE) for folder in folders
    ):
        return None
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Make warnings errors while this folder is collected: deprecations at import, unknown marks."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return (yield)


def pytest_itemcollected(item):
    """Make warnings errors in this folder's tests; a test's own mark goes before it."""
    item.add_marker(WARNINGS_ARE_ERRORS, append=False)


def pytest_collection_modifyitems(config, items):
    """Leave this folder's slow tests out, unless -m says what to run."""
    if config.getoption("markexpr"):
        return
    is_slow = [
        item.path.is_relative_to(HERE) and item.get_closest_marker("slow") is not None for item in items
    ]
    if any(is_slow):
        config.hook.pytest_deselected(items=list(compress(items, is_slow)))
        items[:] = [item for item, slow in zip(items, is_slow, strict=True) if not slow]


def published_llada_key(native: str) -> str:
    """Return the published LLaDA name of a Llama weight, written down apart from the loader's own table."""
    outside = {
        "model.embed_tokens.weight": "model.transformer.wte.weight",
        "model.norm.weight": "model.transformer.ln_f.weight",
        "lm_head.weight": "model.transformer.ff_out.weight",
    }
    if native in outside:
        return outside[native]
    _, _, layer, *module, _ = native.split(".")
    inside = {
        "input_layernorm": "attn_norm",
        "self_attn.o_proj": "attn_out",
        "post_attention_layernorm": "ff_norm",
        "mlp.gate_proj": "ff_proj",
        "mlp.up_proj": "up_proj",
        "mlp.down_proj": "ff_out",
    }
    name = ".".join(module)
    return f"model.transformer.blocks.{layer}.{inside.get(name, name.removeprefix('self_attn.'))}.weight"


@pytest.fixture(scope="session")
def tiny_llada_network():
    """A small Llama with random weights large enough for its confidences to differ."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=320,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=128,
            rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
            tie_word_embeddings=False,
        )
    )
    source = torch.Generator().manual_seed(20260307)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            noise = torch.randn(weight.shape, generator=source)
            weight.copy_(1.0 + 0.1 * noise if "norm" in name else 0.2 * noise)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def tiny_llada_dir(tiny_llada_network, tmp_path_factory):
    """A LLaDA checkpoint without tokenizer: *tiny_llada_network* under published names."""
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("tiny_llada")
    weights = {published_llada_key(name): tensor for name, tensor in tiny_llada_network.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(TINY_CONFIG), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def llada_tokenizer_text():
    """A tokenizer.json of bytes and LLaDA's special tokens; ids 256-296, 303-309 and from 311 on are free."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    special = {
        "<|startoftext|>": 297,
        "<|start_header_id|>": 298,
        "<|end_header_id|>": 299,
        "<|endoftext|>": 300,
        "<|reserved|>": 301,
        "<|eot_id|>": 302,
        "<|mdm_mask|>": 310,
    }
    alphabet = {
        character: place for place, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))
    }
    backend = Tokenizer(models.BPE(vocab={**alphabet, **special}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return backend.to_str()


class Installed:
    """A distribution whose entry points and files are read once."""

    def __init__(self, distribution):
        self._distribution = distribution

    def __getattr__(self, name):
        return getattr(self._distribution, name)

    @cached_property
    def entry_points(self):
        return self._distribution.entry_points

    @cached_property
    def files(self):
        return self._distribution.files


@cache
def installed_in(folder):
    return tuple(map(Installed, distributions(path=[folder])))


def found_distributions(**context):
    """Return what ``importlib.metadata.distributions`` does; no test changes what is in a site-packages."""
    if context:
        return distributions(**context)
    return chain.from_iterable(
        installed_in(folder) if Path(folder).name == "site-packages" else distributions(path=[folder])
        for folder in sys.path
    )


@pytest.fixture(scope="session")
def loaded_modules():
    """Import what runs in this process import: they put ``sys.modules`` back, and torch loads only once.

    Every run asks all distributions for plugins; those that are installed are read once.
    """
    import torch

    importlib.metadata.distributions = found_distributions

    torch.set_num_threads(1)
    for package in ("decoders", "pb_plugin", "task_specs"):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    given(none())(
        lambda _: None
    )()  # now Hypothesis can see who holds the generator of numpy, frozen it could not
    gc.freeze()  # what is loaded stays: no search for cycles, of which runs make some, needs to walk over it


@pytest.fixture(scope="session")
def loaded_libraries(loaded_modules):
    """Import what transformers and matplotlib import when they are asked, as `loaded_modules` does.

    A network is loaded once, and a text is drawn in every format.
    """
    import matplotlib
    from matplotlib.figure import Figure

    from decoders.models import tiny
    from decoders.protocols import ModelRequest
    from pb_plugin.report.curves_file import SUFFIXES

    tiny.load(ModelRequest(name="tiny")).close()
    for suffix in SUFFIXES:
        figure = Figure()
        figure.text(0, 0, "text")
        with matplotlib.rc_context({"pdf.fonttype": 42}):
            figure.savefig(BytesIO(), format=suffix.removeprefix("."))
    gc.freeze()


@pytest.fixture
def stand_in():
    """Start servers that stand in for LanguageTool, and stop them after the test."""
    pytest.importorskip("language_tool_python", reason="needs language-tool-python")
    from unit_tests.languagetool_stand_in import StandIn

    started = []

    def start(*args, **kwargs):
        started.append(StandIn(*args, **kwargs))
        return started[-1]

    yield start
    for server in started:
        server.stop()
