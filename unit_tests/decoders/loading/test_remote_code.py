"""A checkpoint's own code runs where it was allowed and nowhere else; what does not fit is refused before."""

import sys

import pytest
import torch

from decoders.fingerprint import source_files, source_hash
from decoders.loading.checkpoint import LoadError
from decoders.loading.remote_code import build_network, find_allowed
from decoders.models.remote import fingerprint, load, remote_code
from decoders.protocols import ModelRequest
from unit_tests.remote_checkpoint import ROWS, allowed, loaded, request, write

pytestmark = pytest.mark.usefixtures("cache")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("function", [load, fingerprint, remote_code])
def test_without_permission_nothing_of_a_folder_runs_and_the_error_shows_the_option(alarm, cache, function):
    folder, mark = alarm
    with pytest.raises(LoadError) as raised:
        function(request(folder))
    assert str(raised.value) == (
        f"code in {str(folder)!r} must be allowed before it is run, got no --pb-allow-remote-code; read its "
        f"*.py files and config.json first, then pass --pb-allow-remote-code {allowed(folder)}"
    )
    assert not mark.exists()
    assert not cache.exists()
    assert "transformers_modules" not in sys.modules


def test_the_alarm_rings_when_the_code_is_allowed(alarm):
    folder, mark = alarm
    with pytest.raises(RuntimeError, match="it ran"):
        loaded(folder)
    assert mark.exists()


@pytest.mark.parametrize("file", ["modeling_mixer.py", "configuration_mixer.py", "config.json", "more.py"])
def test_code_that_is_not_what_was_allowed_is_refused_with_its_hash(alarm, file):
    folder, mark = alarm
    before = allowed(folder)
    with (folder / file).open("a") as written:
        written.write("\n")
    with pytest.raises(LoadError) as raised:
        load(request(folder, before))
    actual = allowed(folder)
    assert actual != before
    assert str(raised.value) == (
        f"--pb-allow-remote-code must end in the sha256 of the code in {str(folder)!r}, "
        f"{actual.rpartition('@')[2]}, got {before!r}; the code is not what was allowed: read its *.py files "
        f"and config.json first, then pass --pb-allow-remote-code {actual}"
    )
    assert not mark.exists()


def test_permission_for_another_folder_is_none_for_this_one(alarm, tmp_path):
    folder, mark = alarm
    other = allowed(write(tmp_path / "other"))
    with pytest.raises(LoadError, match=f"got --pb-allow-remote-code for {other}; read its"):
        load(request(folder, other))
    assert not mark.exists()


def test_a_request_with_a_bad_entry_is_refused(place):
    with pytest.raises(LoadError, match="--pb-allow-remote-code must end in a full commit"):
        load(request(write(place), "owner/name@main"))


def test_what_was_read_is_what_runs_even_if_the_files_change_afterwards(place, tmp_path):
    checkpoint = find_allowed(request(write(place), allowed(place)))
    mark = tmp_path / "it ran"
    (place / "modeling_mixer.py").write_text(f"open({str(mark)!r}, 'w').close()\n", encoding="utf-8")
    network, tensors = build_network(checkpoint, dtype=torch.float32, device=torch.device("cpu"))
    assert (type(network).__name__, tensors) == ("MixerLM", 4)
    assert not mark.exists()


def test_the_hash_of_code_is_over_names_and_contents_of_code_alone(place):
    write(place)
    assert list(source_files(place)) == ["config.json", "configuration_mixer.py", "modeling_mixer.py"]
    before = source_hash(source_files(place))
    (place / "README.md").write_text("hello", encoding="utf-8")
    assert source_hash(source_files(place)) == before
    (place / "modeling_mixer.py").rename(place / "modelling.py")
    assert source_hash(source_files(place)) != before


@pytest.fixture
def hub(monkeypatch, place):
    """Calls to the hub's client, none of which leaves this machine; every repository is one checkpoint."""
    import huggingface_hub

    calls = []

    def snapshot_download(repo_id, **options):
        calls.append((repo_id, options))
        return str(write(place))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return calls


@pytest.mark.parametrize(
    ("revision", "allow", "message"),
    [
        (
            None,
            f"owner/name@{COMMIT}",
            r"revision of 'owner/name' must be a full commit .*, got None; the code",
        ),
        ("main", f"owner/name@{COMMIT}", r"got 'main'; the code behind a branch can change: copy the commit"),
        (
            COMMIT[:8],
            f"owner/name@{COMMIT}",
            r"must be a full commit \(40 digits of 0-9a-f\) to run its code",
        ),
        (
            COMMIT,
            None,
            rf"code of 'owner/name@{COMMIT}' must be allowed .* fetched or run, got no --pb-allow",
        ),
        (COMMIT, f"other/name@{COMMIT}", rf"first, then pass --pb-allow-remote-code owner/name@{COMMIT}$"),
        (
            COMMIT,
            f"owner/name@{COMMIT[::-1]}",
            rf"got --pb-allow-remote-code for owner/name@{COMMIT[::-1]}; ",
        ),
    ],
)
def test_a_hub_id_that_was_not_allowed_at_its_commit_is_not_even_fetched(hub, revision, allow, message):
    with pytest.raises(LoadError, match=message):
        load(request("owner/name", *([allow] if allow else []), revision=revision))
    assert hub == []


def test_a_hub_id_is_fetched_and_run_at_the_commit_that_was_allowed(hub):
    asked = request("owner/name", f"owner/name@{COMMIT}", revision=COMMIT)
    assert remote_code(asked) == f"owner/name@{COMMIT}"
    assert load(asked).vocab_size == ROWS
    assert {(repo, options["revision"]) for repo, options in hub} == {("owner/name", COMMIT)}
    assert {"*.py", "*.safetensors", "tokenizer.json"} <= set(hub[0][1]["allow_patterns"])


def test_a_hub_id_that_cannot_be_fetched_names_the_cache(monkeypatch):
    import huggingface_hub

    def snapshot_download(repo_id, **options):
        raise OSError("offline")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(
        LoadError, match=rf"got 'owner/name' \(revision {COMMIT}; .*cache looked at: .*offline"
    ):
        load(request("owner/name", f"owner/name@{COMMIT}", revision=COMMIT))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            None,
            r"model 'remote' must have a source, got none; give a folder \(--model remote=DIR\) or a hub id",
        ),
        ("no-such-folder", r"source must be an existing folder or a hub id OWNER/NAME, got 'no-such-folder'"),
    ],
)
def test_a_source_that_is_none_is_refused(source, message):
    with pytest.raises(LoadError, match=message):
        load(ModelRequest(name="remote", source=source))


# Which checkpoints


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"auto_map": None},
            r"auto_map must be an object with AutoModelForCausalLM or .*, got None; without",
        ),
        ({"auto_map": {"AutoConfig": "configuration_mixer.MixerConfig"}}, r"auto_map must be an object with"),
        ({"auto_map": {"AutoModel": "a/b--modeling.X"}}, r"code of another repository is never run: copy it"),
        ({"auto_map": {"AutoModel": "elsewhere--modeling.X"}}, r"code of another repository is never run"),
        ({"attn_implementation": "owner/kernel"}, r"attn_implementation must be eager or sdpa, got 'owner/k"),
        ({"_experts_implementation": "o/k"}, r"_experts_implementation must be eager or sdpa, got 'o/k'; "),
        (
            {"auto_map": {"AutoModel": "../modeling.X"}},
            r"auto_map must be module\.Class of \*\.py files beside",
        ),
        (
            {"auto_map": {"AutoModel": "missing.X"}},
            r"auto_map must be module\.Class of \*\.py files beside it",
        ),
        ({"auto_map": {"AutoModel": ["modeling_mixer.MixerLM"]}}, r"auto_map must be module\.Class"),
        (
            {"auto_map": {"AutoModel": "modeling_mixer.MixerLM", "AutoConfig": "a/b--c.D"}},
            "another repository",
        ),
        ({"architectures": ["LLaDAModelLM"]}, r"this one runs here without it \(--model llada="),
        (
            {"architectures": ["DreamOnModel"]},
            r"row i predicts token i, got .*; its row i - 1 predicts token i",
        ),
        ({"architectures": ["Fast_dLLM_QwenForCausalLM"]}, r"runs here without it \(--model fast-dllm-v2="),
        (
            {"architectures": ["SDARVisionForCausalLM"]},
            r"its attention is in blocks, so its own code is not run",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_before_its_code_runs(place, tmp_path, config, message):
    mark = tmp_path / "it ran"
    write(place, first=f"open({str(mark)!r}, 'w').close()\n", **config)
    (place / "elsewhere--modeling.py").write_text("X = None\n", encoding="utf-8")
    with pytest.raises(LoadError, match=message):
        loaded(place)
    assert not mark.exists()


def test_a_checkpoint_with_pickles_only_is_refused_before_its_code_runs(alarm):
    folder, mark = alarm
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(LoadError, match=r"got only pytorch_model\.bin, which may run code when read"):
        loaded(folder)
    assert not mark.exists()


def test_weights_fit_the_network_exactly(place):
    from safetensors.torch import load_file, save_file

    path = write(place) / "model.safetensors"
    stored = load_file(path)
    save_file({name: tensor for name, tensor in stored.items() if name != "mix.bias"}, path)
    with pytest.raises(LoadError, match=r"got 1 missing keys \(native names\): mix\.bias"):
        loaded(place)
    save_file({**stored, "extra": torch.zeros(1)}, path)
    with pytest.raises(LoadError, match=r"got 1 unexpected keys: extra"):
        loaded(place)


def test_a_shared_parameter_may_be_stored_once(place):
    from safetensors.torch import load_file, save_file

    write(place)
    code = (place / "modeling_mixer.py").read_text()
    tied = code.replace("        steps =", "        self.head.weight = self.embed.weight\n        steps =")
    (place / "modeling_mixer.py").write_text(tied, encoding="utf-8")
    stored = load_file(place / "model.safetensors")
    del stored["embed.weight"]
    save_file(stored, place / "model.safetensors")
    network = loaded(place).network
    assert network.head.weight.data_ptr() == network.embed.weight.data_ptr()
    assert torch.equal(network.embed.weight, stored["head.weight"])


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (
            "import no_such_package_here\n",
            r"must be importable here, got ImportError: .*no_such_package_here",
        ),
        ("this is no python\n", r"must be importable here, got SyntaxError: "),
    ],
)
def test_code_that_cannot_be_imported_is_a_reason(place, first, message):
    with pytest.raises(LoadError, match=rf"^code of '.*' {message}"):
        loaded(write(place, first=first))


def test_the_config_may_be_a_class_of_transformers(place):
    own_model = {"AutoModel": "modeling_mixer.MixerLM"}
    assert loaded(write(place, auto_map=own_model, model_type="llama")).vocab_size == ROWS
    with pytest.raises(LoadError, match=r"must be importable here, got ValueError: .*no_such_type"):
        loaded(write(place, auto_map=own_model, model_type="no_such_type"))
