"""What has the name of a file of ours and is none is refused at once, wherever such names are looked for."""

import os
import re
import socket

import pytest

from pb_plugin.records.conflict import read_resolutions
from pb_plugin.records.plain_files import plain_files, write_whole
from pb_plugin.records.store import Store


def folder(path):
    path.mkdir()


def pipe(path):
    os.mkfifo(path)


def dangling(path):
    path.symlink_to("nowhere")


def circle(path):
    path.symlink_to(path.name)


def device(path):
    path.symlink_to("/dev/zero")


def listening(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


WRONG = {
    folder: "a folder",
    pipe: "a pipe",
    dangling: "a link to 'nowhere', which is not there",
    circle: "Too many levels of symbolic links",
    device: "a device",
    listening: "a socket",
}


@pytest.mark.parametrize("make", WRONG, ids=lambda make: make.__name__)
def test_what_is_no_file_is_named_with_what_it_is_and_the_cure(tmp_path, make, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the address of a socket must be short
    (tmp_path / "a.jsonl").touch()
    make(tmp_path / "b.jsonl" if make is not listening else type(tmp_path)("b.jsonl"))
    message = (
        f"{tmp_path / 'b.jsonl'} must be a file that can be read, as everything named *.jsonl in {tmp_path}, "
        f"got {WRONG[make]}; move it away"
    )
    for read in (
        lambda: plain_files(tmp_path, "*.jsonl"),
        lambda: Store(tmp_path).index(),
        lambda: list(Store(tmp_path).read()),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            read()
    (tmp_path / "b.jsonl").rename(tmp_path / "b.resolved")
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'b.resolved'} must be a file that can be")):
        read_resolutions(tmp_path)


def test_files_come_by_name_and_links_to_files_are_files(tmp_path):
    (tmp_path / "b.jsonl").touch()
    (tmp_path / "a.jsonl").symlink_to("b.jsonl")
    (tmp_path / "c.json").touch()
    assert [path.name for path in plain_files(tmp_path, "*.jsonl")] == ["a.jsonl", "b.jsonl"]
    assert plain_files(tmp_path / "nowhere", "*") == []


def test_what_is_written_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "new" / "a.json"
    write_whole(path, "old\n", what="the file")
    with monkeypatch.context() as patch:
        patch.setattr(type(path), "rename", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        message = f"{path}: the file could not be written (No space left); make the folder writable or free"
        with pytest.raises(OSError, match=re.escape(message)):
            write_whole(path, "new\n", what="the file")
    assert path.read_text() == "old\n"
    assert list(path.parent.iterdir()) == [path]
