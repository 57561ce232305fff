"""Speed of the loop on one GPU, by one command without network or weights: ``python bench_tests/gpu.py``.

It makes a network with the shape of LLaDA-8B on the device, with random weights in bfloat16, and decodes
greedily at batch 1, 2, 4 and so on, until memory is full or the time is over (under 4 minutes in all). Each
line is held against a plain loop in the same run: batch 1, logits of the whole canvas, a float64 softmax.
The roofline is what this device did just before in one large product and one large copy, not what its
maker promises. Further: whether batches change tokens, whether a second run is equal, how often the host
waited, and whether the shipped model `tiny` gives the same tokens on this device as on the CPU.

Small, on a CPU: ``--layers 2 --width 256 --vocabulary 2048 --device cpu --most-rows 4``.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from decoders import devices
from decoders.budget import Budget
from decoders.loading.checkpoint import choose_device
from decoders.loop.batching import sweep
from decoders.models import tiny
from decoders.network.compiled import CompiledBody
from decoders.network.denoiser import NativeDenoiser
from decoders.network.transformers_interior import fresh_rotary, use_full_precision_rope, use_own_attention
from decoders.protocols import ModelRequest
from decoders.rows import Decoded, Row, Setting
from decoders.text.byte_tokenizer import ByteTokenizer
from decoders.text.chat import LLADA_CHAT
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import confidence
from pb_plugin.asking.rows import build_row
from pb_plugin.asking.samples import TaskData
from task_specs.spec import builtin_spec

PROMPT, GENERATED, K = 192, 64, 16
FORWARDS = GENERATED // K
COMPARED = 8
"""Rows whose tokens are compared between batches."""

HEADER = (
    "batch  forwards/s  tokens/s  x plain  peak GiB  of roofline  bound by  in selection  equal to batch 1"
)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A LLaDA: *inner* is the width of its feed-forward layers."""

    layers: int
    width: int
    inner: int
    heads: int
    vocabulary: int

    def work(self, rows: int) -> tuple[float, float]:
        """Return the operations and bytes of the forwards that decode *rows*, without what selection does.

        Products of weights and of attention, at 2 operations each; weights read once by a forward, logits
        written once. Norms and activations are left out.
        """
        body = self.layers * (4 * self.width**2 + 3 * self.width * self.inner)
        head, length = self.vocabulary * self.width, PROMPT + GENERATED
        queried = rows * sum(GENERATED - K * step for step in range(FORWARDS))
        products = 2 * rows * length * body + 4 * rows * length**2 * self.width * self.layers
        moved = 2 * FORWARDS * (body + head) + 4 * queried * self.vocabulary
        return float(FORWARDS * products + 2 * queried * head), float(moved)


def make(shape: Shape, device: torch.device, *, compiled: bool) -> NativeDenoiser:
    """Return a LLaDA of this *shape* with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=4096,
        attn_implementation="sdpa",
        tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
    )
    with torch.device("meta"):
        network = LlamaForCausalLM(config).to(torch.bfloat16).eval()
    network = network.to_empty(device=device)
    source = torch.Generator(device).manual_seed(0)
    for weight in network.parameters():
        _ = weight.fill_(1.0) if weight.ndim == 1 else weight.normal_(0.0, 0.02, generator=source)
    network.model.rotary_emb = fresh_rotary(network, config).to(device)
    use_full_precision_rope(network)
    use_own_attention(network)
    mask = shape.vocabulary - 1
    return NativeDenoiser(
        name="random",
        directory=Path(),
        dtype="bfloat16",
        device=device,
        mask_id=mask,
        eos_ids=frozenset({mask - 1}),
        pad_id=mask - 1,
        vocab_size=shape.vocabulary,
        max_length=4096,
        suppressed_ids=(mask,),
        tokenizer=ByteTokenizer(vocab_size=shape.vocabulary),
        chat=LLADA_CHAT,
        network=network,
        compiled=CompiledBody(network.model) if compiled else None,
    )


def questions(model: NativeDenoiser, n: int, k: int = K) -> list[Row]:
    """Return *n* prompts of random tokens; the first ones are always the same."""
    source, setting = torch.Generator().manual_seed(1), Setting(method=confidence(), k=k)
    prompts = [torch.randint(2, model.vocab_size - 2, (PROMPT,), generator=source).tolist() for _ in range(n)]
    return [
        Row(key=i, prompt_ids=tuple(ids), gen_length=GENERATED, setting=setting, sample_id=str(i))
        for i, ids in enumerate(prompts)
    ]


class Watched:
    """A denoiser that waits for the device around every forward, and keeps the seconds spent inside."""

    def __init__(self, model: NativeDenoiser) -> None:
        self._model = model
        self.seconds = 0.0

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)

    def __call__(self, *arguments: object) -> torch.Tensor:
        """Return the logits, on the clock."""
        self._model.sync()
        started = time.perf_counter()
        logits = self._model(*arguments)  # type: ignore[arg-type]
        self._model.sync()
        self.seconds += time.perf_counter() - started
        return logits


def decoded(model: NativeDenoiser | Watched, rows: Sequence[Row], batch: int) -> tuple[list[Decoded], int]:
    """Return the results in order, and the most rows that a forward had: fewer where memory is full."""
    sizes: list[int] = []
    budget = Budget(tokens=2**62, max_rows=batch)
    found = list(sweep(model, rows, budget=budget, on_step=sizes.append))  # type: ignore[arg-type]
    failed = [outcome for outcome in found if not isinstance(outcome, Decoded)]
    if failed:
        raise failed[0].error
    done = [outcome for outcome in found if isinstance(outcome, Decoded)]
    return sorted(done, key=lambda outcome: int(outcome.key)), max(sizes)


def clocked(model: NativeDenoiser, rows: Sequence[Row], batch: int) -> tuple[float, list[Decoded], int]:
    """Return the seconds of `decoded`, and what it gives."""
    model.sync()
    started = time.perf_counter()
    found, most = decoded(model, rows, batch)
    model.sync()
    return time.perf_counter() - started, found, most


def plain(model: NativeDenoiser, row: Row) -> tuple[int, ...]:
    """Return the tokens of *row* by a loop of its own, as published code has it."""
    ids = [*row.prompt_ids, *(model.mask_id,) * row.gen_length]
    canvas = torch.tensor([ids], device=model.device)
    attend = torch.ones_like(canvas, dtype=torch.bool)
    everywhere = torch.stack(
        [torch.zeros_like(canvas[0]), torch.arange(len(ids), device=model.device)], dim=1
    )
    for _ in range(FORWARDS):
        p, proposal = torch.softmax(model(canvas, attend, everywhere, [None]).double(), dim=1).max(dim=1)
        masked = canvas[0] == model.mask_id
        chosen = p.masked_fill(~masked, -1.0).topk(K).indices
        canvas[0, chosen] = proposal[chosen]
    return tuple(canvas[0, PROMPT:].tolist())


def peaks(device: torch.device) -> tuple[float, float]:
    """Return the operations and the bytes per second of this device: a bfloat16 product, and a copy."""
    side = 8192 if device.type == "cuda" else 512
    square = torch.ones(side, side, dtype=torch.bfloat16, device=device)
    large = torch.ones(2**30 if device.type == "cuda" else 2**25, dtype=torch.int8, device=device)
    product = _best(lambda: square @ square, device)
    copy = _best(lambda: large.clone(), device)
    return 2 * side**3 / product, 2 * len(large) / copy


def _best(work: object, device: torch.device, times: int = 5) -> float:
    seconds = []
    for _ in range(times):
        devices.sync(device)
        started = time.perf_counter()
        work()  # type: ignore[operator]
        devices.sync(device)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def waits(model: NativeDenoiser, rows: Sequence[Row]) -> str:
    """Return how often the host waited for the GPU in a step, as torch counts it."""
    if model.device.type != "cuda":
        return "waits of the host are counted on a GPU only"
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            decoded(model, rows, len(rows))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    n_waits = sum("synchroniz" in str(warning.message) for warning in told)
    return (
        f"the host waited {n_waits} times in {FORWARDS} steps of {len(rows)} rows (1 a step, 2 at the ends)"
    )


def same_on_cpu(device: torch.device) -> str:
    """Return how many results of `tiny` are the same on *device* and on the CPU."""
    found = []
    for place in ("cpu", str(device)):
        model = tiny.load(ModelRequest(name="tiny", device=place))
        rows: list[Row] = []
        for task in ("copy", "shuffle", "insert_random", "sudoku"):
            data = TaskData(planned=builtin_spec(task), data=None, n_samples=4)
            for question in data.asked("compact"):
                for setting in (Setting(method=confidence(), k=2), Setting(method=Threshold(gamma=0.9))):
                    rows.append(build_row(len(rows), question, data.spec, setting, 0, model, None))
        found.append(decoded(model, rows, 64)[0])
    equal = sum(ours == theirs for ours, theirs in zip(*found, strict=True))
    return (
        f"tiny in float32: {equal} of {len(found[0])} records equal on {devices.name_of(device)} and the CPU"
    )


def line(
    model: NativeDenoiser,
    shape: Shape,
    batch: int,
    limits: tuple[float, float],
    plain_s: float,
    alone: Sequence[Decoded],
) -> tuple[str, float, bool]:
    """Return the line of one batch size, the seconds it took, and whether all rows were in one forward."""
    began, rows = time.perf_counter(), questions(model, batch)
    decoded(model, questions(model, batch, k=GENERATED), batch)  # warm: one forward
    memory = devices.PeakMemory(model.device)
    memory.start()
    seconds, found, most = clocked(model, rows, batch)
    peak = memory.most()
    watched = Watched(model)
    started = time.perf_counter()
    decoded(watched, rows, batch)
    selection = 1.0 - watched.seconds / (time.perf_counter() - started)
    operations, moved = shape.work(batch)
    least = (operations / limits[0], moved / limits[1])
    equal = sum(ours.ids == theirs.ids for ours, theirs in zip(found, alone, strict=False))
    text = (
        f"{batch:5}{FORWARDS / seconds:12.2f}{batch * GENERATED / seconds:10.0f}"
        f"{plain_s * batch / seconds:9.1f}"
        f"{'-' if peak is None else f'{peak / 2**30:.1f}':>10}{max(least) / seconds:13.0%}"
        f"{'products' if least[0] > least[1] else 'memory':>10}{selection:14.0%}"
        f"{f'{equal}/{min(batch, len(alone))}':>18}"
    )
    return text, time.perf_counter() - began, most == batch


def main(words: Sequence[str] | None = None) -> None:
    """Print everything."""
    began = time.perf_counter()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--width", type=int, default=4096, help="of the model; a multiple of 128")
    parser.add_argument("--vocabulary", type=int, default=126_464)
    parser.add_argument("--device", help="default: the best one present")
    parser.add_argument("--most-rows", type=int, default=2**20, help="default: until memory is full")
    parser.add_argument("--seconds", type=float, default=200.0, help="no batch is begun that would end later")
    parser.add_argument("--compile", action="store_true", help="compile the body (takes a minute or more)")
    given = parser.parse_args(words)
    device = choose_device(ModelRequest(name="gpu", device=given.device))
    shape = Shape(
        layers=given.layers,
        width=given.width,
        inner=3 * given.width,
        heads=max(1, given.width // 128),
        vocabulary=given.vocabulary,
    )
    limits = peaks(device)
    model = make(shape, device, compiled=given.compile)
    own = model.numerics
    print(
        f"{shape.layers} layers x {shape.width}, {shape.vocabulary} tokens, {own.dtype}, "
        f"{own.attention} attention, TF32 {'on' if own.tf32 else 'off'}, "
        f"{'' if own.compiled else 'not '}compiled, torch {own.torch}\n"
        f"{own.device}: {limits[0] / 1e12:.2f} TFLOP/s in a product, {limits[1] / 1e9:.1f} GB/s in a copy\n"
        f"{PROMPT} tokens of prompt, {GENERATED} generated in {FORWARDS} forwards"
    )
    first = questions(model, COMPARED)
    plain(model, first[0])
    model.sync()
    started = time.perf_counter()
    told = [plain(model, row) for row in first[:2]]
    model.sync()
    plain_s = (time.perf_counter() - started) / len(told)
    print(f"plain loop: {FORWARDS / plain_s:.2f} forwards/s, {GENERATED / plain_s:.0f} tokens/s")
    alone, _ = decoded(model, first, 1)
    same = sum(ours.ids == theirs for ours, theirs in zip(alone, told, strict=False))
    print(f"our loop at batch 1 and the plain one: {same} of {len(told)} rows equal\n{HEADER}")
    batch, last, whole = 1, 0.0, True
    while whole and batch <= given.most_rows:
        if time.perf_counter() - began + 2.2 * last > given.seconds:
            print(f"batch {batch}: left out, it would end after {given.seconds:.0f} s")
            break
        text, last, whole = line(model, shape, batch, limits, plain_s, alone)
        print(text if whole else f"batch {batch}: memory is full", flush=True)
        batch *= 2
    twice = [decoded(model, first, COMPARED)[0] for _ in range(2)]
    print(f"the same batch twice: {'equal' if twice[0] == twice[1] else 'NOT equal'}")
    print(waits(model, first))
    model.close()
    print(same_on_cpu(device))
    print(f"{time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    with torch.inference_mode():
        main()
