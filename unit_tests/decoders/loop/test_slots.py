"""Padding on the left of prompts, and cutting it, changes no position that holds anything."""

import pytest
import torch

from decoders.loop.slots import admit, longest_prompt, widened
from decoders.rows import Row, Setting
from decoders.testing import HashDenoiser
from decoders.unmasking.top_k import confidence

HASH = HashDenoiser()


def slots(*lengths, width):
    setting = Setting(method=confidence(), k=1)
    rows = [
        Row(key=i, prompt_ids=tuple(range(3, 3 + n)), gen_length=4, setting=setting, sample_id=str(i))
        for i, n in enumerate(lengths)
    ]
    return admit(rows, HASH, width)


@pytest.mark.parametrize("lengths", [(2, 5, 0), (3,), (0, 0)], ids=str)
def test_slots_are_those_that_enter_at_that_width(lengths):
    narrow, wide = (slots(*lengths, width=width) for width in (max(lengths), max(lengths) + 3))
    assert longest_prompt(narrow.rows) == max(lengths)
    for found, expected in (
        (widened(narrow, max(lengths) + 3, HASH.pad_id), wide),
        (widened(wide, max(lengths), HASH.pad_id), narrow),
        (widened(wide, max(lengths) + 3, HASH.pad_id), wide),
    ):
        assert torch.equal(found.canvas, expected.canvas)
        assert torch.equal(found.attend, expected.attend)
        assert torch.equal(found.generated, expected.generated)
    assert longest_prompt([]) == 0
