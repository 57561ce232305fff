"""Training `tiny`: the size and first weights of `decoders.models.tiny`, and what it learns from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from decoders.loading.checkpoint import Config
from decoders.models import tiny
from decoders.training.checkpoint import Standing, export
from decoders.training.loop import Learner, Recipe, Tell, train
from decoders.training.masked import Batch, Examples, by_task, mask, masked_errors

WIDTH = 128
LAYERS = 5
HEADS = 4
INNER = 256
ROPE_THETA = 100.0
"""Rotary wave lengths from 2 pi to about 470 positions: a row has at most 90."""

EMBEDDING_STD = 0.3
QUERY_GAIN = 1.5
EOS = "<eos>"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lessons:
    """What is learned, given from outside.

    Args:
        draw: Gives the examples of one batch; the random source alone decides them.
        canvas: Positions of an answer.
        tokenizer: Content of tokenizer.json (library ``tokenizers``), whose ids the examples hold.
        token_weights: Weight in the loss of a token by its id, float32 [V]; losses are told of those with 1.
        tasks: Names of the tasks that examples belong to.
        code: Hash of the code that draws.
    """

    draw: Callable[[np.random.Generator], Examples]
    canvas: int
    tokenizer: Mapping[str, Any]
    token_weights: NDArray[np.float32]
    tasks: tuple[str, ...]
    code: str

    def batch_of(self, seed: int, step: int) -> Batch:
        """Return the batch of *step*; every step has a random source of its own, so a run can be resumed."""
        rng = np.random.default_rng((seed, step))
        return mask(rng, self.draw(rng), self.config_json()["mask_token_id"], self.token_weights)

    def config_json(self) -> dict[str, Any]:
        """Return the content of config.json, with the field names that LLaDA publishes."""
        ids = self.tokenizer["model"]["vocab"]
        return {
            "architectures": [tiny.FAMILY.architecture],
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
            "vocab_size": len(ids),
            "embedding_size": len(ids),
            "max_sequence_length": tiny.HEAD + tiny.BODY + self.canvas,
            "mask_token_id": ids[tiny.CHAT.mask],
            "eos_token_id": ids[EOS],
            "pad_token_id": ids[tiny.BLANK],
        }


def train_tiny(
    folder: Path,
    recipe: Recipe,
    lessons: Lessons,
    *,
    threads: int = 1,
    compiled: bool = True,
    tell: Tell = lambda _: None,
) -> Standing:
    """Train in *folder* from where it stands to the end of *recipe*, and write the model there.

    Args:
        folder: Holds the state while training, and the finished checkpoint.
        recipe: What to train.
        lessons: What it learns from.
        threads: CPU threads.
        compiled: Whether the network is compiled first, which takes a C++ compiler and some seconds.
        tell: Told of progress.

    Raises:
        ValueError: *folder* holds a training of another recipe or version, or another checkpoint.
    """
    config = Config(path=folder / "config.json", values=lessons.config_json())
    network = new_network(config, recipe.seed)
    hidden_of: Any = torch.compile(network.model, dynamic=False) if compiled else network.model

    def loss_of(step: int) -> tuple[Tensor, Tensor]:
        batch = lessons.batch_of(recipe.seed, step)
        errors = masked_errors(hidden_of, network.lm_head.weight, batch)
        loss = (errors * batch.weights).sum() / batch.weights.sum()
        return loss, by_task(errors.detach(), batch, len(lessons.tasks))

    learner = Learner(network=network, loss_of=loss_of, tasks=lessons.tasks, code=lessons.code)
    standing = train(folder, recipe, learner, threads=threads, tell=tell)
    export(network, config.values, lessons.tokenizer, folder)
    return standing


def new_network(config: Config, seed: int) -> Any:
    """Return the untrained network of *config*; the same seed gives the same weights.

    In half of the heads the keys start out equal to the queries, so that a position looks at positions like
    itself; these and all queries are somewhat larger than the other keys.

    Source: mimetic initialisation (Trockman and Kolter, arXiv:2305.09828), in a simple form.
    """
    torch.manual_seed(seed)
    found = tiny.plan(config)
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
