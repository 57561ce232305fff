"""The steps of a fine-tuning: stopped, killed, cut into parts or shared, it learns the same."""

import csv
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

pytest.importorskip("accelerate", reason="fine-tuning needs the extra tune")

from accelerate import Accelerator

from decoders.training.checkpoint import STATE_FILE, read_standing
from decoders.tuning.batches import Example
from decoders.tuning.loop import LOSSES_FILE, Course, check_folder, losses_text, tune
from decoders.tuning.settings import settings_of
from unit_tests.long_forms import by_hand
from unit_tests.pages import ROOT

SETTINGS = settings_of(
    "full",
    {
        "epochs": 3,
        "batch": 4,
        "train_samples": 36,
        "validation_samples": 5,
        "rate": 0.4,
        "save_every_s": 0.0,
    },
)
STEPS = 27


class Averages(nn.Module):
    """A stand-in for a loss: one number per token is to become the number of the token, with drawn noise."""

    def __init__(self):
        super().__init__()
        self.values = nn.Parameter(torch.zeros(6))
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)

    def noise(self, clean, chosen):
        noise = torch.tensor([row.time * row.rng.normal() for row in chosen]).float()
        return clean.ids, noise

    def forward(self, ids, noise):
        return ((self.values[ids] - ids - noise[:, None]) ** 2).mean(dim=1)


def draw(split, number):
    return Example(prompt=(number % 6,), canvas=((number * 5 + 1) % 6,), learned=(True,))


def course(folder, settings=SETTINGS, **fields):
    accelerator = Accelerator(cpu=True, mixed_precision="no")
    chosen = {"asked": {"model": "averages", "tasks": ["a"]}, "code": "1234", "draw": draw, "pad_id": 0}
    return Course(folder=folder, settings=settings, accelerator=accelerator, **{**chosen, **fields})


def trained(folder, settings=SETTINGS, **fields):
    asked, objective = course(folder, settings, **fields), Averages()
    standing = tune(asked, objective, check_folder(asked, ("config.json",)))
    return standing, objective


class Stop(Exception):
    pass


def stop_after(step):
    def tell(progress):
        if progress.step >= step:
            raise Stop

    return tell


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("whole"))


def same(one, other):
    return one.losses == other.losses and all(
        torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors
    )


def test_it_learns_and_keeps_what_is_frozen(finished):
    standing, objective = finished
    assert standing.step == STEPS
    assert standing.losses[-1]["train"] < standing.losses[0]["train"] / 3
    assert objective.frozen.tolist() == [1.0] * 3
    assert set(standing.tensors) == {"values", "exp_avg/values", "exp_avg_sq/values"}


def test_the_curve_has_a_validation_loss_at_the_end_of_each_epoch(finished):
    standing, _ = finished
    steps = [entry["step"] for entry in standing.losses]
    assert steps == [9, 10, 18, 20, 27]
    assert [entry["step"] for entry in standing.losses if "validation" in entry] == [9, 18, 27]
    assert standing.losses[-1]["epoch"] == 3.0
    rows = list(csv.DictReader(losses_text(standing.losses).splitlines()))
    assert [int(row["step"]) for row in rows] == steps
    assert [row["validation"] == "" for row in rows] == [False, True, False, True, False]
    assert float(rows[0]["rate"]) == SETTINGS.rate_at(8)


def test_the_curve_lies_beside_the_state(tmp_path):
    standing, _ = trained(tmp_path)
    assert (tmp_path / LOSSES_FILE).read_text(encoding="utf-8") == losses_text(standing.losses)


@pytest.mark.parametrize("step", [10, 18, 27])
def test_one_that_was_stopped_goes_on_bit_for_bit(finished, tmp_path, step):
    with pytest.raises(Stop):
        trained(tmp_path, tell=stop_after(step))
    begun = read_standing(tmp_path)
    assert begun is not None
    assert begun.step < step
    again, objective = trained(tmp_path)
    assert same(again, finished[0])
    assert torch.equal(objective.values, finished[1].values)


def test_a_finished_one_takes_no_step_more(finished, tmp_path):
    trained(tmp_path)
    told = []
    again, _ = trained(tmp_path, tell=told.append)
    assert same(again, finished[0])
    assert told == []


@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_gives_the_same_weights_up_to_rounding(finished, tmp_path, parts):
    standing, _ = trained(tmp_path, replace(SETTINGS, accumulation=parts))
    torch.testing.assert_close(
        standing.tensors["values"], finished[0].tensors["values"], rtol=1e-4, atol=1e-6
    )


def test_another_seed_gives_other_weights(finished, tmp_path):
    standing, _ = trained(tmp_path, replace(SETTINGS, seed=1))
    assert not torch.equal(standing.tensors["values"], finished[0].tensors["values"])


def test_progress_tells_what_is_left(tmp_path):
    told = []
    trained(tmp_path, tell=told.append)
    assert [progress.step for progress in told] == [9, 10, 18, 20, 27]
    assert {progress.steps for progress in told} == {STEPS}
    assert told[-1].left == 0.0 < told[0].left
    assert told[0].losses["train"] > 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"settings": replace(SETTINGS, seed=5)},
            "must hold a fine-tuning with seed=5, got 0; choose another",
        ),
        (
            {"asked": {"model": "averages", "tasks": ["b"]}},
            r"with tasks=\['b'\], got \['a'\]; choose another",
        ),
        ({"code": "9876"}, "must hold a fine-tuning begun by this version, code 9876, got 1234; choose"),
    ],
    ids=["seed", "tasks", "code"],
)
def test_a_folder_of_another_training_is_refused(tmp_path, change, message):
    trained(tmp_path)
    before = (tmp_path / STATE_FILE).read_bytes()
    with pytest.raises(ValueError, match=message):
        trained(tmp_path, **change)
    assert (tmp_path / STATE_FILE).read_bytes() == before


def test_how_often_it_is_saved_may_change_between_starts(finished, tmp_path):
    with pytest.raises(Stop):
        trained(tmp_path, tell=stop_after(18))
    again, _ = trained(tmp_path, replace(SETTINGS, save_every_s=1000.0))
    assert torch.equal(again.tensors["values"], finished[0].tensors["values"])


def test_a_folder_with_a_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"must be new, or hold a fine-tuning that was stopped, got config\.json"
    ):
        trained(tmp_path)


KILLED = """
import os, signal, sys
from pathlib import Path
from decoders.training import checkpoint
from unit_tests.decoders.tuning.test_loop import trained

saves = []

def fsync(number, sync=os.fsync):
    saves.append(number)
    if sys.argv[2] == "saving" and len(saves) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    sync(number)

def tell(progress):
    if sys.argv[2] == "between" and progress.step == 20:
        os.kill(os.getpid(), signal.SIGKILL)

checkpoint.os.fsync = fsync
trained(Path(sys.argv[1]), tell=tell)
"""


def python(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("where", "saved"), [pytest.param("between", 18, marks=by_hand), ("saving", 10)])
def test_one_killed_with_kill_9_goes_on_bit_for_bit(finished, tmp_path, where, saved):
    killed = python("-c", KILLED, tmp_path, where)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert read_standing(tmp_path).step == saved
    again = python("-c", KILLED, tmp_path, "nowhere")
    assert again.returncode == 0, again.stderr
    assert same(read_standing(tmp_path), finished[0])


SHARED = """
import sys
from pathlib import Path
from unit_tests.decoders.tuning.test_loop import trained
trained(Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_two_processes_learn_what_one_does(finished, tmp_path):
    script = tmp_path / "shared.py"
    script.write_text(SHARED, encoding="utf-8")
    launch = ("-m", "accelerate.commands.launch", "--cpu", "--num_processes", 2, "--num_machines", 1)
    launch += ("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", 0)
    run = python(*launch, script, tmp_path / "out", PYTHONPATH=str(ROOT))
    assert run.returncode == 0, run.stderr
    standing = read_standing(tmp_path / "out")
    torch.testing.assert_close(
        standing.tensors["values"], finished[0].tensors["values"], rtol=1e-4, atol=1e-6
    )
    for one, other in zip(standing.losses, finished[0].losses, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
