"""Decode traces of LoPA and D2F, stored as numbers, against our method, loop and network.

Their row grows block by block, and the keys of what is complete are kept as its last forward made them, with
the masks it saw. No cache here does that: it is put around our network, and everything else is ours.
"""

from dataclasses import replace

import pytest
import torch

from decoders.loop.batching import sweep
from decoders.rows import Decoded, Row, Setting
from decoders.unmasking.lopa import LoPA
from unit_tests.golden.replay import TRACES, cases_of, models_of, published_canvases

torch.set_num_threads(1)

MASK, END_OF_TEXT = 306, 300
CONFIDENCE = {"default": "confidence", "margin": "margin", "neg_entropy": "entropy"}

pytestmark = pytest.mark.skipif(
    not (TRACES / "lopa.json").is_file(), reason="the golden traces are development data not present here"
)


@pytest.fixture(scope="module")
def models():
    return models_of("dream")


class Growing:
    """A model whose row ends with the last block that is open, and whose keys are kept as published.

    ``rounds`` are the canvases of every forward, ``windows`` the columns that each evaluated, ``kept`` how
    many columns of these the next forwards take from the cache, behind how many.
    """

    def __init__(self, inner, case):
        self.inner, self.case, given = inner, case, case["params"]
        self.start, self.size = case["prompt_len"], given["block_size"]
        self.opens = given["block_add_threshold"]
        self.rounds, self.windows, self.kept = [], [], []
        self.n_cached, self.cache, self.lead, self.after = 0, None, None, []
        if not given["use_full_attention"]:
            self.inner = replace(inner)
            self.inner._mask = self.by_block

    def by_block(self, attend):
        """Let a block look at what is to its left and at itself; the prompt is the first block."""
        block = ((torch.arange(attend.shape[1]) - self.start) // self.size).clamp(min=-1)
        return ((block.unsqueeze(0) <= block.unsqueeze(1)) & attend.unsqueeze(1)).unsqueeze(1)

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def blocks(self, tokens):
        """Return the filled share of every block."""
        parts = [tokens[at : at + self.size] for at in range(self.start, len(tokens), self.size)]
        return [sum(token != MASK for token in part) / len(part) for part in parts]

    def end(self, tokens):
        """Return where the row ends that the model sees."""
        n_open = 1
        for share in self.blocks(tokens)[:-1]:
            if share < self.opens:
                break
            n_open += 1
        return self.start + n_open * self.size

    def complete(self, tokens):
        """Return how many columns are complete from the left."""
        n_done = 0
        for share in self.blocks(tokens):
            if share < 1.0:
                break
            n_done += 1
        return self.start + n_done * self.size

    def __call__(self, canvas, attend, query, contexts):
        if self.after:
            winner = self.case.get("winner", [0] * len(self.rounds))[len(self.rounds) - 1]
            if self.kept[-1][0]:
                self.cache, self.lead = self.after[winner]
                self.n_cached += self.kept[-1][0]
        canvas = [tokens[is_real] for tokens, is_real in zip(canvas, attend, strict=True)]
        rows = [tokens.tolist() for tokens in canvas]
        n_pads = int((~attend[0]).sum())
        n_kept = self.complete(rows[-1]) - self.n_cached
        self.after, windows = [], []
        logits = torch.zeros(len(query), self.vocab_size)
        for row, tokens in enumerate(rows):
            of_row, end = query[:, 0] == row, self.end(tokens)
            windows.append([self.n_cached, end])
            logits[of_row] = self._one(canvas[row], query[of_row, 1] - n_pads, end, n_kept)
        self.rounds.append(rows)
        self.windows.append(windows)
        self.kept.append([n_kept, self.n_cached])
        return logits

    def _one(self, tokens, asked, end, n_kept):
        cache = self.inner.new_cache(1, len(tokens))
        if self.cache is not None:
            cache.keys.copy_(self.cache.keys)
            cache.values.copy_(self.cache.values)
        attend = (torch.arange(len(tokens)) < end).unsqueeze(0)
        last = self.n_cached + n_kept
        told = (asked > self.n_cached) & (asked < end)
        positions = torch.cat([asked[told], torch.tensor([last] if n_kept and last < end else [])]).long()
        pairs = torch.stack([positions * 0, positions], dim=1)
        found = self.inner.with_cache(
            tokens.unsqueeze(0),
            attend,
            pairs,
            [None],
            cache,
            torch.zeros(1, dtype=torch.long),
            [(self.n_cached, end)],
        )
        logits = torch.zeros(len(asked), self.vocab_size)
        logits[told] = found[: int(told.sum())]
        logits[asked == self.n_cached] = 0.0 if self.lead is None else self.lead
        self.after.append((cache, found[-1] if n_kept else self.lead))
        return logits


def decoded(models, case):
    given, inner = case["params"], models[case["mask_logit"]]
    method = LoPA(
        gamma=given["skip_threshold"],
        lookaheads=given["branching_factor"] if given["use_uncertainty_logic"] else 0,
        confidence=CONFIDENCE[given["sampling_strategy"]],
        share=given["branch_topp"],
        alpha=given["selection_conf_alpha"],
        size=given["block_size"],
        opens=given["block_add_threshold"],
        forces=given["decoded_token_threshold"],
    )
    growing = Growing(inner, case)
    row = Row(
        key=0,
        prompt_ids=tuple(case["prompt"]),
        gen_length=given["max_new_tokens"],
        setting=Setting(method=method),
    )
    (outcome,) = sweep(growing, [row])
    assert isinstance(outcome, Decoded), outcome
    return outcome, growing


def copies_of(canvases):
    """Return the tokens by which every canvas of a round differs from the last, the row itself."""
    row = canvases[-1]
    return [[[at, token] for at, token in enumerate(tokens) if token != row[at]] for tokens in canvases]


def assert_same_windows(case, growing):
    """In the published code a copy with an end of text gets no further block; here it does."""
    is_single = not case["params"]["use_uncertainty_logic"]
    published = [[window] for window in case["windows"]] if is_single else case["windows"]
    for canvases, ours, expected in zip(growing.rounds, growing.windows, published, strict=True):
        for tokens, window, other in zip(canvases, ours, expected, strict=True):
            assert window == other or END_OF_TEXT in tokens[growing.start :]


def assert_as_published(models, case):
    outcome, growing = decoded(models, case)
    rows = [canvases[-1] for canvases in growing.rounds]
    assert [*rows, case["prompt"] + list(outcome.ids)] == published_canvases(case, MASK)
    assert outcome.nfe == case["rounds"]
    assert outcome.evaluated_canvases == case["nfe"]
    copies = [copies_of(canvases) for canvases in growing.rounds]
    assert copies == case.get("branches", [[[]]] * case["rounds"])
    assert growing.kept == case["kv_update_and_cached"]
    assert_same_windows(case, growing)


def test_some_cases_are_decoded_as_published(models):
    cases = cases_of("lopa")
    for case in (cases[0], cases[8], cases[12], cases[30], cases[40]):
        assert_as_published(models, case)


@pytest.mark.slow
def test_every_case_is_decoded_as_published(models):
    cases = cases_of("lopa")
    assert (len(cases), sum("branches" in case for case in cases)) == (48, 36)
    for case in cases:
        assert_as_published(models, case)
