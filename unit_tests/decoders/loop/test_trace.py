"""A trace tells every commit and every mask; played again it gives the canvas, and it changes no result."""

from dataclasses import replace

import pytest

from decoders.loop.batching import Budget, sweep
from decoders.rows import Row, Setting, Trace
from decoders.testing import HashDenoiser
from decoders.unmasking.rcr import RCR
from decoders.unmasking.remdm import ReMDM
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import TopK
from decoders.unmasking.wino import WINO

LENGTH = 16
METHODS = [
    Setting(method=TopK(score="confidence"), k=3),
    Setting(method=TopK(score="random"), k=2, temperature=0.8),
    Setting(method=Threshold(gamma=0.2)),
    Setting(method=WINO(tau1=0.05, tau2=0.2)),
    Setting(method=RCR(), k=2),
    Setting(method=ReMDM(), k=2),
]


def rows_of(setting, *, traced):
    return [
        Row(
            key=n,
            prompt_ids=(3, 4 + n),
            gen_length=LENGTH,
            setting=setting,
            sample_id=str(n % 2),
            trace=Trace() if traced else None,
        )
        for n in range(4)
    ]


def played(trace, mask):
    """Return the canvas and the forward of the last commit of each position, after all that *trace* tells."""
    canvas, steps = [mask] * LENGTH, [-1] * LENGTH
    told = [(step, 0, position, token) for step, position, token, _ in trace.commits]
    told += [(step, 1, position, mask) for step, position in trace.remasks]
    for step, is_mask, position, token in sorted(told):
        canvas[position], steps[position] = token, -1 if is_mask else step
    return tuple(canvas), tuple(steps)


@pytest.mark.parametrize("setting", METHODS, ids=lambda setting: setting.method.name)
@pytest.mark.parametrize("share", [True, False], ids=["shared", "alone"])
def test_played_again_it_gives_the_result_which_it_leaves_alone(setting, share):
    model = HashDenoiser()
    rows = rows_of(setting, traced=True)
    found = {one.key: one for one in sweep(model, rows, budget=Budget(tokens=64), share=share)}
    plain = {one.key: one for one in sweep(model, rows_of(setting, traced=False), share=share)}
    assert found == plain
    for row in rows:
        done, trace = found[row.key], row.trace
        assert played(trace, model.mask_id) == (done.ids, done.commit_step)
        assert len(trace.remasks) == done.remasks
        assert all(0.0 <= confidence <= 1.0 for *_, confidence in trace.commits)
        assert [told[0] for told in trace.commits] == sorted(told[0] for told in trace.commits)


def test_remasking_is_seen_in_a_trace():
    rows = rows_of(METHODS[3], traced=True)
    list(sweep(HashDenoiser(), rows))
    assert any(row.trace.remasks for row in rows)


def test_rows_without_a_trace_stand_beside_one_that_has():
    first, *others = rows_of(METHODS[0], traced=False)
    traced = replace(first, trace=Trace())
    list(sweep(HashDenoiser(), [traced, *others]))
    assert len(traced.trace.commits) == LENGTH
    assert traced == first, "it takes no part in what a row is"
