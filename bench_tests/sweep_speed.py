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
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import product
from math import prod
from pathlib import Path
from random import Random
from typing import Any

import torch
from load_memory import CONFIG
from page_marks import write
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


COLUMNS = (
    "shape",
    "samples",
    "settings",
    "plain loop",
    "sweep",
    "faster, each forward computed",
    "shared",
    "in the network",
    "forwards computed",
    "tokens per step",
    "equal",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One row of the table: a shape with so many samples and settings, ready to be measured."""

    shape: str
    model: Any
    samples: int
    settings: Sequence[Setting]
    rows: Sequence[Row]

    def measure(self, alone: int) -> Measured:
        """Return what the ways took; the plain loop and unshared rows answer a draw of *alone* rows at most.

        Both are linear in rows, so that their cost is that of each forward times the forwards of all rows.
        """
        drawn = sorted(Random(0).sample(range(len(self.rows)), min(alone, len(self.rows))))
        some = [self.rows[index] for index in drawn]
        started = time.process_time()
        theirs = [plain(self.model, row) for row in some]
        plain_s = time.process_time() - started
        unshared_s, _, _, unshared = self._swept(some, share=False)
        shared_s, inside_s, computed, shared = self._swept(self.rows, share=True)
        found = [(shared[row.key].ids, shared[row.key].nfe) for row in some]
        by_setting = {id(setting): [0, 0] for setting in self.settings}
        for row in self.rows:
            tokens, forwards = by_setting[id(row.setting)]
            by_setting[id(row.setting)] = [tokens + self._masks(row), forwards + (shared[row.key].nfe or 0)]
        counted = sum(outcome.nfe or 0 for outcome in shared.values())
        each = counted / sum(nfe for _, nfe in theirs)
        return Measured(
            plain_s=plain_s * each,
            unshared_s=unshared_s * each,
            shared_s=shared_s,
            inside_s=inside_s,
            computed=computed,
            counted=counted,
            tokens=sum(tokens for tokens, _ in by_setting.values()),
            per_step=[tokens / forwards for tokens, forwards in by_setting.values()],
            alone=len(some),
            equal=sum(
                a == b == (unshared[row.key].ids, unshared[row.key].nfe)
                for a, b, row in zip(found, theirs, some, strict=True)
            ),
        )

    def _swept(self, rows: Sequence[Row], *, share: bool) -> tuple[float, float, int, dict[Any, Decoded]]:
        """Return the seconds, those of them in the network, the canvases computed, and the results by key."""
        watched, sizes, started = Stopwatch(self.model), list[int](), time.process_time()
        outcomes = list(sweep(watched, rows, on_step=sizes.append, share=share))
        seconds = time.process_time() - started
        done = {outcome.key: outcome for outcome in outcomes if isinstance(outcome, Decoded)}
        return seconds, watched.seconds, sum(sizes), done

    def _masks(self, row: Row) -> int:
        return sum(
            t == self.model.mask_id for t in row.template_ids or (self.model.mask_id,) * row.gen_length
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What a cell took, in seconds of the processor, and how often all agreed."""

    plain_s: float
    unshared_s: float
    shared_s: float
    inside_s: float
    computed: int
    counted: int
    tokens: int
    per_step: Sequence[float]
    alone: int
    equal: int

    def columns(self, cell: Cell) -> list[str]:
        """Return the row of the table, as `COLUMNS` has it."""
        return [
            cell.shape,
            str(cell.samples),
            str(len(cell.settings)),
            f"{self.plain_s:.1f} s",
            f"{self.shared_s:.1f} s",
            f"{self.plain_s / self.unshared_s:.1f}",
            f"{self.plain_s / self.shared_s:.1f}",
            f"{self.inside_s / self.shared_s:.0%}",
            f"{self.computed / self.counted:.0%} of {self.counted:,}",
            f"{self.tokens / self.counted:.2f}",
            f"{self.equal} of {self.alone}",
        ]


def per_step(cell: Cell, measured: Measured) -> list[list[str]]:
    """Return a row for each method: its tokens per step at every setting."""
    shown: dict[str, list[str]] = {}
    for setting, rate in zip(cell.settings, measured.per_step, strict=True):
        knob = setting.method.gamma if isinstance(setting.method, Threshold) else setting.k
        shown.setdefault(setting.method.name, []).append(f"{knob}: {rate:.1f}")
    return [[cell.shape, method, ", ".join(rates)] for method, rates in shown.items()]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    return "".join(f"| {' | '.join(line)} |\n" for line in (header, ["---"] * len(header), *rows))


def cells(name: str, model: Any, samples: Sequence[int], n_settings: Sequence[int]) -> Iterator[Cell]:
    """Yield the cells of the shape called *name*, the fewest rows first."""
    shape = SHAPES[name]
    for n_samples, n in sorted(product(samples, n_settings), key=prod):
        chosen = settings(n)
        rows = shape.rows(model, max(1, n_samples // shape.per_task), chosen)
        yield Cell(shape=name, model=model, samples=n_samples, settings=chosen, rows=rows)


def main() -> None:
    """Print the table of every shape, by samples and settings, and write it into a page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", action="append", choices=list(SHAPES), help="default: all")
    parser.add_argument("--samples", type=int, nargs="+", default=[4, 8, 16, 32], help="multiples of 4")
    parser.add_argument("--settings", type=int, nargs="+", default=[6, 12, 24], choices=(6, 12, 24))
    parser.add_argument(
        "--alone", type=int, default=10**9, metavar="ROWS", help="rows of the ways that are linear in rows"
    )
    parser.add_argument(
        "--minutes", type=float, default=12.0, help="what would take a shape longer is left out"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into this page")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    table, rates, loads = list[list[str]](), list[list[str]](), [os.getloadavg()[0]]
    for name in given.shape or SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            write_model, source = SHAPES[name].write, None
            if write_model is not None:
                write_model(Path(folder))
                source = folder
            model = SHAPES[name].load(ModelRequest(name=name, source=source))
            started, of_shape = time.monotonic(), list[list[str]]()
            for cell in cells(name, model, given.samples, given.settings):
                begun = time.monotonic()
                measured = cell.measure(given.alone)
                table.append(measured.columns(cell))
                print(" | ".join(table[-1]), flush=True)
                of_shape = per_step(cell, measured)
                loads.append(os.getloadavg()[0])
                if 2 * (time.monotonic() - begun) + begun - started > 60 * given.minutes:
                    break
            rates += of_shape
    busy = f"{min(loads):.1f} to {max(loads):.1f} programs wanted one of {os.cpu_count()} processors"
    head = f"torch {torch.__version__}, threads: {given.threads}; meanwhile {busy}.\n\n"
    told = markdown(("shape", "method", "tokens per step at each setting"), rates)
    text = f"{head}{markdown(COLUMNS, table)}\n{told}"
    print(text)
    if given.write:
        write(text, given.write, "sweep_speed")


if __name__ == "__main__":
    with torch.inference_mode():
        main()
