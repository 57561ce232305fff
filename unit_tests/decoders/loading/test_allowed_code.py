"""What ``--pb-allow-remote-code`` takes: nothing behind which code can change."""

from pathlib import Path

import pytest

from decoders.loading.allowed_code import AllowedCode, allowed_text, parse_allowed

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HASH = COMMIT + "0123456789abcdef01234567"


def test_a_hub_id_takes_a_commit_and_a_folder_the_hash_of_its_code(tmp_path):
    assert parse_allowed(f"owner/name@{COMMIT}") == AllowedCode(repo="owner/name", revision=COMMIT)
    assert parse_allowed(f" {tmp_path} @{HASH}") == AllowedCode(repo=str(tmp_path), revision=HASH)
    assert allowed_text(f" owner/name@{COMMIT} ", name="x") == f"owner/name@{COMMIT}"


def test_a_folder_may_have_an_at_sign(tmp_path):
    folder = tmp_path / "a@b"
    folder.mkdir()
    assert parse_allowed(f"{folder}@{HASH}").repo == str(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"must be OWNER/NAME@COMMIT, or FOLDER@HASH with .*, got ''; a load without the option tells"),
        ("owner/name", r"must be OWNER/NAME@COMMIT, or FOLDER@HASH .*, got 'owner/name'"),
        ("owner/name@", r"must be OWNER/NAME@COMMIT, or FOLDER@HASH"),
        (f"@{COMMIT}", r"must be OWNER/NAME@COMMIT, or FOLDER@HASH"),
        (
            "owner/name@main",
            r"must end in a full commit .* or the sha256 .*, got 'owner/name@main'; the code ",
        ),
        (
            f"owner/name@{COMMIT[:7]}",
            r"must end in .*; the code behind a branch, a tag or a short hash can change, so copy",
        ),
        (f"owner/name@{COMMIT.upper()}", r"must end in a full commit \(40 digits of 0-9a-f\)"),
        (
            f"./folder@{COMMIT}",
            r"must have a hub id OWNER/NAME before a commit, got '\./folder@.*; a folder ",
        ),
        (f"name@{COMMIT}", r"must have a hub id OWNER/NAME before a commit"),
        (f"no/such/folder@{HASH}", r"must have an existing folder before a sha256, got .*; correct the path"),
    ],
)
def test_anything_else_is_refused_with_option_rule_value_and_cure(text, message):
    with pytest.raises(ValueError, match=rf"^--pb-allow-remote-code {message}"):
        parse_allowed(text)
    with pytest.raises(ValueError, match=rf"^pb_allow_remote_code {message}"):
        allowed_text(text, name="pb_allow_remote_code")


def test_an_entry_is_about_its_folder_however_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()
    for repo in (str(tmp_path / "mine"), "mine", "./mine", "~/mine"):
        assert AllowedCode(repo=repo, revision=HASH).is_folder(Path("mine")), repo
    assert not AllowedCode(repo="other", revision=HASH).is_folder(Path("mine"))
    assert not AllowedCode(repo="mine", revision=COMMIT).is_folder(Path("mine"))
