"""Training goes down, and a training that was stopped anywhere ends where it would have ended."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from decoders.loading.checkpoint import Config
from decoders.training import checkpoint
from decoders.training import loop as training
from decoders.training.checkpoint import STATE_FILE, read_standing
from decoders.training.loop import Recipe
from decoders.training.masked import by_task, masked_errors
from decoders.training.tiny import new_network, train_tiny
from pb_plugin.cli.train_tiny import lessons
from task_specs.questions.vocabulary import TASK_WORD, TASKS
from unit_tests.long_forms import by_hand

ROOT = Path(__file__).resolve().parents[3]
LESSONS = lessons()
RECIPE = Recipe(seed=1, steps=5)
UNSEEN = 1000
"""Number of a batch that is not trained on."""

FINISHED = ["config.json", "model.safetensors", "tokenizer.json", STATE_FILE]


class Stopped(Exception):
    """What ends a training in the middle of these tests."""


def stop_at(step):
    def tell(progress):
        if progress.step == step:
            raise Stopped

    return tell


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A training of a few steps that nothing stopped: its folder and what it was told."""
    folder, told = tmp_path_factory.mktemp("trained"), []
    train_tiny(folder, RECIPE, LESSONS, compiled=False, tell=told.append)
    return folder, told


@pytest.fixture
def often(monkeypatch):
    """Tell of every step and save after every step."""
    monkeypatch.setattr(training, "TELL_EVERY", 1)
    monkeypatch.setattr(training, "SAVE_EVERY_S", 0.0)


def same_end(folder, other):
    """Return whether two folders hold the same model, weight for weight and moment for moment."""
    ends = [load_file(path / STATE_FILE) for path in (folder, other)]
    assert len(ends[0]) == 3 * 47
    return (
        ends[0].keys() == ends[1].keys()
        and all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
        and (folder / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    )


def network_of(folder=None, seed=RECIPE.seed):
    network = new_network(Config(path=Path("config.json"), values=LESSONS.config_json()), seed)
    if folder is not None:
        weights = load_file(folder / STATE_FILE)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(weights[name])
    return network


def loss_of(network, batch):
    with torch.no_grad():
        errors = masked_errors(network.model, network.lm_head.weight, batch)
    return float((errors * batch.weights).sum() / batch.weights.sum())


def test_a_few_steps_lower_the_loss_of_a_batch_they_did_not_see(finished):
    folder, _ = finished
    before, after = (
        loss_of(network, LESSONS.batch_of(1, UNSEEN)) for network in (network_of(), network_of(folder))
    )
    assert after < before - 0.1


def test_the_same_seed_gives_the_same_first_weights_and_another_one_others():
    first, again, other = (
        dict(network_of(seed=seed).named_parameters()) for seed in (RECIPE.seed, RECIPE.seed, 2)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


def test_a_training_that_is_done_says_so_and_holds_the_model(finished):
    folder, told = finished
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sorted(path.relative_to(folder).as_posix() for path in files) == sorted(FINISHED)
    standing = read_standing(folder)
    assert (standing.step, standing.recipe) == (5, {"seed": 1, "steps": 5, "rate": 2e-3})
    (last,) = told
    assert (last.step, last.steps, last.left) == (5, 5, 0.0)
    assert last.losses == standing.losses[-1]
    assert {*last.losses} <= {"step", *TASKS}
    assert all(0.0 < loss < 60.0 for name, loss in last.losses.items() if name != "step")
    assert 0.0 < last.seconds <= standing.seconds


def test_another_call_after_the_end_changes_nothing(finished, tmp_path):
    folder, _ = finished
    again = shutil.copytree(folder, tmp_path / "again")
    train_tiny(again, RECIPE, LESSONS, compiled=False, tell=stop_at(5))
    assert same_end(again, folder)


@pytest.mark.usefixtures("often")
def test_a_stopped_training_goes_on_bit_for_bit(finished, tmp_path):
    """It is stopped after step 4 was taken, and before it was saved."""
    folder, _ = finished
    with pytest.raises(Stopped):
        train_tiny(tmp_path, RECIPE, LESSONS, compiled=False, tell=stop_at(4))
    assert read_standing(tmp_path).step == 3
    assert not (tmp_path / "model.safetensors").exists()
    told = []
    end = train_tiny(tmp_path, RECIPE, LESSONS, compiled=False, tell=told.append)
    assert [progress.step for progress in told] == [4, 5]
    assert [losses["step"] for losses in end.losses] == [1, 2, 3, 4, 5]
    assert told[0].seconds > 0.0
    assert same_end(tmp_path, folder)


@pytest.mark.usefixtures("often")
def test_a_training_stopped_while_it_writes_goes_on_from_what_it_wrote_before(
    finished, tmp_path, monkeypatch
):
    folder, _ = finished
    written = []

    def dies_at_the_third(tensors, path, **options):
        written.append(path)
        if len(written) == 3:
            path.write_bytes(b"half of it")
            raise Stopped
        save_file(tensors, path, **options)

    monkeypatch.setattr("safetensors.torch.save_file", dies_at_the_third)
    with pytest.raises(Stopped):
        train_tiny(tmp_path, RECIPE, LESSONS, compiled=False)
    monkeypatch.undo()
    assert list(tmp_path.rglob("*.new")) == [tmp_path / f"{STATE_FILE}.new"]
    assert read_standing(tmp_path).step == 2
    train_tiny(tmp_path, RECIPE, LESSONS, compiled=False)
    assert same_end(tmp_path, folder)
    assert not list(tmp_path.rglob("*.new"))


KILLED = """
import os, signal, sys
from pathlib import Path
from decoders.training import checkpoint, loop, tiny
from pb_plugin.cli.train_tiny import lessons

loop.TELL_EVERY, loop.SAVE_EVERY_S = 1, 0.0
folder, where = Path(sys.argv[1]), sys.argv[2]
saves = []

def tell(progress):
    if where == "between" and progress.step == 4:
        os.kill(os.getpid(), signal.SIGKILL)

def fsync(number, sync=os.fsync):
    saves.append(number)
    if where == "saving" and len(saves) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    sync(number)

checkpoint.os.fsync = fsync
tiny.train_tiny(folder, loop.Recipe(seed=1, steps=5), lessons(), compiled=False, tell=tell)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("where", "saved"), [pytest.param("between", 3, marks=by_hand), ("saving", 2)])
def test_a_training_killed_with_kill_9_goes_on_bit_for_bit(finished, tmp_path, where, saved):
    folder, _ = finished
    for start in (where, "nowhere"):
        run = subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path), start],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        if start == where:
            assert run.returncode == -signal.SIGKILL, run.stderr
            assert read_standing(tmp_path).step == saved
    assert run.returncode == 0, run.stderr
    assert same_end(tmp_path, folder)


@pytest.mark.parametrize("other", [Recipe(seed=2, steps=5), Recipe(seed=1, steps=6)], ids=["seed", "steps"])
def test_a_training_of_another_recipe_is_refused(finished, other):
    folder, _ = finished
    before = (folder / STATE_FILE).read_bytes()
    with pytest.raises(
        ValueError,
        match=r"must hold a training of the same recipe, \{'seed': .*\}, "
        r"got \{'seed': 1, 'steps': 5, 'rate': 0.002\}; choose another folder, or ask "
        "for the same seed and steps to go on",
    ):
        train_tiny(folder, other, LESSONS, compiled=False)
    assert (folder / STATE_FILE).read_bytes() == before


def test_a_training_begun_with_other_code_that_draws_is_refused(finished):
    folder, _ = finished
    with pytest.raises(
        ValueError,
        match=r"begun by this version, code [0-9a-f]{12}, got [0-9a-f]{12}; choose another folder",
    ):
        train_tiny(folder, RECIPE, replace(LESSONS, code="another"), compiled=False)


def test_the_hash_of_a_folder_is_of_what_its_modules_mean(tmp_path):
    code = tmp_path / "draw.py"
    code.write_text("A = 1\n", encoding="utf-8")
    before = training.folder_code(tmp_path)
    code.write_text("A = 1  # the same\n", encoding="utf-8")
    assert training.folder_code(tmp_path) == before
    code.write_text("A = 2\n", encoding="utf-8")
    assert training.folder_code(tmp_path) != before
    assert LESSONS.code == training.folder_code(ROOT / "task_specs" / "questions")


def line_learner(seen=None):
    """Return a learner of a line through points, to which the loop has no other tie than the loss."""
    torch.manual_seed(3)
    network = torch.nn.Linear(2, 1)

    def loss_of(step):
        points = torch.randn(8, 2, generator=torch.Generator().manual_seed(step))
        errors = (network(points)[:, 0] - points[:, 0] + 2 * points[:, 1]) ** 2
        if seen is not None:
            seen.append(step)
        return errors.mean(), torch.stack([errors.detach().sum(), torch.tensor(8.0)])[:, None]

    return training.Learner(network=network, loss_of=loss_of, tasks=("line",), code="points")


@pytest.mark.usefixtures("often")
def test_any_network_with_any_loss_is_trained_and_goes_on_where_it_stood(tmp_path):
    recipe = Recipe(steps=150, rate=0.1)
    whole, seen = line_learner(), []
    end = training.train(tmp_path / "whole", recipe, whole)
    assert end.losses[-1]["line"] < 1e-3 * end.losses[0]["line"]
    assert torch.allclose(whole.network.weight, torch.tensor([[1.0, -2.0]]), atol=0.01)
    with pytest.raises(Stopped):
        training.train(tmp_path / "part", recipe, line_learner(), tell=stop_at(60))
    resumed = line_learner(seen)
    training.train(tmp_path / "part", recipe, resumed)
    assert seen == list(range(59, 150))
    assert torch.equal(resumed.network.weight, whole.network.weight)
    assert torch.equal(resumed.network.bias, whole.network.bias)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_another_checkpoint_is_not_written_over(tmp_path, name):
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(
        ValueError,
        match=rf"must be new, or hold a training that was stopped, got {name} without training/state\.safe",
    ):
        train_tiny(tmp_path, Recipe(steps=1), LESSONS, compiled=False)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.usefixtures("two_threads")
def test_training_keeps_to_its_threads_and_puts_the_number_back(tmp_path):
    found = []

    def tell(progress):
        found.append(torch.get_num_threads())
        raise Stopped

    with pytest.raises(Stopped):
        train_tiny(tmp_path, Recipe(steps=1), LESSONS, threads=1, compiled=False, tell=tell)
    assert found == [1]
    assert torch.get_num_threads() == 2


def test_losses_per_task_are_means_over_hidden_names_alone():
    batch = LESSONS.batch_of(1, 0)
    errors = torch.rand(batch.targets.shape, generator=torch.Generator().manual_seed(0))
    sums, numbers = by_task(errors, batch, len(TASKS))
    for place in range(len(TASKS)):
        rows = batch.ids[:, 0] == TASK_WORD + place
        counted = batch.weights[rows] == 1.0
        assert numbers[place] == counted.sum()
        assert float(sums[place]) == pytest.approx(float(errors[rows][counted].sum()), rel=1e-5)
    assert numbers.sum() > 0


def test_errors_are_the_cross_entropy_of_the_targets_over_every_position():
    """Against a plain forward in float32; the training computes in bfloat16.

    The weights are large enough for attention to matter: a causal mask moves the errors by 17 %, counting
    positions without the gap before the tail by 4 %, and rounding by 0.3 %.
    """
    batch, network = LESSONS.batch_of(1, 3), network_of()
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in network.model.layers:
            for weight in (layer.self_attn.v_proj.weight, layer.self_attn.o_proj.weight):
                weight.normal_(std=128**-0.5, generator=source)
        errors = masked_errors(network.model, network.lm_head.weight, batch)
        length = batch.ids.shape[1]
        logits = network(
            input_ids=batch.ids,
            attention_mask=torch.zeros(len(batch.ids), 1, length, length),
            position_ids=batch.positions,
        ).logits[:, -batch.targets.shape[1] :]
    exact = -logits.log_softmax(dim=-1).gather(2, batch.targets[:, :, None])[:, :, 0]
    assert errors.dtype == torch.float32
    assert float((errors - exact).abs().mean()) < 0.01 * float(exact.abs().mean())


@pytest.mark.parametrize("number", [0, 4])
def test_at_first_half_of_the_heads_look_at_positions_like_themselves(number):
    layer = network_of().model.layers[number].self_attn
    query, key = layer.q_proj.weight, layer.k_proj.weight
    assert torch.equal(query[:64], key[:64])
    assert not torch.equal(query[64:], key[64:])
    assert float(query.detach().std()) == pytest.approx(1.5 * 128**-0.5, rel=0.05)


def test_the_state_is_named_after_the_weights(finished):
    folder, _ = finished
    names = {name for name, _ in network_of().named_parameters()}
    moments = {f"{moment}/{name}" for moment in checkpoint.MOMENTS for name in names}
    assert set(load_file(folder / STATE_FILE)) == names | moments
