"""Fixtures of the method tests: a model whose probabilities are written down step by step."""

import pytest


@pytest.fixture
def play():
    """Return a function that decodes one row with a method and a script of probabilities.

    ``script[t][i]`` is the probability of the proposal at generated position i in forward t, whose token is
    10 + t, so the ids tell when a position was committed. Returned are the outcome and the generated canvases
    of every forward, None where masked.
    """
    import torch

    from decoders.loop.batching import sweep
    from decoders.rows import Decoded, Row, Setting
    from decoders.testing.hash_denoiser import HashDenoiser

    class Scripted(HashDenoiser):
        def __init__(self, script):
            super().__init__(vocab_size=60)
            self.script, self.canvases = script, []

        def __call__(self, canvas, attend, query, contexts):
            forward, length = len(self.canvases), len(self.script[0])
            seen = canvas[0, -length:].tolist()
            self.canvases.append([None if token == self.mask_id else token for token in seen])
            p = torch.tensor(self.script[forward], dtype=torch.float64)[
                query[:, 1] - canvas.shape[1] + length
            ]
            probability = ((1.0 - p) / (self.vocab_size - 2)).unsqueeze(1).repeat(1, self.vocab_size)
            probability[:, 10 + forward] = p
            probability[:, self.mask_id] = 0.0
            return probability.log().float()

    def decode(method, script, *, template=None, **setting):
        denoiser = Scripted(script)
        ids = None if template is None else tuple(denoiser.mask_id if t is None else t for t in template)
        row = Row(
            key=0,
            prompt_ids=(3, 4),
            gen_length=len(script[0]),
            setting=Setting(method=method, **setting),
            template_ids=ids,
        )
        (outcome,) = sweep(denoiser, [row])
        assert isinstance(outcome, Decoded), outcome
        assert outcome.nfe == len(denoiser.canvases)
        return outcome, denoiser.canvases

    return decode


@pytest.fixture
def nfe_of():
    """Return a function that decodes rows of 12 positions with a method and gives the set of their nfe."""
    from decoders.loop.batching import sweep
    from decoders.rows import Row, Setting
    from decoders.testing.hash_denoiser import HashDenoiser

    def count(method, *, gen_length=12, **setting):
        rows = [
            Row(
                key=i,
                prompt_ids=(3, 4 + i),
                gen_length=gen_length,
                sample_id=str(i),
                setting=Setting(method=method, **setting),
            )
            for i in range(4)
        ]
        return {outcome.nfe for outcome in sweep(HashDenoiser(sharpness=4.0), rows)}

    return count
