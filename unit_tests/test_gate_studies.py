"""The studies of the gate against a baseline: they simulate what they say, and see a broken gate."""

from pathlib import Path

import numpy as np
import pytest
import torch

import decoders
from bench_tests import gate_study, noise_study
from bench_tests.gate_study import Curve, copies, share_red
from bench_tests.page_marks import write
from decoders.models import load
from pb_plugin.results.aggregate import aggregate
from unit_tests.pb_plugin.conftest import build_cell


def curve(n=200, settings=2):
    """Return a static curve over two tasks whose samples are right in 70 %, the first 140 of them."""
    scores = np.repeat((np.arange(n) < 0.7 * n).astype(float)[:, None], settings, axis=1)
    tasks = ("copy", "sort")
    return Curve(
        label="model-method",
        static=True,
        settings=tuple({"k": k + 1} for k in range(settings)),
        scores=dict.fromkeys(tasks, scores),
        rates=dict.fromkeys(tasks, np.broadcast_to(np.arange(1.0, settings + 1.0), scores.shape)),
    )


def test_copies_differ_by_the_churn_in_both_directions_and_by_the_drop_in_one():
    scores = np.ones((40_000, 1))
    before, after = copies(scores, np.random.default_rng(0), 0.1, 0.03)
    worse, better = (before > after).mean(), (before < after).mean()
    assert worse == pytest.approx(0.05 + 0.03, abs=0.005)
    assert better == pytest.approx(0.05, abs=0.005)


def test_a_gate_whose_bound_is_wrong_is_seen(monkeypatch):
    """With bounds of half their reach, drops by chance are called shown."""
    settings = {"churn": 0.1, "drop": 0.0, "margin": 0.0}
    assert share_red([curve()], 50, 60, **settings) <= 15.0
    monkeypatch.setattr("pb_plugin.comparing.drops.SURE", 0.2)
    assert share_red([curve()], 50, 60, **settings) >= 30.0


def test_a_large_drop_is_found():
    assert share_red([curve()], 100, 10, churn=0.02, drop=0.2, margin=1.0) == 100.0


def test_scores_between_0_and_1_are_refused():
    cells = [build_cell(task, scores=[0.5, 1.0]) for task in ("latin_square", "sudoku")]
    with pytest.raises(ValueError, match="scores must be 0 or 1, got others for latin_square"):
        gate_study.curves_of(aggregate(cells), "puzzles")
    with pytest.raises(ValueError, match="must have a full result of suite core, got none"):
        gate_study.curves_of(aggregate(cells), "core")


def test_a_table_goes_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    marks = ("<!-- a -->\n", "<!-- end of a -->\n")
    page.write_text("before\n" + "old\n".join(marks) + "after\n", encoding="utf-8")
    write("| new |\n", page, "a")
    assert page.read_text(encoding="utf-8") == "before\n" + "| new |\n".join(marks) + "after\n"
    with pytest.raises(ValueError, match="must have the mark <!-- b --> once; put it where the table"):
        write("| new |\n", page, "b")


def test_changes_reach_every_matrix_and_no_more():
    network = torch.nn.Sequential(torch.nn.ModuleList([torch.nn.Linear(4, 4) for _ in range(2)]))
    first, second = ([p.clone() for p in layer.parameters()] for layer in network[0])
    noise_study.noise(0.1, 0)(network)
    assert not torch.equal(network[0][0].weight, first[0])
    assert torch.equal(network[0][0].bias, first[1])
    noise_study.zero_layer(1)(network)
    assert network[0][1].weight.abs().sum() == 0.0
    assert torch.equal(network[0][1].bias, second[1])
    assert network[0][0].weight.abs().sum() > 0.0


def test_a_network_of_another_training_takes_the_place_of_the_one_that_is_there(loaded_libraries):
    tiny = load("tiny", device="cpu")
    network, as_it_is = tiny.network, {name: w.clone() for name, w in tiny.network.state_dict().items()}
    noise_study.noise(0.1, 0)(network)
    noise_study.retrained(Path(decoders.__file__).with_name("checkpoints") / "tiny")(network)
    assert all(torch.equal(weight, as_it_is[name]) for name, weight in network.state_dict().items())


def test_the_table_of_noise_counts_what_is_red():
    founds = [noise_study.Found(red=red, better=1.0, worse=2.0, drop=3.0) for red in (True, False, False)]
    assert noise_study.row("noise 0.1", founds) == ["noise 0.1", "3", "1.0", "2.0", "3.0", "1"]
