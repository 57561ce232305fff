"""``pb train-tiny``: what it tells while it trains, what it writes, and how it says no."""

import json

import pytest

pytest.importorskip("transformers", reason="training needs the extra models")

from decoders.training import loop, tiny
from decoders.training.loop import Progress
from pb_plugin.cli import main
from pb_plugin.cli import train_tiny as training
from pb_plugin.running import progress
from task_specs.questions.vocabulary import TASKS


@pytest.fixture
def quick(monkeypatch):
    """Measure nothing: every task is half right."""

    def half(folder, tell):
        assert (folder / "model.safetensors").is_file()
        for task in TASKS:
            tell(task, 0.5)
        return dict.fromkeys(TASKS, 0.5)

    monkeypatch.setattr(training, "evaluate", half)
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", 0.0)
    monkeypatch.setattr(loop, "TELL_EVERY", 1)


def test_it_tells_progress_on_stderr_and_the_result_on_stdout(quick, tmp_path, capsys):
    folder = tmp_path / "mine"
    assert main(["train-tiny", str(folder), "--steps", "2", "--no-compile", "--threads", "1"]) == 0
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert lines[0] == (
        f"training in {folder} from the start on 1 thread, not compiled, which takes about 1.6 times as long"
    )
    assert lines[1].startswith("step 1/2 (50%), loss ")
    assert lines[2].startswith("step 2/2 (100%), loss ")
    assert lines[2].endswith("0.0 min left")
    assert lines[4] == "  copy             50.0%"
    assert told.out.splitlines()[1] == "50.0% of the frozen samples are right, one token per step"
    assert told.out.splitlines()[2] == f"use it with: pytest bench_tests --model tiny={folder}"


def test_the_card_beside_the_checkpoint_says_how_it_was_made(quick, tmp_path, capsys):
    folder = tmp_path / "mine"
    asked = ["train-tiny", str(folder), "--steps", "1", "--seed", "3", "--no-compile", "--threads", "1"]
    assert main([*asked, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    card = json.loads((folder / training.CARD).read_text(encoding="utf-8"))
    assert shown == {**card, "folder": str(folder)}
    assert card["recipe"] == {"seed": 3, "steps": 1, "rate": 2e-3}
    assert card["parameters"] == 862_848
    assert card["accuracy"] == dict.fromkeys(TASKS, 0.5)
    assert not card["compiled"]


def test_asked_again_it_goes_on_where_it_stands(quick, tmp_path, capsys):
    asked = ["train-tiny", str(tmp_path), "--steps", "1", "--no-compile", "--threads", "1"]
    assert main(asked) == 0
    weights = (tmp_path / "model.safetensors").read_bytes()
    capsys.readouterr()
    assert main(asked) == 0
    assert capsys.readouterr().err.startswith(f"training in {tmp_path} from step 1 on 1 thread")
    assert (tmp_path / "model.safetensors").read_bytes() == weights


def test_a_stopped_training_says_how_to_go_on(quick, tmp_path, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(tiny, "train_tiny", interrupted)
    assert main(["train-tiny", str(tmp_path)]) == 130
    told = capsys.readouterr().err
    assert "stopped; the same command goes on where it last saved" in told
    assert told.endswith("pb: stopped\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--seed", "-1"), "--seed must be a whole number of at least 0"),
        (("--steps", "0"), "--steps must be a whole number of at least 1"),
        (("--threads", "two"), "--threads must be a whole number of at least 1"),
    ],
)
def test_a_value_out_of_range_is_refused(options, message, tmp_path, capsys):
    assert main(["train-tiny", str(tmp_path), *options]) == 2
    assert message in capsys.readouterr().err


def test_progress_is_step_loss_and_minutes():
    told = Progress(
        step=50, steps=200, seconds=90.0, left=126.0, losses={"step": 50, "copy": 0.25, "sort": 0.75}
    )
    assert training.progress_text(told) == "step 50/200 (25%), loss 0.500, 1.5 min, 2.1 min left"
