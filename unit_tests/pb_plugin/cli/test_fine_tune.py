"""``pb fine-tune``: from a model and tasks to a checkpoint that runs, in progress lines and refusals."""

import json

import pytest

pytest.importorskip("peft", reason="pb fine-tune needs the extra tune")
pytest.importorskip("accelerate", reason="pb fine-tune needs the extra tune")

from decoders.models import tiny
from decoders.models.sedd import tiny as sedd_tiny
from decoders.protocols import ModelRequest
from decoders.rows import Row, Setting
from decoders.unmasking.top_k import confidence
from pb_plugin.cli import fine_tune as verb
from pb_plugin.cli import main
from pb_plugin.running import progress

QUICK = "epochs: 2\nbatch: 4\ntrain_samples: 12\nvalidation_samples: 4\nrank: 2\nalpha: 4\nrate: 0.001\n"
NOISE = {
    "absorb": {"type": "loglinear"},
    "uniform": {"type": "geometric", "sigma_min": 0.01, "sigma_max": 8},
}
ON = ("--device", "cpu", "--threads", "1")


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "quick.yaml"
    path.write_text(QUICK, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def every_line(monkeypatch):
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", 0.0)


def tuned(model, out, config, *options):
    return main(["fine-tune", model, str(out), "--config", str(config), *ON, *options])


def test_adapters_of_tiny_are_trained_written_and_load_merged_or_beside(tmp_path, config, capsys):
    out = tmp_path / "mine"
    assert tuned("tiny", out, config, "--tasks", "copy,reverse") == 0
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert lines[0] == (
        f"training 7,680 of 870,528 numbers of tiny by lora in {out}, from the start of 6 steps, on 1 process"
    )
    assert lines[1].startswith("step 3/6 (50%), epoch 1.00, loss ")
    assert ", validation " in lines[1]
    assert told.out.splitlines()[-1] == f"use it with: pytest bench_tests --model tiny={out}"
    for source in (str(out), f"+{out}/adapter"):
        model = tiny.load(ModelRequest(name="tiny", source=source, device="cpu"))
        assert all(test.passed for test in model.self_tests)
    card = json.loads((out / verb.CARD).read_text(encoding="utf-8"))
    assert card["recipe"]["tasks"] == ["copy", "reverse"]
    assert card["losses"]["step"] == 6
    assert (out / "training" / "losses.csv").is_file()
    assert not (out / "card.json").exists()


def test_the_same_command_again_trains_nothing_and_says_the_same(tmp_path, config, capsys):
    out = tmp_path / "mine"
    assert tuned("tiny", out, config, "--tasks", "copy", "--json") == 0
    first, weights = json.loads(capsys.readouterr().out), (out / "model.safetensors").read_bytes()
    assert tuned("tiny", out, config, "--tasks", "copy", "--json") == 0
    told = capsys.readouterr()
    assert "from step 6 of 6 steps" in told.err
    assert json.loads(told.out)["losses"] == first["losses"]
    assert (out / "model.safetensors").read_bytes() == weights


def test_the_adapter_may_be_written_alone(tmp_path, config, capsys):
    out = tmp_path / "mine"
    assert tuned("tiny", out, config, "--tasks", "copy", "--adapter-only") == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"--model tiny=+{out}/adapter")
    assert not (out / "model.safetensors").exists()
    assert (out / "adapter" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize("graph", ["absorb", "uniform"])
def test_a_new_sedd_is_made_trained_and_decodes(tmp_path, config, graph):
    range_ = {"absorb": "", "uniform": "sigma_min: 0.01, sigma_max: 8, "}[graph]
    sizes = f"new: {{graph: {graph}, {range_}width: 16, layers: 1, heads: 2, condition: 8, length: 64}}\n"
    lines = [line for line in QUICK.splitlines() if not line.startswith(("rank", "alpha"))]
    config.write_text("\n".join(lines) + "\n" + sizes, encoding="utf-8")
    out = tmp_path / graph
    assert tuned("sedd-tiny", out, config, "--tasks", "copy:n=3;canvas=12") == 0
    model = sedd_tiny.load(ModelRequest(name="sedd-tiny", source=str(out), device="cpu"))
    prompt = model.encode_prompt([{"role": "user", "content": 'copy\n["Alan Berry", "Max Lopez"]'}])
    assert len(prompt) == tiny.HEAD + tiny.BODY
    row = Row(
        key=0,
        prompt_ids=tuple(prompt),
        gen_length=12,
        setting=Setting(method=confidence(), k=1),
        sample_id="a",
    )
    (decoded,) = model.generate([row], {"steps": 3})
    assert len(decoded.ids) == 12
    assert decoded.nfe == 4
    start = json.loads((out / "training" / "start" / "config.json").read_text(encoding="utf-8"))
    assert start["noise"] == NOISE[graph]


def refused(capsys, *words):
    assert main(["fine-tune", *map(str, words)]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "text", "options", "message"),
    [
        ("tiny", "rnak: 3", (), "settings must be of way, epochs,"),
        ("tiny", "new: {width: 8}", (), "new must be left out for a model that exists, got 'tiny'"),
        (
            "sedd-tiny",
            "new: {wdith: 8}",
            (),
            "new must be of graph, width, layers, heads, condition, length, sigma_min, sigma_max, got",
        ),
        ("sedd-tiny", "new: 8", (), "new must be a mapping of graph, width,"),
        ("sedd-tiny", "new: {graph: other}", (), "graph must be one of absorb, uniform, got 'other'"),
        (
            "sedd-tiny",
            "new: {heads: 3}",
            (),
            "heads must be a divisor of width=128 into heads of even width, got 3",
        ),
        ("sedd-tiny", "new: {layers: 0}", (), "layers must be a whole number from 1 on, got 0"),
        (
            "sedd-tiny",
            "new: {graph: uniform, sigma_min: 8, sigma_max: 8}",
            (),
            "sigma_min and sigma_max must be two numbers above 0, the smaller first, got (8, 8)",
        ),
        (
            "sedd-tiny",
            "new: {sigma_max: 8}",
            (),
            "sigma_min and sigma_max must be left out for graph absorb, got (0.0001, 8)",
        ),
        ("ideal", "seed: 1", (), "MODEL must have a network that is trained here, got 'ideal'"),
        ("nobody", "seed: 1", (), "must be a known name or package.module:attribute, got 'nobody'"),
        ("tiny", "seed: 1", ("--tasks", "nothing"), "nothing"),
        ("tiny", "seed: 1", ("--tasks", "paraphrasing"), "tasks must have a generator to be learned"),
        (
            "tiny",
            "seed: 1",
            ("--full", "--adapter-only"),
            "--adapter-only must be left out where all weights",
        ),
        ("tiny", "seed: 1", ("--device", "tpu"), "--device must be cpu or left out, got 'tpu'"),
        (
            "ar",
            "seed: 1",
            ("--device", "cpu"),
            "model must be a mask predictor whose network is one of transfo",
        ),
    ],
)
def test_what_breaks_a_rule_is_refused_in_one_line(tmp_path, capsys, model, text, options, message):
    path = tmp_path / "some.yaml"
    path.write_text(f"{text}\n", encoding="utf-8")
    told = refused(capsys, model, tmp_path / "out", "--config", path, *options)
    assert message in told
    assert not (tmp_path / "out" / "training" / "state.safetensors").exists()


def test_a_configuration_that_is_not_there_is_refused(tmp_path, capsys):
    told = refused(capsys, "tiny", tmp_path / "out", "--config", tmp_path / "none.yaml")
    assert "--config must be a YAML file that exists, got" in told


def test_a_batch_that_processes_cannot_share_is_refused(config):
    asked = verb.asked_for("tiny", ["copy"], config, full=False, device="cpu", adapter_only=False)
    with pytest.raises(
        ValueError, match="batch must be a multiple of processes times accumulation, 3 times 1, got 4"
    ):
        verb._check_processes(asked.settings, 3)


def test_names_of_suites_stand_for_their_tasks():
    assert [spec.id for spec in verb.specs_of(["puzzles", "copy:n=3"])] == [
        "latin_square",
        "sudoku",
        "copy_n3",
    ]
    assert len(verb.specs_of(["waiting_line"])) == 10


def test_without_the_extra_the_message_names_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(verb, "NEEDED", ("a_package_that_is_not_there",))
    told = refused(capsys, "tiny", tmp_path / "out")
    assert "pip install 'parallelbench-pytest[tune]'" in told
    assert "a_package_that_is_not_there" in told
