"""The conformance kit names the law that a shadow, an attention map or a cache breaks."""

import pytest
import torch

from decoders.testing import HashDenoiser, check_denoiser
from unit_tests.block_hash import BlockHash


class Offering(HashDenoiser):
    """A denoiser whose capabilities break the rule called *fault*."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def with_shadows(self, canvas, attend, query, blocks, judged, contexts):
        seen = torch.ones_like(attend) if self.fault == "padding in shadows" else attend
        logits, found = super().with_shadows(canvas, seen, query, blocks, judged, contexts)
        if self.fault == "padding in shadows":
            logits = self(canvas, attend, query, contexts)
        elif self.fault == "shadows move logits":
            logits = logits + torch.arange(23.0)
        elif self.fault == "one shadow less":
            found = found[1:]
        elif self.fault == "shadow is nan":
            found[0, 3] = float("nan")
        return logits, found

    def with_attention(self, canvas, attend, query, first, contexts, layers=None):
        seen = torch.ones_like(attend) if self.fault == "padding in attention" else attend
        logits, weights = super().with_attention(canvas, seen, query, first, contexts)
        logits = self(canvas, attend, query, contexts)
        if self.fault == "attention moves logits":
            logits = logits + torch.arange(23.0)
        elif self.fault == "whole canvas":
            weights = weights[:, 1:, 1:]
        elif self.fault == "more than all":
            weights = weights + 1.0
        elif self.fault == "less than all" and first == 0:
            weights = weights * 0.9
        return logits, weights

    def with_cache(self, canvas, attend, query, contexts, cache, rows, window):
        if self.fault == "other rows":
            rows = torch.zeros_like(rows)
        if self.fault == "nothing stored" and window is None:
            return self(canvas, attend, query, contexts)
        logits = super().with_cache(canvas, attend, query, contexts, cache, rows, window)
        return logits.flip(1) if self.fault == "other logits" else logits


OFFERS = {
    "shadows move logits": "shadows change no logit",
    "one shadow less": r"logits of shadows are \[M, V\] = \(8, 23\), got \(7, 23\)",
    "shadow is nan": "logits of shadows are finite somewhere and never NaN",
    "padding in shadows": "padding and batch mates change no shadow",
    "attention moves logits": "attention maps change no logit",
    "whole canvas": r"attention is \[B, G, G\] = \(2, 8, 8\), got \(2, 7, 7\)",
    "more than all": "attention weights are shares of 1",
    "less than all": "weights of a whole row add up to 1",
    "padding in attention": "padding and batch mates change no attention",
    "other logits": "a forward of all columns gives the logits of a plain call",
    "nothing stored": "columns that did not change give the same logits from a cache",
    "other rows": "a forward of all columns gives the logits of a plain call",
}


@pytest.mark.parametrize("fault", OFFERS)
def test_a_capability_that_breaks_a_law_is_told_which(fault):
    with pytest.raises(AssertionError, match=OFFERS[fault]):
        check_denoiser(Offering(fault))


def test_what_a_denoiser_says_it_lacks_is_not_checked():
    broken = Offering("shadow is nan")
    broken.lacks = frozenset({"shadow"})
    check_denoiser(broken)


class OfferingBlocks(BlockHash):
    """A block-causal denoiser whose cache breaks the rule called *fault*."""

    def __init__(self, fault, **given):
        super().__init__(4, **given)
        self.fault = fault

    def with_cache(self, canvas, attend, query, contexts, cache, rows, window):
        stored = cache.contents.clone()
        logits = super().with_cache(canvas, attend, query, contexts, cache, rows, window)
        if self.fault == "first keys stay":
            cache.contents[rows] = torch.where(stored[rows] == 0, cache.contents[rows], stored[rows])
            return self.read(cache.contents[rows], attend, query)
        return logits

    def read(self, contents, attend, query):
        if self.fault != "looks ahead":
            return super().read(contents, attend, query)
        trained, self.block_length = self.block_length, 1000
        logits = super().read(contents, attend, query)
        self.block_length = trained
        return logits


OFFERS_OF_BLOCKS = {
    "looks ahead": "columns to the right of a block change no logit in it",
    "first keys stay": "keys and values of finished blocks stay as they are",
}


@pytest.mark.parametrize("margin", [0, 1])
def test_a_cache_of_finished_blocks_obeys_the_rules(margin):
    check_denoiser(OfferingBlocks(None, margin=margin))


@pytest.mark.parametrize("fault", OFFERS_OF_BLOCKS)
def test_a_block_cache_that_breaks_a_law_is_told_which(fault):
    with pytest.raises(AssertionError, match=OFFERS_OF_BLOCKS[fault]):
        check_denoiser(OfferingBlocks(fault))
