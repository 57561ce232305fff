"""What each worker of pytest-xdist may use: written into its spec, refused where there are too many."""

import os
from types import SimpleNamespace

import pytest

from pb_plugin.planning.options import Options
from pb_plugin.workers import pins
from pb_plugin.workers.pins import gpus_for, pinned, pytest_cmdline_main, pytest_xdist_auto_num_workers

EIGHT = {"CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7"}


def test_each_worker_gets_the_next_gpu_and_its_share_of_the_threads():
    assert pinned(2, list("01234567"), environ={}, n_cpus=16) == [
        "popen//env:CUDA_VISIBLE_DEVICES=0//env:OMP_NUM_THREADS=8",
        "popen//env:CUDA_VISIBLE_DEVICES=1//env:OMP_NUM_THREADS=8",
    ]
    assert pinned(3, ["MIG-a", "MIG-b"], environ={}, n_cpus=2) == [
        f"popen//env:CUDA_VISIBLE_DEVICES=MIG-{name}//env:OMP_NUM_THREADS=1" for name in "aba"
    ]


def test_a_worker_gets_several_gpus_for_a_model_that_one_does_not_hold(config):
    run = config(["popen"] * 2, gpus_per_worker=3)
    pytest_cmdline_main(run)
    assert [spec.partition("//env:OMP")[0] for spec in run.option.tx] == [
        "popen//env:CUDA_VISIBLE_DEVICES=0,1,2",
        "popen//env:CUDA_VISIBLE_DEVICES=3,4,5",
    ]


def test_without_gpus_only_threads_are_shared_and_a_number_that_is_set_stays():
    assert pinned(3, [], environ={}, n_cpus=8) == ["popen//env:OMP_NUM_THREADS=2"] * 3
    assert pinned(3, [], environ={"OMP_NUM_THREADS": "4"}, n_cpus=8) == ["popen"] * 3


@pytest.mark.parametrize(
    ("options", "n_gpus"),
    [
        ({}, 0),
        ({"model": ("ideal=tokenizer",)}, 0),
        ({"model": ("ideal", "llada")}, 8),
        ({"model": ("llada",), "device": "cuda"}, 8),
        ({"model": ("llada",), "device": "cpu"}, 0),
        ({"model": ("llada",), "device": "cuda:1"}, 0),
    ],
)
def test_gpus_are_for_models_that_compute_and_for_runs_that_name_no_device(options, n_gpus):
    assert len(gpus_for(Options(**options), EIGHT)) == n_gpus


@pytest.fixture
def config(monkeypatch):
    """Return a function that makes the configuration of a run with cells."""
    monkeypatch.setattr(pins, "asks_for_cells", lambda arguments: arguments == ["bench"])
    monkeypatch.setattr(pins, "read_options", lambda config: config.options)
    monkeypatch.setattr(os, "environ", dict(EIGHT))

    def make(specs, args=("bench",), **options):
        option = SimpleNamespace(tx=specs)
        return SimpleNamespace(
            args=list(args),
            option=option,
            options=Options(**{"model": ("llada",), **options}),
            getoption=lambda name, default: getattr(option, name),
        )

    return make


def test_the_specs_of_a_run_are_rewritten(config):
    run = config(["popen"] * 2)
    pytest_cmdline_main(run)
    assert [spec.partition("//env:OMP")[0] for spec in run.option.tx] == [
        "popen//env:CUDA_VISIBLE_DEVICES=0",
        "popen//env:CUDA_VISIBLE_DEVICES=1",
    ]


def test_more_workers_than_gpus_are_refused_or_share_them(config):
    with pytest.raises(pytest.UsageError, match=r"-n must be at most 8 on 8 GPUs \(0, .*\) with 1 to each, "):
        pytest_cmdline_main(config(["popen"] * 9))
    with pytest.raises(
        pytest.UsageError, match=r"at most 2 on 8 GPUs .* with 3 for each worker, got 3; lower --pb-gpus-per"
    ):
        pytest_cmdline_main(config(["popen"] * 3, gpus_per_worker=3))
    run = config(["popen"] * 9, workers_per_gpu=2)
    pytest_cmdline_main(run)
    assert "DEVICES=0//" in run.option.tx[8]
    with pytest.raises(pytest.UsageError, match=r"got 17; let more workers share a GPU \(--pb-workers-per"):
        pytest_cmdline_main(config(["popen"] * 17, workers_per_gpu=2))


@pytest.mark.parametrize(
    ("specs", "args"), [(["popen"], ["unit"]), (["popen", "ssh=host"], ["bench"]), ([], ["bench"])]
)
def test_what_is_not_ours_is_left_alone(config, specs, args):
    run = config(list(specs), args)
    pytest_cmdline_main(run)
    assert run.option.tx == specs


def test_auto_is_one_worker_for_each_place_on_a_gpu(config, monkeypatch):
    assert pytest_xdist_auto_num_workers(config([])) == 8
    assert pytest_xdist_auto_num_workers(config([], workers_per_gpu=3)) == 24
    assert pytest_xdist_auto_num_workers(config([], gpus_per_worker=3)) == 2
    assert pytest_xdist_auto_num_workers(config([], model=("ideal",))) is None
    assert pytest_xdist_auto_num_workers(config([], args=["unit"])) is None
    monkeypatch.setattr(os, "environ", {**EIGHT, "PYTEST_XDIST_AUTO_NUM_WORKERS": "3"})
    assert pytest_xdist_auto_num_workers(config([])) is None
