"""RCR: its schedule, decodes by hand in which kept positions lose, and the published rounding."""

from itertools import pairwise

import pytest
import torch

from decoders.loop.batching import decode, sweep
from decoders.rows import Row, Setting
from decoders.testing import HashDenoiser, check_method
from decoders.unmasking.rcr import RCR


def test_the_rules_are_obeyed():
    check_method(RCR())
    check_method(RCR(upstream_exact=True))


def visible_per_step(play, n, method=None, **setting):
    """Return by how much the visible positions of a decode of *n* grew at each step."""
    falling = [[0.9 - 0.01 * i for i in range(n)]] * (2 * n)
    _, canvases = play(method or RCR(), falling, **setting)
    visible = [sum(token is not None for token in canvas) for canvas in canvases] + [n]
    return [after - before for before, after in pairwise(visible)]


SCHEDULES = {
    (30, 7): [5, 4, 4, 5, 4, 4, 4],
    (32, 5): [7, 6, 7, 6, 6],
    (32, 8): [4] * 8,
    (24, 12): [2] * 12,
    (3, 3): [1, 1, 1],
    (5, 1): [5],
}


@pytest.mark.parametrize(("n", "steps"), SCHEDULES)
def test_the_linear_schedule(play, n, steps):
    assert visible_per_step(play, n, max_steps=steps) == SCHEDULES[n, steps]


def test_k_asks_for_as_many_steps_as_top_k_takes(play):
    assert visible_per_step(play, 10, k=4) == [4, 3, 3]
    assert visible_per_step(play, 32, k=8) == [8] * 4


def test_the_published_schedule_slips_in_float64(play):
    published = RCR(upstream_exact=True)
    assert visible_per_step(play, 24, published, max_steps=12) == [2, 2, 2, 2, 3, 1, 2, 2, 2, 3, 1, 2]
    assert visible_per_step(play, 30, published, max_steps=7) == SCHEDULES[30, 7]


def test_a_budget_above_the_masks_is_spent_by_the_published_code_only(play):
    assert visible_per_step(play, 3, max_steps=5) == [1, 1, 1]
    published = visible_per_step(play, 3, RCR(upstream_exact=True), max_steps=5)
    assert len(published) == 5
    assert sum(published) == 3


def test_the_surest_are_kept(play):
    outcome, canvases = play(RCR(), [[0.9, 0.2, 0.8, 0.3]] * 2, k=2)
    assert canvases[1] == [10, None, 10, None]
    assert outcome.ids == (10, 11, 10, 11)
    assert (outcome.nfe, outcome.remasks) == (2, 0)


def test_a_kept_position_loses_to_a_surer_one(play):
    """Step 1 keeps 0 (0.6); step 2 keeps two of 0.6, 0.9, 0.8, so 0 is masked again; step 3 fills it."""
    outcome, canvases = play(RCR(), [[0.6, 0.5, 0.4], [0.1, 0.9, 0.8], [0.7] * 3], k=1)
    assert canvases[1:] == [[10, None, None], [None, 11, 11]]
    assert outcome.ids == (12, 11, 11)
    assert outcome.commit_step == (2, 1, 1)
    assert (outcome.nfe, outcome.remasks) == (3, 1)


def test_a_position_filled_anew_competes_with_its_new_confidence(play):
    """0 is kept with 0.6, loses, is filled again with 0.95 and then outlives 1, which was kept with 0.9."""
    script = [[0.6, 0.5, 0.4, 0.3], [0.1, 0.9, 0.7, 0.2], [0.95, 0.1, 0.1, 0.92], [0.5] * 4]
    outcome, canvases = play(RCR(), script, k=1)
    assert canvases[1:] == [[10, None, None, None], [None, 11, 11, None], [12, 11, None, 12]]
    assert outcome.commit_step == (2, 1, 3, 2)
    assert outcome.remasks == 2


def test_equal_confidences_keep_the_first_positions(play):
    _, canvases = play(RCR(), [[0.5] * 4] * 2, k=2)
    assert canvases[1] == [10, 10, None, None]


def test_positions_compete_within_their_block_only(play):
    """Block two is far surer than block one and masks none of it."""
    script = [[0.2, 0.3, 0.5, 0.5], [0.2] * 4, [0.1, 0.1, 0.9, 0.8], [0.9] * 4]
    outcome, _ = play(RCR(), script, k=1, block_length=2)
    assert outcome.ids == (11, 10, 12, 13)
    assert outcome.remasks == 0


def test_in_the_published_code_a_later_block_masks_an_earlier_one_again(play):
    """Position 1 was kept with 0.2; block two is surer, so 1 is masked and filled with its last step."""
    script = [[0.9, 0.1, 0.5, 0.5], [0.9, 0.2, 0.5, 0.5], [0.1, 0.1, 0.9, 0.8], [0.1, 0.7, 0.9, 0.9]]
    outcome, canvases = play(RCR(upstream_exact=True), script, max_steps=4, block_length=2)
    assert canvases[2:] == [[10, 11, None, None], [10, None, 12, 12]]
    assert outcome.ids == (10, 13, 12, 12)
    assert (outcome.nfe, outcome.remasks) == (4, 1)


def published(model, prompt, length, block, steps):
    """The published loop for a row of several blocks, one list at a time: ids, forwards, re-masks."""
    start, mask = len(prompt), model.mask_id
    row, last = [*prompt, *[mask] * length], {}
    forwards = remasks = 0
    for first in range(start, start + length, block):
        masks = row[first : first + block].count(mask)
        still = [int(masks * (1.0 - (t + 1) / steps)) for t in range(steps)]
        for t in range(steps):
            where = [i for i in range(start, first + block) if row[i] == mask]
            canvas = torch.tensor([row])
            query = torch.tensor([[0, i] for i in where]) if where else torch.zeros(0, 2, dtype=torch.long)
            probs = model(canvas, torch.ones_like(canvas).bool(), query, [None]).double().softmax(dim=1)
            forwards += 1
            for i, p in zip(where, probs, strict=True):
                row[i], last[i] = int(p.argmax()), float(p.max())
            again = sorted(last, key=lambda i: (last[i], -i))[: still[t]]
            remasks += sum(i not in where for i in again)
            for i in again:
                row[i] = mask
    return tuple(row[start:]), forwards, remasks


@pytest.mark.parametrize("sharpness", [2.0, 6.0, 20.0])
@pytest.mark.parametrize(("block", "steps"), [(4, 4), (4, 2), (6, 4), (6, 6), (12, 5)])
def test_several_blocks_are_decoded_as_the_published_loop_does(block, steps, sharpness):
    model, method = HashDenoiser(sharpness=sharpness), RCR(upstream_exact=True)
    prompts = [(3,), (4, 5), (6, 7, 8), (9,), (10, 11)]
    found = decode(model, prompts, method, gen_length=12, block_length=block, max_steps=steps * (12 // block))
    expected = [published(model, prompt, 12, block, steps) for prompt in prompts]
    assert [(row.ids, row.nfe, row.remasks) for row in found] == expected
    if (block, steps) == (6, 6):
        own = decode(model, prompts, RCR(), gen_length=12, block_length=block, max_steps=12)
        assert [row.ids for row in own] != [row.ids for row in found]


def test_a_template_is_never_masked(play):
    outcome, canvases = play(RCR(), [[0.9, 0.4, 0.3, 0.2]] * 3, k=1, template=[5, None, None, None])
    assert [canvas[0] for canvas in canvases] == [5, 5, 5]
    assert (outcome.ids[0], outcome.commit_step[0]) == (5, -1)


def test_rows_of_different_budgets_share_a_batch():
    rows = [
        Row(
            key=k,
            prompt_ids=(3,),
            gen_length=12,
            setting=Setting(method=RCR(), k=k, block_length=block),
        )
        for k, block in ((1, None), (3, None), (5, None), (12, None), (2, 6))
    ]
    assert {o.key: o.nfe for o in sweep(HashDenoiser(), rows)} == {1: 12, 3: 4, 5: 3, 12: 1, 2: 6}
