"""Autoregressive baselines: Llama, Qwen2 and Qwen3 networks, greedy, one token per forward.

Legend: B = rows, P = prompt width (left-padded), N = positions, V = rows of the embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from decoders import devices
from decoders.fingerprint import checkpoint_hash
from decoders.loading.checkpoint import (
    DTYPES,
    MOST_LAYERS,
    Config,
    Preset,
    choose_device,
    choose_dtype,
    find_checkpoint,
    need_packages,
    read_config,
)
from decoders.network import attention
from decoders.network.family import (
    build_network,
    ends_of_turn,
    keys_test,
    not_taken,
    read_tokenizer,
    same_key,
)
from decoders.network.plan import INERT, NetworkPlan
from decoders.network.row_batches import check_rows, in_batches, padded_prompts, read_params
from decoders.network.self_tests import RELATIVE_TOLERANCE, SelfTest, all_passed
from decoders.network.transformers_interior import fresh_rotary, growing_cache, with_cache
from decoders.protocols import ModelRequest
from decoders.rows import Decoded, Row
from decoders.text import chat
from decoders.text.byte_tokenizer import ByteTokenizer
from decoders.text.chat_model import ChatModel
from decoders.text.hf_tokenizer import HFTokenizer
from decoders.text.qwen2_tokenizer import qwen2_backend

PRESETS = MappingProxyType(
    {
        "ar": Preset(
            hub_id="Qwen/Qwen2.5-7B-Instruct", revision="main", dtype="bfloat16", licence="Apache-2.0"
        ),
        "ar-qwen3": Preset(hub_id="Qwen/Qwen3-8B", revision="main", dtype="bfloat16", licence="Apache-2.0"),
        "ar-llama": Preset(
            hub_id="meta-llama/Llama-3.1-8B-Instruct",
            revision="main",
            dtype="bfloat16",
            licence="Llama 3.1 Community (gated)",
        ),
    }
)


CHATS: Mapping[str, chat.ChatFormat] = MappingProxyType(
    {
        "LlamaForCausalLM": chat.LLAMA3_CHAT,
        "Qwen2ForCausalLM": chat.QWEN2_CHAT,
        "Qwen3ForCausalLM": chat.QWEN3_CHAT,
    }
)
"""Architecture to chat; Qwen3 answers without a thought."""


@dataclass(kw_only=True, eq=False)
class AutoregressiveGenerator(ChatModel):
    """A causal network with a key-value cache; it takes no parameters.

    A row ends with its first EOS, which is its last id, or at ``gen_length`` tokens. ``nfe`` counts its
    tokens: the forward over the prompt gives the first one.
    """

    owns_loop: ClassVar[bool] = True

    name: str
    directory: Path
    dtype: str
    device: torch.device
    eos_ids: frozenset[int]
    pad_id: int
    vocab_size: int
    max_length: int
    tokenizer: HFTokenizer | ByteTokenizer
    chat: chat.ChatFormat
    network: Any
    suppressed_ids: tuple[int, ...] = ()
    self_tests: tuple[SelfTest, ...] = ()
    batch_tokens: int = 8192

    def generate(self, rows: Sequence[Row], params: Mapping[str, Any]) -> list[Decoded]:
        """Decode *rows* in the order given.

        Raises:
            ValueError: A parameter is given, or a row asks for what the model cannot do.
            RuntimeError: The model was closed.
        """
        read_params(params, {}, name=self.name)
        check_rows(rows, name=self.name, greedy=True)
        for row in rows:
            self._check_lengths(row)
        with torch.inference_mode():
            return in_batches(rows, self._decode, tokens=self.batch_tokens)

    def raw_logits(self, ids: Tensor, attend: Tensor, cache: Any = None) -> Tensor:
        """Return float32 logits [B, V] of what follows the last of *ids*.

        Args:
            ids: int64 [B, Q], the positions that *cache* does not hold yet.
            attend: bool [B, P], False at padding, for all positions so far.
            cache: A cache of transformers, grown by this call, or None.
        """
        if self.network is None:
            raise RuntimeError(
                f"model {self.name!r} must be open to generate, got a closed one; load it again"
            )
        queries = ids.shape[1]
        with torch.inference_mode():
            hidden = self.network.model(
                input_ids=ids,
                attention_mask=attention.causal_mask(attend, queries),
                position_ids=attention.position_ids(attend)[:, -queries:],
                use_cache=cache is not None,
                **with_cache(self.network.model, cache),
            ).last_hidden_state
            logits: Tensor = self.network.lm_head(hidden[:, -1])
            return logits.to(self.device).float()

    def sync(self) -> None:
        """Wait until the device is idle."""
        devices.sync(self.device)

    def close(self) -> None:
        """Drop the network and give its memory back; the model cannot be used afterwards."""
        self.network = None
        devices.release(self.device)

    def _decode(self, rows: list[Row]) -> list[Decoded]:
        ids, attend = padded_prompts(rows, pad_id=self.pad_id, device=self.device)
        ends = torch.tensor(sorted(self.eos_ids), device=self.device)
        unwanted = torch.tensor(self.suppressed_ids, dtype=torch.int64, device=self.device)
        ended = torch.zeros(len(rows), dtype=torch.bool, device=self.device)
        cache, made = growing_cache(self.network.config) if self.network is not None else None, []
        for _ in range(rows[0].gen_length):
            logits = self.raw_logits(ids, attend, cache).index_fill_(1, unwanted, float("-inf"))
            ids = logits.argmax(dim=1, keepdim=True)
            attend = torch.cat([attend, torch.ones_like(ids, dtype=torch.bool)], dim=1)
            made.append(ids)
            ended |= torch.isin(ids[:, 0], ends)
            if bool(ended.all()):
                break
        return [
            self._decoded(row, tokens)
            for row, tokens in zip(rows, torch.cat(made, dim=1).tolist(), strict=True)
        ]

    def _decoded(self, row: Row, tokens: list[int]) -> Decoded:
        answer = self.answer_ids(tokens)
        stopped = len(answer) < len(tokens)
        ids = tuple(tokens[: len(answer) + stopped])
        return Decoded(
            key=row.key,
            ids=ids,
            nfe=len(ids),
            commit_step=tuple(range(len(ids))),
            evaluated_positions=len(row.prompt_ids) + len(ids) - 1,
            finish_reason="eos" if stopped else "length",
        )

    def _check_lengths(self, row: Row) -> None:
        length = len(row.prompt_ids) + row.gen_length
        if not row.prompt_ids:
            raise ValueError(
                f"prompt_ids must not be empty for {self.name!r}, got none in row {row.key!r}; "
                "the first token follows the last of the prompt"
            )
        if length > self.max_length and not self.tokenizer.is_fallback:
            raise ValueError(
                f"canvas of {self.name!r} must be at most {self.max_length} tokens long, got {length}; "
                "use shorter prompts, fewer worked examples or a shorter generated region"
            )


def fingerprint(request: ModelRequest) -> str:
    """Return the hash of the checkpoint's files; a hub id is fetched for it.

    Raises:
        ValueError: It cannot be found, or is incomplete.
    """
    return checkpoint_hash(find_checkpoint(request, PRESETS))


def load(request: ModelRequest) -> AutoregressiveGenerator:
    """Return the autoregressive checkpoint that *request* asks for: a preset, a folder or a hub id.

    Raises:
        LoadError: It cannot be found, has another architecture, or failed a self-test.
    """
    need_packages("transformers", "safetensors")
    directory = find_checkpoint(request, PRESETS)
    config = read_config(directory, *CHATS)
    architecture = config.values["architectures"][0]
    native, network_class = _native(config, architecture)
    preset = PRESETS.get(request.name, next(iter(PRESETS.values())))
    dtype, device = choose_dtype(request.dtype, config, preset.dtype), choose_device(request, is_mapped=True)
    rows = config.integer("vocab_size")
    tokenizer = read_tokenizer(directory, request.name, rows, qwen2_backend)
    ties = {"lm_head.weight": "model.embed_tokens.weight"} if config.values.get("tie_word_embeddings") else {}
    native.tie_word_embeddings = False
    plan = NetworkPlan(native=native, network=network_class, ties=ties)
    network, tensors = build_network(
        plan, directory, same_key, DTYPES[dtype], device, is_spread=request.device_map is not None
    )
    ends = config.ids("eos_token_id", below=rows)
    form = CHATS[architecture]
    lacking = set(range(rows)) - tokenizer.ids if isinstance(tokenizer, HFTokenizer) else set()
    generator = AutoregressiveGenerator(
        name=request.name,
        directory=directory,
        dtype=dtype,
        device=device,
        eos_ids=ends | ends_of_turn(tokenizer, form),
        pad_id=config.integer("pad_token_id", minimum=0, below=rows, default=min(ends)),
        vocab_size=rows,
        max_length=config.integer("max_position_embeddings"),
        tokenizer=tokenizer,
        chat=form,
        network=network,
        suppressed_ids=tuple(sorted(lacking)),
    )
    tests = (_rotary(generator), _padding_and_cache(generator))
    generator.self_tests = (keys_test(tensors), *all_passed(request.name, tests))
    return generator


def _native(config: Config, architecture: str) -> tuple[Any, Any]:
    """Return the config object and the network class of transformers for a published config."""
    import transformers

    for key, allowed in (
        ("use_sliding_window", (False, None)),
        ("hidden_act", ("silu",)),
        ("tie_word_embeddings", (True, False, None)),
    ):
        config.must_be(key, *allowed)
    layers = config.integer("num_hidden_layers", below=MOST_LAYERS)
    config.must_be("layer_types", ["full_attention"] * layers, None)
    kind = getattr(transformers, f"{architecture.removesuffix('ForCausalLM')}Config")
    config.refuse_unread(INERT | {*kind().to_dict(), "rope_theta", "rope_scaling"}, {})
    values = {key: value for key, value in config.values.items() if key not in INERT}
    try:
        native = kind.from_dict({**values, "attn_implementation": "sdpa"})
    except Exception as error:  # the library checks types and rope settings, each with an error of its own
        raise not_taken(config.path.parent, kind, error) from error
    return native, getattr(transformers, architecture)


def _rotary(generator: AutoregressiveGenerator) -> SelfTest:
    """The rotary table is what the published rope settings give when they are evaluated once more."""
    rotary = generator.network.model.rotary_emb
    again = fresh_rotary(generator.network, generator.network.config).inv_freq
    error = float((rotary.inv_freq.cpu() / again - 1.0).abs().max())
    return SelfTest(
        name="inv_freq", passed=error <= 1e-5, detail=f"relative error {error:.1e} over 1 rotary table"
    )


def _padding_and_cache(generator: AutoregressiveGenerator) -> SelfTest:
    """A prompt gets the same next logits alone and uncached as left-padded with its last token cached."""
    ids = ((torch.arange(1, 9) * 37) % generator.vocab_size).to(generator.device)
    alone = generator.raw_logits(ids[None], torch.ones(1, 8, dtype=torch.bool, device=generator.device))
    padded = torch.cat([ids.new_full((3,), generator.pad_id), ids])[None]
    attend = (torch.arange(11, device=generator.device) >= 3)[None]
    cache = growing_cache(generator.network.config)
    generator.raw_logits(padded[:, :-1], attend[:, :-1], cache)
    difference = float((generator.raw_logits(padded[:, -1:], attend, cache) - alone).abs().max())
    size = float(alone.abs().max())
    return SelfTest(
        name="padding_and_cache",
        passed=difference <= RELATIVE_TOLERANCE[generator.dtype] * max(1.0, size),
        detail=f"padding and a cache move logits by {difference:.1e} at size {size:.1e} in {generator.dtype}",
    )
