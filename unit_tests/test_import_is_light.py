"""Every pytest run imports the plugin, and planning needs no model: neither loads a heavy library."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = (
    *("torch", "transformers", "numpy", "safetensors", "tokenizers", "scipy"),
    *("openai", "anthropic", "httpx2"),
)


def run(*arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "module", ["pb_plugin.plugin", "pb_plugin.session.session", "pb_plugin.running.bench", "decoders"]
)
def test_importing_it_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    result = run("-c", code)
    assert (result.returncode, result.stdout.split(), result.stderr) == (0, [], "")


def test_importing_the_plugin_loads_nothing_of_ours_but_the_options_and_a_key():
    code = "import sys, pb_plugin.plugin; print(*sorted(m for m in sys.modules if m.startswith('pb_plugin')))"
    assert run("-c", code).stdout.split() == [
        "pb_plugin",
        "pb_plugin.planning",
        "pb_plugin.planning.limits",
        "pb_plugin.planning.option_grammar",
        "pb_plugin.planning.option_table",
        "pb_plugin.planning.options",
        "pb_plugin.plugin",
        "pb_plugin.printable",
        "pb_plugin.session",
        "pb_plugin.session.keys",
    ]


def test_collecting_a_plan_loads_nothing_heavy(tmp_path):
    tmp_path.joinpath("test_bench.py").write_text("def test_cell(pb_cell, pb_record): ...\n")
    tmp_path.joinpath("probe.py").write_text(
        "import sys\n"
        "def pytest_collection_finish(session):\n"
        f"    print('COLLECTED', len(session.items), *[n for n in {HEAVY!r} if n in sys.modules])\n"
    )
    plugins = ("-p", "probe", "-p", "pb_plugin.plugin", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    options = (
        "--collect-only",
        "-q",
        "-s",
        "--task",
        "copy,sudoku",
        "--unmasking",
        "random,threshold,factor",
    )
    result = run("-m", "pytest", *plugins, *options, "--model", "llada=./nowhere", cwd=tmp_path)
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("COLLECTED"))
    _, n_items, *loaded = line.split()
    assert int(n_items) > 20
    assert loaded == []
    assert result.returncode == 0
    assert not tmp_path.joinpath(".pb").exists()


def test_a_run_over_results_that_are_all_stored_loads_no_torch(tmp_path):
    """The laws of the exact model are asserted all the same: they are numbers of numpy."""
    tmp_path.joinpath("test_bench.py").write_text(
        "def test_cell(pb_cell, pb_record):\n    assert pb_record(pb_cell).ok\n"
    )
    tmp_path.joinpath("probe.py").write_text(
        "import sys\n"
        "def pytest_unconfigure():\n"
        "    print('LOADED', *[name for name in ('torch', 'numpy') if name in sys.modules])\n"
    )
    plugins = ("-p", "probe", "-p", "pb_plugin.plugin", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    options = ("-s", "--task=copy,shuffle", "--unmasking=random", "--k=2,32", "--samples=3")
    first, again = (run("-m", "pytest", *plugins, *options, cwd=tmp_path) for _ in range(2))
    assert (first.returncode, again.returncode) == (0, 0), first.stdout
    said = [line for result in (first, again) for line in result.stdout.splitlines() if "LOADED" in line]
    assert said == ["LOADED torch numpy", "LOADED numpy"]
    assert "4 of 4 items reused" in again.stdout
