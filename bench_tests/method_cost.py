"""What a step of every method costs beside the model: ``python bench_tests/method_cost.py --rows 8``.

A step is everything between the logits and the update: proposals, the view, the scores that the method asks
for, and its rule. It is measured against a plain softmax and argmax over the same logits, in turns, because
machines differ and drift. What WINO and DAPD add to the forward itself is measured on a checkpoint.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from decoders.loop.forwards import Heard, interpret
from decoders.loop.loop import settle
from decoders.loop.needs import ATTENTION, PROBABILITIES, SHADOW, needs_of
from decoders.loop.slots import Slots, admit
from decoders.loop.view import batch_view, flat_query, method_view, verify
from decoders.protocols import ModelRequest
from decoders.rows import Row, Setting
from decoders.state import UnmaskingMethod
from decoders.testing.hash_denoiser import HashDenoiser
from decoders.text.frequencies import TokenCounts
from pb_plugin.planning.methods import variants_of
from pb_plugin.planning.option_grammar import parse_method
from pb_plugin.planning.registry import BUILTIN, METHODS, known

TARGET, TARGET_WITH_PROBABILITIES = 3.0, 6.0
MASK, EOS, VISIBLE = HashDenoiser.mask_id, HashDenoiser.pad_id, 2


def methods_of(names: Sequence[str], table: Path) -> dict[str, UnmaskingMethod]:
    """Return the first method of the sweep of each name; *table* is for those that ask for token counts."""
    TokenCounts(total=9, counts={2: 4, 3: 5}).write(table)
    given = {"pc_sampler": f"pc_sampler:table={table}"}
    points = known(METHODS)
    found = [variants_of(parse_method(given.get(name, name)), points)[0].method for name in names]
    return {method.name: method for method in found}


def batch(method: UnmaskingMethod, rows: int, canvas: int, vocabulary: int) -> Slots:
    """Return *rows* rows of *method* with all positions masked, ready for a step."""
    setting = Setting(method=method, k=2 if method.takes_k else None)
    denoiser = HashDenoiser(vocab_size=vocabulary)
    asked = [
        Row(key=i, prompt_ids=(3,), gen_length=canvas, setting=setting, sample_id=str(i)) for i in range(rows)
    ]
    return settle(admit(asked, denoiser, rows), denoiser)[0]


def step_of(method: UnmaskingMethod, slots: Slots, logits: torch.Tensor) -> Callable[[], Any]:
    """Return a function that takes one step, with the memory that the step before left."""
    shape = (len(slots), slots.gen_length, slots.gen_length)
    attention = torch.rand(shape) if ATTENTION in method.needs else None
    verified = torch.rand(shape[:2]) if SHADOW in method.needs else None
    remembered: list[Any] = []

    def step() -> Any:
        query = flat_query(slots.asked, sum(slots.query_count))
        heard = Heard(query=query, logits=logits, attention=attention, evaluated=())
        found = replace(interpret(slots, heard, unbiased=False), verified=verified)
        whole = batch_view(slots, found, unbiased=False)
        view = method_view(whole, slots, found, range(len(slots)))
        update, memory = method.step(view, remembered[0] if remembered else method.init(view))
        remembered[:] = [memory]
        return update

    return step


def plain(logits: torch.Tensor) -> Any:
    """Return what every decoder computes: the softmax and the best token."""
    return torch.softmax(logits, dim=1), logits.argmax(dim=1)


def seconds(works: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median processor seconds of every work, taken in turns after one unmeasured turn."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            started = time.process_time()
            work()
            if turn:
                times[name].append(time.process_time() - started)
    return {name: statistics.median(measured) for name, measured in times.items()}


def method_costs(names: Sequence[str], rows: int, canvas: int, vocabulary: int, rounds: int) -> None:
    """Print the cost of a step of every method as a multiple of a plain softmax and argmax."""
    source = torch.Generator().manual_seed(0)
    logits = torch.randn(rows * canvas, vocabulary, generator=source)
    logits[:, MASK] = float("-inf")
    with tempfile.TemporaryDirectory() as folder:
        methods = methods_of(names, Path(folder) / "counts.json")
    print(
        f"{rows} rows x {canvas} positions x {vocabulary} tokens, {4 * logits.numel() / 1e9:.2f} GB of logits"
    )
    for name, method in methods.items():
        fits = needs_of(Setting(method=method, k=2 if method.takes_k else None)).max_rows(canvas, vocabulary)
        n = min(rows, fits or rows)
        part = logits[: n * canvas]
        works = {"plain": lambda part=part: plain(part)}
        works["step"] = step_of(method, batch(method, n, canvas, vocabulary), part)
        taken = seconds(works, rounds)
        target = TARGET_WITH_PROBABILITIES if PROBABILITIES in method.needs else TARGET
        ratio = taken["step"] / taken["plain"]
        print(
            f"{name:14} {ratio:5.2f} x (target {target:g}{'' if ratio <= target else ': MISSED'}), "
            f"{1e3 * taken['plain']:7.1f} ms plain, {n} rows"
        )
    if any(SHADOW in method.needs for method in methods.values()):
        taken = seconds(
            {"plain": lambda: plain(logits), "verify": verification(rows, canvas, logits)}, rounds
        )
        print(f"judging {canvas} shadows per row {taken['verify'] / taken['plain']:5.2f} x, beside the step")


def verification(rows: int, canvas: int, logits: torch.Tensor) -> Callable[[], Any]:
    """Return a function that looks up how likely every token of a finished canvas is without itself."""
    slots = batch(registered_confidence(), rows, canvas, logits.shape[1])
    everywhere = flat_query(torch.ones_like(slots.fillable), rows * canvas)
    heard = Heard(query=everywhere, logits=logits, evaluated=())
    found = interpret(slots, heard, unbiased=False)
    filled = replace(slots, canvas=torch.full_like(slots.canvas, VISIBLE))
    return lambda: verify(filled, found, everywhere, logits)


def registered_confidence() -> UnmaskingMethod:
    """Return top-k by confidence, which needs nothing."""
    return variants_of(parse_method("confidence"), known(METHODS))[0].method


def forward_costs(folder: Path, rows: int, canvas: int, rounds: int) -> None:
    """Print what shadows and attention maps add to a forward of the LLaDA checkpoint in *folder*."""
    from decoders.models import llada

    model: Any = llada.load(ModelRequest(name="llada", source=str(folder), dtype="float32", device="cpu"))
    tokens = torch.full((rows, 2 * canvas), VISIBLE)
    tokens[:, canvas + canvas // 2 :] = model.mask_id
    attend = torch.ones_like(tokens, dtype=torch.bool)
    query, judged = (where.nonzero() for where in (tokens == model.mask_id, tokens != model.mask_id))
    judged = judged[judged[:, 1] >= canvas]
    contexts: Sequence[None] = [None] * rows
    blocks = [(canvas, 2 * canvas)] * rows
    taken = seconds(
        {
            "plain": lambda: model(tokens, attend, query, contexts),
            "shadow": lambda: model.with_shadows(tokens, attend, query, blocks, judged, contexts),
            "attention": lambda: model.with_attention(tokens, attend, query, canvas, contexts),
        },
        rounds,
    )
    print(
        f"forward of {folder.name}, {rows} rows of {canvas} prompt and {canvas} generated positions: "
        f"shadows (wino) take {taken['shadow'] / taken['plain']:.2f} x, attention maps (dapd) "
        f"{taken['attention'] / taken['plain']:.2f} x a plain one"
    )


def main() -> None:
    """Run everything that the arguments allow."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=64, help="rows of a batch; 64 take 2 GB of logits")
    parser.add_argument("--canvas", type=int, default=64, help="generated positions of a row, all masked")
    parser.add_argument("--vocabulary", type=int, default=126_464, help="columns of the logits")
    parser.add_argument("--rounds", type=int, default=5, help="measured turns, of which the median counts")
    parser.add_argument("--llada", type=Path, help="folder of a LLaDA checkpoint, for the forward part")
    parser.add_argument("--unmasking", action="append", help="a method; repeatable. Default: all registered")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, 1 thread, median of {given.rounds}")
    with torch.inference_mode():
        names = given.unmasking or list(BUILTIN[METHODS])
        method_costs(names, given.rows, given.canvas, given.vocabulary, given.rounds)
        if given.llada is not None:
            forward_costs(given.llada, given.rows, given.canvas, given.rounds)


if __name__ == "__main__":
    main()
