"""Methods with the exact model: as often right at a shuffle of six as the sizes of their steps say.

r items left and s positions committed together are right with probability r! / (r - s)! / r^s. Every count
lies in its central interval at 1e-6; the draws are keyed, so a passing seed passes everywhere.
"""

import itertools

import pytest
from scipy.stats import binom

from decoders.loop.batching import sweep
from decoders.models.ideal import Ideal
from decoders.rows import Decoded, Row, Setting
from decoders.text.tokenizer import EOS_ID, MASK_ID, PieceTokenizer
from decoders.theory.answer_sets import enumerated
from decoders.unmasking.credit import Credit
from decoders.unmasking.dus import DUS
from decoders.unmasking.eb import EB
from decoders.unmasking.hierarchy import Hierarchy
from decoders.unmasking.hierarchy_remask import HierarchyRemask
from decoders.unmasking.rcr import RCR
from decoders.unmasking.remdm import ReMDM
from decoders.unmasking.slowfast import SlowFast
from decoders.unmasking.threshold import Threshold

TOKENIZER = PieceTokenizer()
ITEMS = "abcdef"
SAMPLES = 600


@pytest.fixture(scope="module")
def shuffles():
    texts = ["".join(order) for order in itertools.permutations(ITEMS)]
    weights = [1.0] * len(texts)
    return enumerated(TOKENIZER, texts, weights, gen_length=len(ITEMS), eos_id=EOS_ID, sample="s")


CASES = {
    "dus, levels 2 and 4": (DUS(tau=0.0), {}, 30 / 36 * 24 / 256, 2),
    "dus, deferring all but the best": (DUS(tau=1.0), {}, 6 / 6 * 120 / 5**5, 2),
    "dus, blocks of 2": (DUS(), {"block_length": 2}, 30 / 36 * 12 / 16 * 2 / 4, 3),
    "eb, two at a time": (EB(gamma=1.8), {}, 30 / 36 * 12 / 16 * 2 / 4, 3),  # ln 6 = 1.79, 2 ln 4 = 2.77
    "eb, none": (EB(gamma=0.0), {}, 1.0, 6),
    "slowfast above a half": (SlowFast(tau=0.6), {}, 1.0, 6),
    "slowfast at a half": (SlowFast(tau=0.5), {}, 0.5, 5),
    "threshold in dinfer takes all ties": (Threshold(gamma=1.0, rule="dinfer"), {}, 720 / 6**6, 1),
    "credit takes all ties": (Credit(gamma=1.0), {}, 720 / 6**6, 1),
    "credit, blocks of 2": (Credit(gamma=1.0), {"block_length": 2}, 30 / 36 * 12 / 16 * 2 / 4, 3),
    "hierarchy, no best of a run is sure": (Hierarchy(gamma=1.0, low=0.6), {}, 1.0, 6),
    "hierarchy, blocks of 2 have one run": (Hierarchy(gamma=1.0, low=0.0), {"block_length": 2}, 1.0, 6),
    "hierarchy_remask, nothing is sure": (HierarchyRemask(gamma=1.0, low=0.6), {}, 1.0, 6),
    "rcr, all at once": (RCR(), {"k": 6}, 720 / 6**6, 1),
    "remdm, without revisions": (ReMDM(revisions=0), {"k": 2}, 30 / 36 * 12 / 16 * 2 / 4, 3),
    "remdm, one by one": (ReMDM(), {"k": 1}, 1.0, 7),
}


def test_methods_are_as_often_right_as_their_steps_say(shuffles):
    denoiser = Ideal(TOKENIZER, mask_id=MASK_ID, eos_id=EOS_ID, vocab_size=len(TOKENIZER))
    rows = [
        Row(
            key=(name, index),
            prompt_ids=(),
            gen_length=len(ITEMS),
            setting=Setting(method=method, **setting),
            context=shuffles,
            sample_id=f"{name}-{index}",
        )
        for name, (method, setting, _, _) in CASES.items()
        for index in range(SAMPLES)
    ]
    right, nfe = dict.fromkeys(CASES, 0), {name: set() for name in CASES}
    for outcome in sweep(denoiser, rows):
        assert isinstance(outcome, Decoded), outcome
        name = outcome.key[0]
        right[name] += len(set(outcome.ids)) == len(ITEMS)
        nfe[name].add(outcome.nfe)
    for name, (_, _, accuracy, forwards) in CASES.items():
        low, high = binom.interval(1 - 1e-6, SAMPLES, accuracy) if accuracy < 1.0 else (SAMPLES, SAMPLES)
        assert low <= right[name] <= high, (name, right[name] / SAMPLES, accuracy)
        assert nfe[name] == {forwards}, name


@pytest.mark.parametrize("method", [RCR(), ReMDM(kappa=2, revisions=2)], ids=["rcr", "remdm"])
def test_masking_again_leaves_no_mask(shuffles, method):
    """A revision can be told apart: what is masked again is counted."""
    denoiser = Ideal(TOKENIZER, mask_id=MASK_ID, eos_id=EOS_ID, vocab_size=len(TOKENIZER))
    rows = [
        Row(
            key=i,
            prompt_ids=(),
            gen_length=len(ITEMS),
            setting=Setting(method=method, k=2),
            context=shuffles,
            sample_id=str(i),
        )
        for i in range(50)
    ]
    found = list(sweep(denoiser, rows))
    assert all(isinstance(outcome, Decoded) and MASK_ID not in outcome.ids for outcome in found)
    assert any(outcome.remasks for outcome in found)
