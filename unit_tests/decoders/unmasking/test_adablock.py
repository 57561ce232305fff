"""AdaBlock: ends of blocks by hand and by a naive second implementation, and what the loop does with them."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoders.loop.batching import decode
from decoders.loop.needs import check_offered
from decoders.rows import DecodeError, NotSupported, Setting
from decoders.testing import HashDenoiser, check_method
from decoders.unmasking.adablock import AdaBlock
from decoders.unmasking.threshold import Threshold

PROMPTS = [(3,), (4, 5), (6, 7, 8)]


class Ids:
    """A tokenizer whose texts are lists of ids."""

    def encode(self, text):
        return [int(part) for part in text.split()]


class Texts(HashDenoiser):
    def __init__(self, **fields):
        super().__init__(**fields)
        self.tokenizer = Ids()


@pytest.mark.parametrize("method", [AdaBlock(), AdaBlock(length=3, gamma=0.3, delimiters="abc")])
def test_the_rules_are_obeyed(method):
    check_method(method)


def test_every_default_sweep_can_be_built():
    assert [AdaBlock(**params).gamma for params in AdaBlock.sweep] == [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def naively(model, prompt, length, method, outer):
    """The rule, block by block: ids, the forward of each commit, and where blocks ended."""
    start, mask, delimiters = len(prompt), model.mask_id, model.tokenizer.encode(method.delimiters)
    canvas, commit_step, ends, forward = [*prompt, *[mask] * length], [-1] * length, [0], 0
    while mask in canvas:
        first = canvas.index(mask) - start
        row = torch.tensor([canvas])
        query = torch.tensor([[0, start + i] for i in range(length)])
        probs = model(row, torch.ones_like(row).bool(), query, [None]).double().softmax(dim=1)
        p, best = probs.max(dim=1).values.tolist(), probs.argmax(dim=1).tolist()
        if first >= ends[-1]:
            wall = (first // outer + 1) * outer
            ahead = range(first, min(first + length // 4, wall))
            found = [i for i in ahead if best[i] in delimiters and canvas[start + i] == mask]
            surest = max(found, key=lambda i: (p[i], -i), default=None)
            if surest is not None and p[surest] >= method.delimiter_gamma:
                ends.append(surest + 1)
            else:
                ends.append(min(first + method.length, wall))
        masks = [i for i in range(first, ends[-1]) if canvas[start + i] == mask]
        top = max(masks, key=lambda i: (p[i], -i))
        for i in masks:
            if p[i] >= method.gamma or i == top:
                canvas[start + i], commit_step[i] = best[i], forward
        forward += 1
    return tuple(canvas[start:]), tuple(commit_step), ends


@given(
    gamma=st.sampled_from([0.2, 0.5, 0.9]),
    length=st.sampled_from([1, 3, 5, 40]),
    delimiter_gamma=st.sampled_from([0.0, 0.2, 0.4]),
    delimiters=st.sampled_from(["5", "5 9 13", " ".join(map(str, range(2, 20)))]),
    outer=st.sampled_from([8, 16]),
)
@settings(deadline=None, max_examples=40)
def test_it_is_the_rule_written_down_naively(gamma, length, delimiter_gamma, delimiters, outer):
    model = Texts()
    method = AdaBlock(gamma=gamma, length=length, delimiter_gamma=delimiter_gamma, delimiters=delimiters)
    rows = decode(model, PROMPTS, method, gen_length=16, block_length=outer)
    for prompt, row in zip(PROMPTS, rows, strict=True):
        ids, commit_step, ends = naively(model, prompt, 16, method, outer)
        assert (row.ids, row.commit_step) == (ids, commit_step)
        assert ends[-1] == 16


def test_without_delimiters_it_is_threshold_in_blocks():
    ours = decode(Texts(), PROMPTS, AdaBlock(gamma=0.3, length=4, delimiters="0"), gen_length=12)
    assert ours == decode(Texts(), PROMPTS, Threshold(gamma=0.3), gen_length=12, block_length=4)
    uneven = decode(Texts(), PROMPTS, AdaBlock(gamma=1.0, length=5, delimiters="0"), gen_length=12)
    for row in uneven:
        order = sorted(range(12), key=lambda i: row.commit_step[i])
        assert [sorted(order[a:b]) for a, b in ((0, 5), (5, 10), (10, 12))] == [
            [*range(5)],
            [*range(5, 10)],
            [10, 11],
        ]


@pytest.mark.parametrize(("cache", "last"), [("dual", (5, 10, 12)), ("prefix", (12, 12, 12))])
def test_a_cached_forward_has_the_window_of_the_moved_block(cache, last):
    """Blocks of 5, 5 and 2 after a prompt of 2: a full forward where one begins, its columns afterwards."""
    seen = []

    class Watched(Texts):
        def with_cache(self, canvas, attend, query, contexts, cache, rows, window):
            assert len(canvas) == 1
            first = int(attend[0].long().argmax()) + 2
            seen.append(window and tuple(column - first for column in window[0]))
            return super().with_cache(canvas, attend, query, contexts, cache, rows, window)

    method = AdaBlock(gamma=1.0, length=5, delimiters="0")
    decode(Watched(), PROMPTS[1:2], method, gen_length=12, cache=cache)
    blocks = zip((0, 5, 10), last, (4, 4, 1), strict=True)
    assert seen == [step for start, end, n in blocks for step in (None, *[(start, end)] * n)]


class Blocked(HashDenoiser):
    block_length = 4


def test_a_cache_of_finished_blocks_is_refused():
    with pytest.raises(NotSupported, match="cache must not be block for method adablock, whose"):
        check_offered(Blocked(), Setting(method=AdaBlock(), cache="block"))


@dataclass(frozen=True, kw_only=True)
class Silent(AdaBlock):
    moves_block_end: ClassVar[bool] = False


def test_a_method_that_sets_the_end_must_say_so():
    with pytest.raises(DecodeError, match="block_end must be one position per row of a method that declares"):
        decode(Texts(), PROMPTS, Silent(delimiters="5"), gen_length=12)


REFUSED = {
    "gamma": ({"gamma": 0.0}, r"gamma must be in \(0, 1\], got 0\.0; 0\.9 is the published default"),
    "length": ({"length": 0}, "length must be a whole number of at least 1, got 0; 32 is the published"),
    "delimiter_gamma": ({"delimiter_gamma": 2.0}, r"delimiter_gamma must be in \[0, 1\], got 2\.0; 0\.3 is"),
    "delimiters": ({"delimiters": ""}, "delimiters must be a text, got none; a newline is the published"),
}


@pytest.mark.parametrize(("given_", "message"), REFUSED.values(), ids=REFUSED)
def test_a_parameter_out_of_range_is_refused(given_, message):
    with pytest.raises(ValueError, match=message):
        AdaBlock(**given_)
