"""What is trained: a model by name -> its network, and what of it learns -> a folder that loads as it."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from decoders.loading.adapter import add_adapter, split_adapter
from decoders.loading.checkpoint import (
    DTYPES,
    LoadError,
    choose_device,
    choose_dtype,
    find_checkpoint,
    read_config,
)
from decoders.loading.weights import Parts, weight_files, whole, write_weights
from decoders.models.sedd.sampler import SeddGenerator
from decoders.network.denoiser import NativeDenoiser
from decoders.network.family import Family, read_tokenizer, same_key
from decoders.network.transformers_interior import recompute_layers
from decoders.protocols import Message, ModelRequest
from decoders.text import chat
from decoders.text.hf_tokenizer import HFTokenizer
from decoders.tuning.memory import Size, check_fits
from decoders.tuning.objective import MaskedLoss
from decoders.tuning.score_entropy import ScoreEntropyLoss
from decoders.tuning.settings import Settings

ADAPTER = "adapter"
"""Folder of the adapter in that of a fine-tuned model."""

CARDS = ("card.json", "fine_tune.json")
"""What another training wrote about its model."""

PICKLES = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A model in training.

    Args:
        model: Encodes prompts and texts.
        directory: The checkpoint it was loaded from.
        objective: Its loss; of its parameters those learn that require a gradient.
        network: The network inside.
        pad_id: The padding token.
        mask_id: The mask token, or None.
        end_id: Written after an answer.
        fill_id: Written from there to the end of the canvas.
        dtype: Number type that is written.
        rename: Published key to the network's.
        parts: Renamed key to the parts of its tensor.
        lora: The network with adapters (a model of peft), or None.
    """

    model: Any
    directory: Path
    objective: nn.Module
    network: Any
    pad_id: int
    mask_id: int | None
    end_id: int
    fill_id: int
    dtype: torch.dtype
    rename: Callable[[str], str]
    parts: Parts = whole
    lora: Any = None

    def write(self, folder: Path, *, adapter_only: bool = False) -> None:
        """Write the trained model into *folder*: a checkpoint like its own, and the adapter beside it.

        What else lies in the checkpoint's folder (config, tokenizer, chat template) is copied.
        """
        network = self.network
        if self.lora is not None:
            self.lora.save_pretrained(folder / ADAPTER, safe_serialization=True)
            network = self.lora.unload()
            if adapter_only:
                return
            with _kept(network):
                add_adapter(network, folder / ADAPTER, rename=self.rename, parts=self.parts)
                self._write(network, folder)
            return
        self._write(network, folder)

    def _write(self, network: nn.Module, folder: Path) -> None:
        weights = {path.name for path in weight_files(self.directory)}
        for path in sorted(self.directory.iterdir()):
            if (
                path.is_file()
                and path.name not in weights
                and path.suffix not in PICKLES
                and path.name not in CARDS
            ):
                shutil.copyfile(path, folder / path.name)
        write_weights(network, self.directory, folder, rename=self.rename, parts=self.parts, dtype=self.dtype)


@contextmanager
def _kept(network: nn.Module) -> Iterator[None]:
    """Leave the weights of *network* as they were."""
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(before[name])


Chats = Sequence[tuple[Sequence[Message], int]]
"""Some of the chats that will be learned, with the length of their canvases: they say what is needed."""


def open_subject(request: ModelRequest, module: str, settings: Settings, chats: Chats) -> Subject:
    """Return the model that *request* asks for, ready to be trained.

    Args:
        request: Which model.
        module: Where its load function stands.
        settings: What was chosen.
        chats: Some of what it will learn.

    Raises:
        LoadError: It cannot be loaded.
        ValueError: It is of no kind that can be trained so, or does not fit.
    """
    found = import_module(module)
    family = getattr(found, "FAMILY", None)
    if settings.way == "score_entropy":
        model = found.load(request)
        if not isinstance(model, SeddGenerator):
            raise _no_way(request, settings, "a SEDD (sedd-absorb, sedd-uniform, sedd-tiny)")
        return _sedd(model, settings, _longest(chats, model.encode_prompt))
    if not isinstance(family, Family):
        raise _no_way(
            request, settings, "a mask predictor whose network is one of transformers (llada, dream)"
        )
    return _native(request, found, family, settings, chats)


def _longest(chats: Chats, encode: Callable[[Sequence[Message]], list[int]]) -> tuple[int, int]:
    """Return the positions of the longest prompt with its canvas, and of the longest canvas."""
    return max(len(encode(chat)) + canvas for chat, canvas in chats), max(canvas for _, canvas in chats)


def _no_way(request: ModelRequest, settings: Settings, rule: str) -> ValueError:
    return ValueError(
        f"model must be {rule} to be trained by {settings.way}, got {request.name!r}; choose one"
    )


def way_of(module: str, *, full: bool) -> str:
    """Return how models of *module* are trained: ``score_entropy``, or ``full`` or ``lora``."""
    if module.startswith("decoders.models.sedd."):
        return "score_entropy"
    return "full" if full else "lora"


def _sedd(model: SeddGenerator, settings: Settings, tokens: tuple[int, int]) -> Subject:
    checkpoint = model.checkpoint
    assert checkpoint is not None, "a model just loaded is open"
    network = checkpoint.network.requires_grad_(True)
    precision = _precision(settings, torch.float32)
    config = read_config(checkpoint.directory).values["model"]
    size = Size(
        frozen=0,
        trained=sum(one.numel() for one in network.parameters()),
        bytes_each=4,
        layers=config["n_blocks"],
        width=config["hidden_size"],
        vocabulary=checkpoint.states,
        tokens=tokens[0] * settings.batch // settings.accumulation,
        hidden=tokens[1] * settings.batch // settings.accumulation,
        checkpointed=False,
        precision=precision,
    )
    check_fits(size, checkpoint.device, checkpoint.directory)
    checkpoint.check_length(tokens[0])
    objective = ScoreEntropyLoss(
        network, graph=model.graph, level=model.noise, precision=precision, compiled=settings.compiled
    )
    return Subject(
        model=model,
        directory=checkpoint.directory,
        objective=objective.train(),
        network=network,
        pad_id=checkpoint.eos_id,
        mask_id=None,
        end_id=checkpoint.eos_id,
        fill_id=checkpoint.eos_id,
        dtype=torch.float32,
        rename=same_key,
    )


def _native(request: ModelRequest, module: Any, family: Family, settings: Settings, chats: Chats) -> Subject:
    if hasattr(module, "with_source"):
        request = module.with_source(request)
    plain, _ = split_adapter(request)
    directory = find_checkpoint(plain, family.presets)
    config = read_config(directory, family.architecture)
    plan = family.plan(config)
    preset = family.presets.get(request.name, next(iter(family.presets.values()), None))
    form = family.chat if preset is None else preset.chat or family.chat
    tokenizer = read_tokenizer(directory, request.name, plan.rows, family.backend)
    tokens = _longest(chats, partial(chat.encode, tokenizer=tokenizer, form=form, name=request.name))
    stored = DTYPES[choose_dtype(None, config, "float32" if preset is None else preset.dtype)]
    precision = _precision(settings, stored)
    if plan.shift and plan.block_length is not None:
        raise ValueError(
            f"model must have blocks or rows shifted by one to be trained, not both, got {request.name!r}; "
            "train it with its authors' code"
        )
    if tokens[0] > plan.max_length:
        raise ValueError(
            f"prompts and canvases of {request.name!r} must be at most {plan.max_length} tokens long, got "
            f"{tokens[0]}; choose tasks with shorter ones"
        )
    full = settings.way == "full"
    with torch.device("meta"):
        network = plan.network(plan.native)
    adapted = 0 if full else sum(_adapter_numbers(network, settings))
    total = sum(one.numel() for one in network.parameters())
    native = plan.native
    twice = 1 if plan.block_length is None else 2
    size = Size(
        frozen=0 if full else total,
        trained=total if full else adapted,
        bytes_each=4 if full else stored.itemsize,
        layers=native.num_hidden_layers,
        width=native.hidden_size,
        vocabulary=plan.rows,
        tokens=twice * tokens[0] * settings.batch // settings.accumulation,
        hidden=tokens[1] * settings.batch // settings.accumulation,
        checkpointed=settings.gradient_checkpointing,
        precision=precision,
    )
    check_fits(size, choose_device(request), directory)
    loaded = module.load(replace(request, dtype="float32" if full else request.dtype))
    assert isinstance(loaded, NativeDenoiser), "a family's load function gives its denoiser"
    for name, source in plan.ties.items():
        _share(loaded.network, name, source)
    lora = None if full else _with_adapters(loaded.network, settings)
    if full:
        loaded.network.requires_grad_(True)
    if settings.gradient_checkpointing:
        recompute_layers(loaded.network)
    objective = MaskedLoss(
        loaded.network,
        mask_id=loaded.mask_id,
        shift=loaded.shift,
        block_length=loaded.block_length,
        precision=precision,
    )
    known = loaded.tokenizer
    ends = (
        [known.token_id(text) for text in loaded.chat.end_of_turn] if isinstance(known, HFTokenizer) else []
    )
    fill = loaded.pad_id if loaded.pad_id in loaded.eos_ids else min(loaded.eos_ids)
    return Subject(
        model=loaded,
        directory=directory,
        objective=objective.train(),
        network=loaded.network,
        pad_id=loaded.pad_id,
        mask_id=loaded.mask_id,
        end_id=next((token for token in ends if token is not None), fill),
        fill_id=fill,
        dtype=stored,
        rename=family.rename,
        parts=plan.parts,
        lora=lora,
    )


def _precision(settings: Settings, stored: torch.dtype) -> torch.dtype:
    return stored if settings.precision == "auto" else DTYPES[settings.precision]


def _adapter_numbers(network: nn.Module, settings: Settings) -> Iterator[int]:
    """Yield how many numbers the adapter of each targeted weight has.

    Raises:
        ValueError: A target is no weight of the network.
    """
    linear = {name: one for name, one in network.named_modules() if isinstance(one, nn.Linear)}
    known = sorted({name.rpartition(".")[2] for name in linear})
    for target in settings.targets:
        if target not in known:
            raise ValueError(f"targets must be of {', '.join(known)}, got {target!r}; correct the name")
    for name, one in linear.items():
        if name.rpartition(".")[2] in settings.targets:
            yield settings.rank * (one.in_features + one.out_features)


def _with_adapters(network: Any, settings: Settings) -> Any:
    """Return the model of peft around *network*, whose weights stay; its adapters are float32 and start at 0.

    Raises:
        LoadError: peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise LoadError(
            "packages must be installed to train adapters, got none of peft; "
            "pip install 'parallelbench-pytest[tune]', or train all weights (--full)"
        ) from error
    torch.manual_seed(settings.seed)
    config = LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, target_modules=list(settings.targets), lora_dropout=0.0
    )
    with warnings.catch_warnings():  # peft asks transformers by a name that is going out of use
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
        adapted = get_peft_model(network, config)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return adapted


def _share(network: nn.Module, name: str, source: str) -> None:
    """Let the parameter *name* be the parameter *source*: one thing, trained once."""
    owner, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(owner), attribute, network.get_parameter(source))


def write_card(folder: Path, card: Any) -> None:
    """Write how a model was trained beside it."""
    (folder / "fine_tune.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
