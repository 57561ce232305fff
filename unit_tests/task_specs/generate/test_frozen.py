"""The committed samples are what their seeds give, byte for byte."""

import hashlib
import shutil
from pathlib import Path

import pytest

import task_specs
from task_specs.generate import draw
from task_specs.generate.__main__ import PACKAGE, main
from task_specs.generate.frozen import sample_lines
from task_specs.spec import builtin_spec

OWN = (*task_specs.task_ids(), *task_specs.list_op_ids())


@pytest.mark.parametrize("task_id", [task for task in OWN if builtin_spec(task).generator])
def test_a_seed_gives_the_committed_file(task_id):
    spec = builtin_spec(task_id)
    content = (PACKAGE / "data" / spec.data).read_bytes()
    assert sample_lines(spec).encode() == content
    assert hashlib.sha256(content).hexdigest() == spec.checksum


@pytest.mark.parametrize(
    ("task_id", "params", "checksum"),
    [
        ("shuffle", {"n": 15}, "7abf3286e25c903d"),
        ("insert_random", {"n": 5, "cot": True}, "71c7329e2d26b5b6"),
        ("sudoku", {"blanks": 4}, "0a44c847588d2ce9"),
        ("latin_square", {"samples": 30}, "67353b7a6c083037"),
        ("list_replace_index", {"n": 25}, "0669cd35f80be632"),
    ],
    ids=["waiting_line", "cot", "sudoku", "latin_square", "list_ops"],
)
def test_a_variant_moves_only_with_the_version_of_its_generator(task_id, params, checksum):
    """If this fails, raise the generator's number in VERSIONS: the samples of a checksum have changed."""
    assert hashlib.sha256(sample_lines(builtin_spec(task_id, params)).encode()).hexdigest()[:16] == checksum


@pytest.fixture
def root(tmp_path) -> Path:
    """A copy of the folders with the specs and the data."""
    for folder in ("specs", "data"):
        shutil.copytree(PACKAGE / folder, tmp_path / folder)
    return tmp_path


def test_the_check_passes_on_what_is_committed(root, capsys):
    assert main(["--check"], root) == 0
    assert capsys.readouterr().out == "0 task(s) out of date\n"


def test_the_check_names_what_changed_and_writes_nothing(root, capsys):
    changed = root / "data" / "copy.jsonl"
    changed.write_text("{}\n", encoding="utf-8")
    (root / "data" / "sudoku.jsonl").unlink()
    assert main(["--check"], root) == 1
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "copy",
        "sudoku",
        "2 task(s) out of date",
    ]
    assert changed.read_text(encoding="utf-8") == "{}\n"


def test_writing_restores_data_and_checksum(root, capsys):
    spec, data = root / "specs" / "sort.yaml", root / "data" / "sort.jsonl"
    original, lines = spec.read_text(encoding="utf-8"), data.read_bytes()
    spec.write_text(original.replace(builtin_spec("sort").checksum, "0" * 64), encoding="utf-8")
    data.unlink()
    assert main([], root) == 0
    assert capsys.readouterr().out.endswith("1 task(s) written\n")
    assert (spec.read_text(encoding="utf-8"), data.read_bytes()) == (original, lines)


def test_another_seed_gives_other_samples(root, capsys):
    spec = root / "specs" / "copy.yaml"
    spec.write_text(
        spec.read_text(encoding="utf-8").replace("waiting_line-copy-1", "other"), encoding="utf-8"
    )
    assert main(["--check"], root) == 1
    assert capsys.readouterr().out.startswith("copy: the seed gives samples of checksum ")


def test_draws_depend_on_the_key_alone_and_never_on_the_python_version():
    """The first value of a text seed is documented to stay; all choices are made of ``random()``."""
    assert draw.source("a", 1).random() == 0.3319052505526885
    assert draw.shuffled(draw.source("x"), range(5)) == [0, 4, 1, 2, 3]


def test_every_order_is_drawn_about_equally_often():
    """600 draws of 6 orders: 100 each, standard deviation 9.1; 5 of them is 46."""
    rng = draw.source("orders")
    orders = [tuple(draw.shuffled(rng, "ABC")) for _ in range(600)]
    assert all(54 <= orders.count(order) <= 146 for order in set(orders))
    assert len(set(orders)) == 6
