"""A step waits for the device once: host and device meet in one transfer, and another where rows end.

What makes a GPU wait is counted on the CPU, where the same calls are made: values read by the host, and
shapes that depend on values.
"""

from collections import Counter

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from decoders.loop.batching import sweep
from decoders.loop.loop import advance
from decoders.rows import Row, Setting
from decoders.testing import HashDenoiser
from decoders.testing.hash_denoiser import example_slots
from decoders.unmasking.dapd import DAPD
from decoders.unmasking.eb import EB
from decoders.unmasking.factor import Factor
from decoders.unmasking.klass import KLASS
from decoders.unmasking.lopa import LoPA
from decoders.unmasking.prophet import Prophet
from decoders.unmasking.remdm import ReMDM
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import TopK, confidence, entropy, left_to_right, margin, random
from decoders.unmasking.wino import WINO

READING = {"tolist", "numpy", "cpu", "__bool__", "__int__", "__float__", "__index__", "item"}
OF_VALUES = {"aten.nonzero.default", "aten.masked_select.default", "aten._local_scalar_dense.default"}
METHODS = [
    *(make() for make in (random, left_to_right, confidence, margin, entropy)),
    *(Threshold(gamma=0.3), Factor(f=1.0), EB(gamma=1.0), KLASS(tau=0.2, eps=2.0), Prophet(), ReMDM()),
    *(WINO(), DAPD()),
]


class Counting:
    """Counts, of what is done inside, all that would make a device wait."""

    def __init__(self):
        self.seen = Counter()
        seen = self.seen

        class Functions(TorchFunctionMode):
            def __torch_function__(self, function, types, args=(), kwargs=None):
                name = getattr(function, "__name__", "")
                if name in READING:
                    seen[name] += 1
                return function(*args, **(kwargs or {}))

        class Operators(TorchDispatchMode):
            def __torch_dispatch__(self, function, types, args=(), kwargs=None):
                if str(function) in OF_VALUES:
                    seen[str(function)] += 1
                by_mask = str(function) in {"aten.index.Tensor", "aten.index_put_.default"} and any(
                    index is not None and index.dtype == torch.bool for index in args[1]
                )
                seen["index by a mask"] += by_mask
                return function(*args, **(kwargs or {}))

        self._modes = (Functions(), Operators())

    def __enter__(self):
        for mode in self._modes:
            mode.__enter__()
        return self.seen

    def __exit__(self, *error):
        for mode in reversed(self._modes):
            mode.__exit__(*error)


def rows(method, n=3):
    k = {"k": 2} if method.takes_k else {}
    own = {"prompt_ids": (3, 4), "gen_length": 8, "setting": Setting(method=method, **k)}
    return [Row(key=i, sample_id=str(i), **own) for i in range(n)]


def waited(asked, **given):
    """Return what was waited for, the steps taken, and those in which rows ended."""
    steps, ends = [], set()
    with Counting() as seen:
        for outcome in sweep(HashDenoiser(), asked, on_step=steps.append, **given):
            ends.add((len(steps), type(outcome).__name__))
    assert {name for _, name in ends} == {"Decoded"}
    return +seen, len(steps), len(ends)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_step_has_one_transfer_and_one_more_where_rows_end(method):
    seen, steps, ends = waited(rows(method))
    assert seen == {"tolist": 1 + steps + ends}  # 1: where the rows enter


def test_a_step_gives_the_device_few_operations():
    """Each is a kernel to launch, whatever the model: a fast card may wait for them longer than for it."""
    batch, model = example_slots(confidence()), HashDenoiser()

    class Operations(TorchDispatchMode):
        n = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.n += 1
            return function(*args, **(kwargs or {}))

    with Operations() as whole:
        advance(batch, model)
    with Operations() as of_the_model:
        model(batch.canvas, batch.attend, torch.tensor([[0, 0]]), ())
    assert whole.n - of_the_model.n < 240  # 220 when this was written


def test_shared_forwards_wait_no_more_than_others():
    settings = [Setting(method=confidence(), k=k) for k in (1, 2, 4)] + [Setting(method=Threshold(gamma=0.5))]
    asked = [
        Row(key=(i, sample), prompt_ids=(3, 4), gen_length=8, setting=setting, sample_id=sample)
        for sample in "ab"
        for i, setting in enumerate(settings)
    ]
    with Counting() as seen:
        assert len(list(sweep(HashDenoiser(), asked))) == len(asked)
    assert set(+seen) == {"tolist"}


def test_a_method_that_drafts_has_one_more_for_its_drafts():
    seen, steps, ends = waited(rows(LoPA()))
    assert seen == {"tolist": 1 + 2 * steps + ends}


def test_a_method_that_reads_values_is_counted():
    """The test itself: a method that asks the host what to do waits once more in every step."""

    class Peeking(TopK):
        def step(self, view, memory):
            assert bool(view.eligible.any())
            return super().step(view, memory)

    seen, steps, ends = waited(rows(Peeking(score="confidence")))
    assert seen["__bool__"] + seen["aten._local_scalar_dense.default"] >= steps
    assert seen["tolist"] == 1 + steps + ends
