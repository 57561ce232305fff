"""A sweep of settings against a plain loop, measured by hand: ``python bench_tests/sweep_speed.py``.

The plain loop is what published code does: one row and one setting at a time, logits of the whole canvas, a
float64 softmax over the vocabulary, a topk for each row. Both ways ask the same network, take turns in one
run, and their tokens and forwards are compared. Seconds are those of the processor, so that other programs do
not count; that holds on a CPU. Shapes:

- ``tiny``: the shipped model, whose confidences are those of a trained network.
- ``wide``: the same function in a body of 16 layers of width 512: what is added is zero, and costs what it
  costs in a model of that size.
- ``vocabulary``: 4 layers of width 256 with random weights and 126,464 tokens. No probability comes near a
  threshold there, so thresholds walk one path and share more than they would (see the tokens per step).
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from load_memory import CONFIG
from safetensors.torch import load_file, save_file
from speed import Stopwatch
from torch import Tensor

from decoders.loop.batching import sweep
from decoders.models import llada, tiny
from decoders.protocols import ModelRequest
from decoders.rows import Decoded, Row, Setting
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import TopK, confidence, left_to_right
from pb_plugin.asking.rows import build_row
from pb_plugin.asking.samples import TaskData
from task_specs.spec import builtin_spec

KS = (1, 2, 4, 8, 16, 32)
GAMMAS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)
TASKS = ("copy", "shuffle", "insert_random", "sudoku")


def settings(n: int) -> list[Setting]:
    """Return *n* settings, a quarter each of confidence and left_to_right, half of threshold."""
    every = 24 // n
    return [
        *(Setting(method=confidence(), k=k) for k in KS[:: min(every, 6)]),
        *(Setting(method=left_to_right(), k=k) for k in KS[:: min(every, 6)]),
        *(Setting(method=Threshold(gamma=gamma)) for gamma in GAMMAS[::every]),
    ][:n]


def plain(model: Any, row: Row) -> tuple[tuple[int, ...], int]:
    """Return the tokens and the forwards of *row* by a loop of its own, as published code has it."""
    prompt, length, method = len(row.prompt_ids), row.gen_length, row.setting.method
    template = row.template_ids or (model.mask_id,) * length
    canvas = torch.tensor([[*row.prompt_ids, *template]])
    attend = torch.ones_like(canvas, dtype=torch.bool)
    everywhere = torch.stack([torch.zeros_like(canvas[0]), torch.arange(canvas.shape[1])], dim=1)
    n_masks, steps = int((canvas == model.mask_id).sum()), 0
    n_steps = -(-n_masks // (row.setting.k or 1))
    while bool((canvas == model.mask_id).any()):
        logits = model(canvas, attend, everywhere, [row.context])
        p, proposal = torch.softmax(logits.double(), dim=1).max(dim=1)
        masked = canvas[0] == model.mask_id
        if isinstance(method, Threshold):
            chosen = masked & (p >= method.gamma)
            chosen[p.masked_fill(~masked, -1.0).argmax()] = True
        else:
            assert isinstance(method, TopK)
            score = p if method.score == "confidence" else -torch.arange(len(p)).double()
            share = n_masks // n_steps + (steps < n_masks % n_steps)
            chosen = torch.zeros_like(masked)
            chosen[score.masked_fill(~masked, float("-inf")).topk(share).indices] = True
        canvas[0, chosen] = proposal[chosen]
        steps += 1
    return tuple(canvas[0, prompt:].tolist()), steps


def tiny_rows(model: Any, samples: int, chosen: Sequence[Setting]) -> list[Row]:
    """Return questions of some tasks under every setting, those of a sample one after the other."""
    rows: list[Row] = []
    for task in TASKS:
        data = TaskData(planned=builtin_spec(task), data=None, n_samples=samples)
        for question in data.asked("compact"):
            rows += [
                build_row(len(rows) + i, question, data.spec, setting, 0, model, None)
                for i, setting in enumerate(chosen)
            ]
    return rows


def random_rows(model: Any, samples: int, chosen: Sequence[Setting]) -> list[Row]:
    """Return prompts of 180 random tokens with 32 tokens to generate."""
    source, rows = torch.Generator().manual_seed(0), []
    for sample in range(samples):
        prompt = tuple(torch.randint(2, 1000, (180,), generator=source).tolist())
        for setting in chosen:
            rows.append(
                Row(key=len(rows), prompt_ids=prompt, gen_length=32, setting=setting, sample_id=str(sample))
            )
    return rows


def write_wide(folder: Path) -> None:
    """Write `tiny` into a body of 16 x 512: zeros beside its weights, and norms that make up for them."""
    shipped = Path(str(files("decoders") / "checkpoints" / "tiny"))
    config = json.loads((shipped / "config.json").read_text())
    layers, narrow, width, inner = config["n_layers"], config["d_model"], 512, 1408
    weights = load_file(shipped / "model.safetensors")
    parts = {name: weight for name, weight in weights.items() if ".blocks.0." in name}
    grown: dict[str, Tensor] = {}
    for layer in range(16):
        for name, first in parts.items():
            own = name.replace(".blocks.0.", f".blocks.{layer}.")
            size = [{narrow: width, config["mlp_hidden_size"]: inner}[side] for side in first.shape]
            grown[own] = torch.zeros(size)
            if layer < layers:
                grown[own][tuple(slice(side) for side in first.shape)] = weights[own]
    for name in weights.keys() - grown.keys():
        grown[name] = torch.zeros([width if side == narrow else side for side in weights[name].shape])
        grown[name][..., :narrow] = weights[name]
    shrink = (narrow / width) ** 0.5
    grown = {name: weight * shrink if weight.ndim == 1 else weight for name, weight in grown.items()}
    config |= {"d_model": width, "n_layers": 16, "mlp_hidden_size": inner}
    config |= {f"n{kind}_heads": config[f"n{kind}_heads"] * width // narrow for kind in ("", "_kv")}
    config["rms_norm_eps"] *= narrow / width
    for file in shipped.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    save_file({name: weight.contiguous() for name, weight in grown.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))


def write_vocabulary(folder: Path) -> None:
    """Write a LLaDA of 4 x 256 with random weights and the vocabulary of the published one."""
    size, width, wide = 126_464, 256, 768
    source = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {"wte": (size, width), "ln_f": (width,), "ff_out": (size, width)}
    for layer in range(4):
        own = f"blocks.{layer}"
        shapes |= {f"{own}.{name}_proj": (width, width) for name in "qkv"}
        shapes |= {f"{own}.{name}": (width,) for name in ("attn_norm", "ff_norm")}
        shapes |= {f"{own}.{name}": (wide, width) for name in ("ff_proj", "up_proj")}
        shapes |= {f"{own}.attn_out": (width, width), f"{own}.ff_out": (width, wide)}
    weights = {
        f"model.transformer.{name}.weight": torch.ones(shape)
        if len(shape) == 1
        else 0.05 * torch.randn(shape, generator=source)
        for name, shape in shapes.items()
    }
    save_file(weights, folder / "model.safetensors")
    numbers = {"d_model": width, "n_heads": 8, "n_layers": 4, "mlp_hidden_size": wide, "vocab_size": size}
    marks = {"mask_token_id": size - 1, "eos_token_id": size - 2, "pad_token_id": size - 2}
    (folder / "config.json").write_text(json.dumps({**CONFIG, **numbers, **marks, "torch_dtype": "float32"}))


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """How a model is made, loaded and asked."""

    write: Callable[[Path], None] | None
    load: Callable[[ModelRequest], Any]
    rows: Callable[[Any, int, Sequence[Setting]], list[Row]]
    per_task: int


SHAPES = {
    "tiny": Shape(write=None, load=tiny.load, rows=tiny_rows, per_task=len(TASKS)),
    "wide": Shape(write=write_wide, load=tiny.load, rows=tiny_rows, per_task=len(TASKS)),
    "vocabulary": Shape(write=write_vocabulary, load=llada.load, rows=random_rows, per_task=1),
}


def measure(model: Any, rows: Sequence[Row], rounds: int) -> str:
    """Return a line: how much faster a shared and an unshared sweep is than the plain loop."""
    seconds = {"plain": 0.0, "unshared": 0.0, "shared": 0.0}
    inside, computed, found = 0.0, 0, dict[str, list[tuple[tuple[int, ...], int]]]()
    for _ in range(rounds):
        for way in seconds:
            watched, sizes, started = Stopwatch(model), list[int](), time.process_time()
            if way == "plain":
                found[way] = [plain(model, row) for row in rows]
            else:
                outcomes = [
                    outcome
                    for outcome in sweep(watched, rows, on_step=sizes.append, share=way == "shared")
                    if isinstance(outcome, Decoded)
                ]
                outcomes.sort(key=lambda outcome: outcome.key)
                found[way] = [(outcome.ids, outcome.nfe or 0) for outcome in outcomes]
            seconds[way] += time.process_time() - started
            if way == "shared":
                inside, computed = inside + watched.seconds, sum(sizes)
    equal = sum(ours == theirs for ours, theirs in zip(found["shared"], found["plain"], strict=True))
    counted = sum(nfe for _, nfe in found["shared"])
    tokens = sum(
        sum(t == model.mask_id for t in r.template_ids or (model.mask_id,) * r.gen_length) for r in rows
    )
    return (
        f"{seconds['plain'] / rounds:8.1f} s  x{seconds['plain'] / seconds['unshared']:5.1f} "
        f"x{seconds['plain'] / seconds['shared']:5.1f}   {inside / seconds['shared']:4.0%}   "
        f"{computed / counted:4.0%} of {counted:6}   {tokens / counted:5.2f}   {equal}/{len(rows)}"
    )


def main() -> None:
    """Print the table of every shape, by samples and settings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", action="append", choices=list(SHAPES), help="default: all")
    parser.add_argument("--samples", type=int, nargs="+", default=[4], help="for each task; default: 4")
    parser.add_argument("--settings", type=int, nargs="+", default=[12], choices=(6, 12, 24))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(
        "shape       samples settings  plain loop  unshared shared  in network  computed  tokens/step  equal"
    )
    for name in given.shape or SHAPES:
        shape = SHAPES[name]
        with tempfile.TemporaryDirectory() as folder:
            if shape.write is not None:
                shape.write(Path(folder))
            source = folder if shape.write is not None else None
            model = shape.load(ModelRequest(name=name, source=source))
            for samples in given.samples:
                for n_settings in given.settings:
                    rows = shape.rows(model, samples, settings(n_settings))
                    shown = f"{name:12}{samples * shape.per_task:7}{n_settings:8}  "
                    print(shown + measure(model, rows, given.rounds), flush=True)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
