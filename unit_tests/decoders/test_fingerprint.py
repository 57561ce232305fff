"""Hashes that decide whether a stored result may be used again."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from decoders.fingerprint import checkpoint_hash, code_hash

ROOT = Path(__file__).resolve().parents[2]

SOURCE = '''"""A module."""
from os import path  # a comment


def half(x: float, *, by: int = 2) -> str:
    """Halve."""
    if x is None:
        return "none" "such"
    return f"{x / by:.2f}"


class Thing:
    """A thing."""

    size = 3
    """How large."""
'''


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"{}")
    (folder / "b.safetensors").write_bytes(b"12")
    (folder / "a.safetensors").write_bytes(b"3" * 3_000_000)
    return folder


def test_a_checkpoint_hash_is_sha256_over_names_sizes_and_contents(checkpoint):
    framed = (
        b"config.json\x002\x00{}a.safetensors\x003000000\x00" + b"3" * 3_000_000 + b"b.safetensors\x002\x0012"
    )
    assert checkpoint_hash(checkpoint) == hashlib.sha256(framed).hexdigest()


def test_a_checkpoint_hash_does_not_depend_on_the_place_or_on_other_files(checkpoint, tmp_path):
    before = checkpoint_hash(checkpoint)
    (checkpoint / "README.md").write_text("hello", encoding="utf-8")
    (checkpoint / "model.py").write_text("1/0", encoding="utf-8")
    moved = checkpoint.rename(tmp_path / "elsewhere")
    assert checkpoint_hash(str(moved)) == before


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("a.safetensors", b"3" * 2_999_999 + b"4"),
        ("b.safetensors", b"123"),
        ("c.safetensors", b""),
        ("config.json", b"{ }"),
        ("tokenizer.json", b"{}"),
        ("merges.txt", b""),
        ("model.safetensors.index.json", b"{}"),
    ],
    ids=["last byte", "length", "another shard", "config", "tokenizer", "merges", "index"],
)
def test_every_byte_of_a_checkpoint_counts(checkpoint, file, content):
    before = checkpoint_hash(checkpoint)
    (checkpoint / file).write_bytes(content)
    assert checkpoint_hash(checkpoint) != before


def test_bytes_that_move_from_one_file_to_the_next_change_the_hash(checkpoint):
    (checkpoint / "a.safetensors").write_bytes(b"12")
    (checkpoint / "b.safetensors").write_bytes(b"3")
    before = checkpoint_hash(checkpoint)
    (checkpoint / "a.safetensors").write_bytes(b"1")
    (checkpoint / "b.safetensors").write_bytes(b"23")
    assert checkpoint_hash(checkpoint) != before


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("config.json", r"checkpoint must hold config\.json, got .* without it; give a complete folder"),
        (
            "*.safetensors",
            "checkpoint must hold safetensors files, got .* without one; give a complete folder",
        ),
    ],
)
def test_a_checkpoint_without_a_part_is_refused(checkpoint, file, message):
    for path in checkpoint.glob(file):
        path.unlink()
    with pytest.raises(ValueError, match=message):
        checkpoint_hash(checkpoint)


def test_a_checkpoint_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"checkpoint must be a folder, got '.*nowhere'; give the folder that holds"
    ):
        checkpoint_hash(tmp_path / "nowhere")


def hash_of(tmp_path, source):
    path = tmp_path / "module.py"
    path.write_text(source, encoding="utf-8")
    return code_hash(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""\n', ""),
        ("  # a comment", "  # another\n# one"),
        ('    """Halve."""\n', ""),
        ('"""A thing."""', '"""Quite a thing."""'),
        ('    """How large."""\n', ""),
        ("x: float, *, by: int = 2", "\n    x: float,\n    *,\n    by: int = 2,\n"),
        ('"none" "such"', "'nonesuch'"),
        ("x / by", "(x) / by"),
        ("\n\n\n", "\n"),
    ],
    ids=[
        "module doc",
        "comment",
        "function doc",
        "class doc",
        "attribute doc",
        "layout",
        "quotes",
        "brackets",
        "blank",
    ],
)
def test_what_carries_no_meaning_does_not_change_a_code_hash(tmp_path, old, new):
    assert old in SOURCE
    assert hash_of(tmp_path, SOURCE.replace(old, new)) == hash_of(tmp_path, SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("by: int = 2", "by: int = 3"),
        ("by: int = 2", "by: int = 2.0"),
        ("*, by: int", "by: int"),
        ("x is None", "x is not None"),
        ("x is None", "x is False"),
        ('"none" "such"', 'b"nonesuch"'),
        (".2f", ".3f"),
        ("size = 3", "size = -3"),
        ("from os import path", "from os import path as way"),
        ("from os import path", "from .os import path"),
        ("def half", "async def half"),
        ("class Thing:", "class Thing(int):"),
    ],
)
def test_what_carries_meaning_changes_a_code_hash(tmp_path, old, new):
    assert old in SOURCE
    assert hash_of(tmp_path, SOURCE.replace(old, new)) != hash_of(tmp_path, SOURCE)


def test_order_and_nesting_change_a_code_hash(tmp_path):
    hashes = [
        hash_of(tmp_path, source)
        for source in ("a\nb\n", "b\na\n", "a, b\n", "a(b)\n", "'a'(b)\n", "[a, b]\n")
    ]
    assert len(set(hashes)) == len(hashes)


def test_a_code_hash_is_the_same_under_every_python(tmp_path):
    written = "Module(body=[Assign(targets=[Name(id='x';ctx=Store())]value=int:1;)])"
    assert hash_of(tmp_path, "x = 1") == hashlib.sha256(written.encode()).hexdigest()


def test_a_module_name_and_its_path_hash_alike():
    assert code_hash("decoders.fingerprint") == code_hash(str(ROOT / "decoders" / "fingerprint.py"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "decoders.no_such_module",
            "module must be importable, got 'decoders.no_such_module', which is not found",
        ),
        ("no_such_package.part", "module must be importable, got 'no_such_package.part' .*; check its name"),
        ("", "module must be importable, got ''"),
        ("sys", "module must have Python source, got 'sys' from 'built-in'; name a module in a .py file"),
    ],
)
def test_a_module_without_source_is_refused(name, message):
    with pytest.raises(LookupError, match=message):
        code_hash(name)


@pytest.mark.parametrize("as_type", [str, Path])
def test_a_missing_source_file_is_refused(tmp_path, as_type):
    with pytest.raises(
        ValueError, match=r"source must be a Python file, got '.*gone\.py', which does not exist; check the"
    ):
        code_hash(as_type(tmp_path / "gone.py"))


def test_a_source_file_that_is_not_python_is_refused_with_its_line(tmp_path):
    with pytest.raises(ValueError, match=r"source must be Python, got '.*module\.py': line 2: .*; repair it"):
        hash_of(tmp_path, "x = 1\nif\n")


def test_fingerprints_need_no_heavy_library():
    program = (
        "import sys; import decoders.fingerprint as f; f.code_hash('decoders.models.llada');"
        "sys.exit(str(sorted({'torch', 'transformers', 'safetensors', 'tokenizers'} & set(sys.modules)))"
        " if {'torch', 'transformers', 'safetensors', 'tokenizers'} & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
