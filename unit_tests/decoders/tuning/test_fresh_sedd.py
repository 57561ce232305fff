"""A new SEDD can copy before it has learned anything, and so it soon learns what to copy."""

import pytest
import torch

from decoders.models.sedd.checkpoint import load_sedd
from decoders.protocols import ModelRequest
from decoders.tuning.fresh_sedd import Sizes, write_start
from task_specs.questions.vocabulary import ID, tokenizer_json

LETTERS = [ID[letter] for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
SMALL = {"width": 64, "layers": 2, "heads": 2, "condition": 16, "length": 32}


@pytest.mark.parametrize("graph", ["absorb", "uniform"])
def test_before_training_what_the_prompt_holds_scores_higher_than_what_it_does_not(graph, tmp_path):
    """With weights that are all drawn apart the mean difference is within 0.04 of 0."""
    write_start(tmp_path, Sizes(graph=graph, **SMALL), tokenizer_json(), "<eos>", seed=0)
    checkpoint = load_sedd(ModelRequest(name="sedd-tiny", source=str(tmp_path), device="cpu"), {})
    noise = ID["sudoku"] if graph == "uniform" else checkpoint.states - 1
    query = torch.tensor([[0, 2], [0, 3]])
    higher = []
    for first in range(0, 26, 2):
        canvas = torch.tensor([[*LETTERS[first : first + 2], noise, noise]])
        attend = torch.ones_like(canvas, dtype=torch.bool)
        with torch.inference_mode():
            scores = checkpoint.network.log_scores(canvas, attend, torch.ones(1), query)[:, LETTERS]
        seen = torch.zeros(26, dtype=torch.bool)
        seen[first : first + 2] = True
        higher.append(scores[:, seen].mean() - scores[:, ~seen].mean())
    assert torch.stack(higher).mean() > 0.1
