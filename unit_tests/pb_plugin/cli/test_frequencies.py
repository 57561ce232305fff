"""``pb frequencies``: the tokenizer's counts, a table that the method takes, and bad requests in one line."""

import json
import sys

import pytest

from decoders.text.frequencies import read_counts
from decoders.text.tokenizer import PieceTokenizer
from decoders.unmasking.pc_sampler import PCSampler
from pb_plugin.cli import main
from task_specs.vocabulary import vocabulary


@pytest.fixture
def pb(capsys, tmp_path, monkeypatch):
    """Return a function that runs ``pb frequencies`` in an empty folder and returns its output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, code=0):
        assert main(["frequencies", *map(str, arguments)]) == code
        shown = capsys.readouterr()
        return shown.err if code else shown.out

    return run


def write(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")


def test_tokens_of_the_built_in_tokenizer_are_counted_over_all_texts(pb, tmp_path):
    """A name is one token and the blank belongs to the last name; what is no piece counts by bytes."""
    write(tmp_path, a="Alice Adams", b="Alice!!")
    pb("t.json", "a.txt", "b.txt")
    tokenizer = PieceTokenizer(vocabulary())
    (alice,), (adams,), (mark,) = (tokenizer.encode(text) for text in ("Alice", " Adams", "!"))
    assert read_counts("t.json").counts == {alice: 2, adams: 1, mark: 2}
    assert read_counts("t.json").total == 5


def test_each_file_is_encoded_on_its_own(pb, tmp_path):
    """Alice in two files is no name; one letter of the alphabet is a token of its own."""
    write(tmp_path, a="A", b="lice", c="Alice")
    pb("t.json", "a.txt", "b.txt")
    apart = read_counts("t.json")
    pb("t.json", "c.txt")
    assert apart.total > read_counts("t.json").total == 1


def test_the_tokenizer_in_a_folder_is_taken(pb, tmp_path, llada_tokenizer_text):
    pytest.importorskip("tokenizers")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tokenizer.json").write_text(llada_tokenizer_text, encoding="utf-8")
    write(tmp_path, a="aab")
    out = pb("t.json", "a.txt", "--tokenizer", "model")
    assert sorted(read_counts("t.json").counts.values()) == [1, 2]
    assert out.startswith("3 tokens, 2 of them distinct, in 1 text under tokenizer model\n")


def test_json_and_text_say_what_was_written_and_the_method_takes_it(pb, tmp_path):
    write(tmp_path, a="abba", b="b")
    found = json.loads(pb("t.json", "a.txt", "b.txt", "--json"))
    method = PCSampler(table="t.json")
    assert found == {
        "file": "t.json",
        "tokenizer": "pieces",
        "texts": 2,
        "tokens": 5,
        "distinct": 2,
        "checksum": method.table_checksum,
    }
    assert pb("t.json", "a.txt", "b.txt") == (
        "5 tokens, 2 of them distinct, in 2 texts under tokenizer pieces\n"
        f"written to t.json, checksum {method.table_checksum}; use it with "
        "--unmasking pc_sampler:table=t.json\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.txt", "b.txt"], "OUT must end in .json, got 'a.txt'; name the table first, then the texts"),
        (["t.json", "a.txt", "./t.json"], "OUT must be none of the texts, got 't.json' as both; choose"),
        (["t.json"], "the following arguments are required: FILE; see pb frequencies --help"),
        (["t.json", "none.txt"], "No such file or directory: 'none.txt'"),
        (["t.json", "latin.txt"], "latin.txt: text must be UTF-8, got byte 0xe9 at 1; convert the file"),
        (["t.json", "empty.txt"], "texts must hold at least one token, got none; give a file with some text"),
        (["t.json", "a.txt", "--tokenizer", "."], "tokenizer must be a tokenizer.json, got []"),
    ],
    ids=["order", "twice", "none", "missing", "bytes", "empty", "tokenizer"],
)
def test_a_bad_request_is_told_in_one_line_and_writes_nothing(pb, tmp_path, arguments, message):
    write(tmp_path, a="abba", b="b", empty="")
    (tmp_path / "latin.txt").write_bytes(b"h\xe9")
    err = pb(*arguments, code=2)
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "t.json").exists()
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "abba"


def test_without_the_package_of_tokenizers_the_extra_is_named(pb, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    write(tmp_path, a="abba")
    err = pb("t.json", "a.txt", "--tokenizer", ".", code=2)
    assert "--tokenizer must come with the package tokenizers, got " in err
    assert "pip install the extra 'models'" in err
