"""ReMDM: when it revises, what it masks again, decodes by hand, and its limit without revisions."""

import pytest

from decoders.loop.batching import decode
from decoders.testing import HashDenoiser, check_method
from decoders.unmasking.remdm import ReMDM
from decoders.unmasking.top_k import confidence

VARIANTS = {
    "default": ReMDM(),
    "many": ReMDM(kappa=3, revisions=3),
    "none": ReMDM(revisions=0),
}


@pytest.mark.parametrize("method", VARIANTS.values(), ids=VARIANTS)
def test_the_rules_are_obeyed(method):
    check_method(method)


def visible(canvases):
    return [sum(token is not None for token in canvas) for canvas in canvases]


FALLING = [[0.9 - 0.01 * i for i in range(32)]] * 64


def test_one_by_one_in_a_block_of_32_revises_at_the_forward_of_index_28(play):
    """28 tokens are visible; one is masked again before that forward and committed by it."""
    outcome, canvases = play(ReMDM(), FALLING, k=1)
    assert outcome.nfe == 33
    assert visible(canvases) == [*range(28), 27, 28, 29, 30, 31]
    assert outcome.remasks == 1


def test_several_tokens_per_step_revise_after_the_block_is_complete(play):
    outcome, canvases = play(ReMDM(), FALLING, k=2)
    assert outcome.nfe == 17
    assert visible(canvases) == [*range(0, 32, 2), 31]


def test_every_revision_masks_kappa_positions(play):
    outcome, canvases = play(ReMDM(kappa=3, revisions=4), FALLING, k=4)
    assert visible(canvases) == [*range(0, 32, 4), 29, 29, 29, 29]
    assert (outcome.nfe, outcome.remasks) == (12, 12)


def test_what_a_revision_commits_need_not_be_what_it_masked(play):
    """After two of three: 0.5 at 1 is the lowest and masked again; the revision is surer of 2."""
    script = [[0.9, 0.1, 0.1], [0.1, 0.5, 0.4], [0.1, 0.3, 0.6], [0.1, 0.8, 0.1]]
    outcome, canvases = play(ReMDM(), script, k=1)
    assert canvases[2:] == [[10, None, None], [10, None, 12]]
    assert outcome.commit_step == (0, 3, 2)
    assert (outcome.nfe, outcome.remasks) == (4, 1)


def test_an_older_commit_is_masked_again_when_it_is_the_least_sure(play):
    script = [[0.4, 0.1, 0.1], [0.1, 0.5, 0.4], [0.9, 0.1, 0.6], [0.1, 0.1, 0.7]]
    outcome, canvases = play(ReMDM(), script, k=1)
    assert canvases[2] == [None, 11, None]
    assert outcome.ids == (12, 11, 13)


def test_equal_confidences_mask_the_last_position_again(play):
    _, canvases = play(ReMDM(), [[1.0] * 4] * 3, k=2)
    assert canvases[2] == [10, 10, 11, None]


def test_fewer_commits_than_kappa_are_all_masked_again(play):
    """One committed, kappa 4: the template is left alone, and the revision commits as many as it masked."""
    outcome, canvases = play(
        ReMDM(kappa=4), [[0.5] * 4] * 5, k=1, block_length=2, template=[5, None, 5, None]
    )
    assert visible(canvases) == [2, 2, 3, 3]
    assert outcome.ids == (5, 11, 5, 13)
    outcome, canvases = play(ReMDM(kappa=4), [[0.5] * 2] * 3, k=1)
    assert visible(canvases) == [0, 0, 1]
    assert outcome.nfe == 3


def test_every_block_has_its_own_plan(play):
    outcome, canvases = play(ReMDM(), FALLING, k=1, block_length=8)
    assert outcome.nfe == 4 * 9
    first = [*range(7), 6, 7]
    assert visible(canvases) == [8 * block + n for block in range(4) for n in first]


def test_a_quota_with_a_remainder_goes_on_where_the_revision_cut_in(play):
    """Four masks in three steps are 2, 1, 1; 7 * 4 // 8 = 3 steps come first, then the revision."""
    template = [5, 5, 5, 5, None, None, None, None]
    _, canvases = play(ReMDM(), [[0.5] * 8] * 5, max_steps=3, template=template)
    assert visible(canvases) == [4, 6, 7, 7]
    _, canvases = play(ReMDM(), [[0.9 - 0.01 * i for i in range(10)]] * 12, max_steps=9)
    assert visible(canvases) == [0, 2, 3, 4, 5, 6, 7, 8, 8, 9], "8 steps, the revision, the ninth step"


def test_without_revisions_it_is_confidence():
    prompts, setting = [(3,), (4, 5)], {"gen_length": 9, "k": 2}
    ours = decode(HashDenoiser(), prompts, ReMDM(revisions=0), **setting)
    assert ours == decode(HashDenoiser(), prompts, confidence(), **setting)


REFUSED = {
    "kappa": ({"kappa": 0}, "kappa must be at least 1, got 0; revisions=0 masks nothing again"),
    "revisions": ({"revisions": -1}, "revisions must be 0 or more, got -1; 0 masks nothing again"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_a_parameter_out_of_range_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        ReMDM(**given)
