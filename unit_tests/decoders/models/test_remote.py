"""A checkpoint's own code runs where it was allowed and nowhere else; what it then has to obey."""

import json
import math
import sys

import pytest
import torch

from decoders.fingerprint import source_files, source_hash
from decoders.loading.checkpoint import LoadError
from decoders.loading.remote_code import build_network, find_allowed
from decoders.models.remote import fingerprint, load, remote_code
from decoders.protocols import ModelRequest
from decoders.testing import check_denoiser
from unit_tests.remote_checkpoint import CAUSAL, EOS, MASK, PAD, ROWS, TEMPLATE, allowed, module_cache, write

torch.set_num_threads(1)

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TALK = [{"role": "user", "content": "Hi."}]


@pytest.fixture(autouse=True)
def cache(tmp_path):
    with module_cache(tmp_path / "modules") as folder:
        yield folder


@pytest.fixture
def place(tmp_path):
    return tmp_path / "checkpoint"


def request(folder, *allow, **fields):
    return ModelRequest(name="remote", source=str(folder), device="cpu", allow_code=allow, **fields)


def loaded(folder, **fields):
    return load(request(folder, allowed(folder), **fields))


def set_keys(folder, **values):
    path = folder / "tokenizer_config.json"
    old = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**old, **values}), encoding="utf-8")


# What may run


@pytest.fixture
def alarm(place, tmp_path):
    """A checkpoint whose code leaves a file and raises when it is imported, and that file."""
    mark = tmp_path / "it ran"
    first = f"open({str(mark)!r}, 'w').close()\nraise RuntimeError('it ran')\n"
    return write(place, first=first), mark


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


# How it is called


def expected(network, ids):
    """The network of the fixture, written down apart from it."""
    length, width = len(ids), network.mix.weight.shape[0]
    steps = torch.tensor([100 ** (-i / width) for i in range(width)])
    hidden = network.embed.weight[torch.tensor(ids)] + torch.sin(torch.arange(length)[:, None] * steps)
    seen = hidden.mean(dim=0) @ network.mix.weight.T + network.mix.bias
    return torch.tanh(hidden + seen) @ network.head.weight.T


def test_row_i_predicts_token_i_and_rows_of_unlike_length_see_no_padding(place):
    model = loaded(write(place))
    first, second = [5, 6, 7, MASK, MASK], [9, MASK, MASK]
    canvas = torch.tensor([first, [PAD, PAD, *second], first])
    attend = torch.tensor([[True] * 5, [False] * 2 + [True] * 3, [True] * 5])
    query = torch.tensor([[0, 3], [0, 4], [1, 3], [1, 4], [2, 4]])
    logits = model(canvas, attend, query, (None,) * 3)
    want = torch.stack(
        [
            *expected(model.network, first)[3:],
            *expected(model.network, second)[1:],
            expected(model.network, first)[4],
        ]
    )
    kept = [token for token in range(ROWS) if token not in model.suppressed_ids]
    torch.testing.assert_close(logits[:, kept], want[:, kept])
    assert torch.isneginf(logits[:, model.suppressed_ids]).all()


def test_it_obeys_the_rules_of_denoisers(place):
    check_denoiser(loaded(write(place)))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_it_has_the_dtype_asked_for(place, dtype):
    model = loaded(write(place), dtype=dtype)
    assert (model.dtype, str(model.network.mix.weight.dtype)) == (dtype, f"torch.{dtype}")
    assert [test.name for test in model.self_tests] == [
        "keys",
        "repeated",
        "batch_mates",
        "both_directions",
        "suppression",
        "mask_token",
    ]
    assert all(test.passed for test in model.self_tests)


BLOCKS = "torch.stack([hidden[:, : (i // 32 + 1) * 32].mean(dim=1) for i in range(hidden.shape[1])], dim=1)"


@pytest.mark.parametrize(
    ("seen", "test"),
    [
        (CAUSAL, "both_directions"),
        (BLOCKS, "both_directions"),
        ("hidden.mean(dim=1, keepdim=True) + torch.rand(1)", "repeated"),
        ("hidden.mean(dim=(0, 1), keepdim=True)", "batch_mates"),
        ("hidden.mean(dim=1, keepdim=True) / 0 * 0", "both_directions|repeated|suppression"),
    ],
    ids=["causal", "in blocks", "random", "rows mixed", "not a number"],
)
def test_a_network_that_does_something_else_fails_its_self_test(place, seen, test):
    with pytest.raises(LoadError, match=rf"self-test '({test})' of 'remote' must pass, got: "):
        loaded(write(place, seen=seen))


def test_a_network_that_gives_no_logits_is_refused(place):
    write(place)
    code = (place / "modeling_mixer.py").read_text()
    (place / "modeling_mixer.py").write_text(code.replace("MaskedLMOutput(logits=", "dict(hidden="))
    with pytest.raises(
        LoadError, match=r"forward\(input_ids\) must give logits of shape \(1, 2, 'V'\), got dict"
    ):
        loaded(place)
    flat = code.replace("        return MaskedLMOutput(logits=", "        return (").replace(
        "(seen))))", "(seen)))[0],)"
    )
    (place / "modeling_mixer.py").write_text(flat, encoding="utf-8")
    with pytest.raises(LoadError, match=r"must give logits of shape \(1, 2, 'V'\), got \(2, 264\)"):
        loaded(place)


def test_a_canvas_longer_than_the_config_says_is_refused(place):
    model = loaded(write(place, max_position_embeddings=6))
    canvas = torch.full((1, 9), MASK)
    query = torch.tensor([[0, 8]])
    with pytest.raises(ValueError, match=r"canvas of 'remote' must be at most 6 tokens long, got 9; use"):
        model(canvas, torch.ones(1, 9, dtype=torch.bool), query, (None,))
    padded = torch.arange(9)[None] >= 3
    assert model(canvas, padded, query, (None,)).shape == (1, ROWS), "padding is not fed to the network"


def test_a_closed_model_says_so(place):
    model = loaded(write(place))
    model.sync()
    model.close()
    with pytest.raises(RuntimeError, match="model 'remote' must be open to be called, got a closed one"):
        model(torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 2), ())


# Its tokens


def test_ids_are_those_of_the_config(place):
    model = loaded(write(place, eos_token_id=[EOS, 10]))
    assert (model.mask_id, model.eos_ids, model.pad_id) == (MASK, {EOS, 10}, PAD)
    assert model.answer_ids([1, 2, 10, 3]) == (1, 2)
    assert set(range(259, ROWS)) | {MASK} == set(model.suppressed_ids)


def test_ids_that_the_config_lacks_are_those_of_the_tokenizer(place):
    write(place, mask_token_id=None, eos_token_id=None, pad_token_id=None)
    set_keys(place, mask_token={"content": "<mask>"}, eos_token="<eos>")
    model = loaded(place)
    assert (model.mask_id, model.eos_ids, model.pad_id) == (MASK, {EOS}, EOS)
    assert loaded(write(place, mask_token_id=None, mask_id=MASK)).mask_id == MASK


@pytest.mark.parametrize(
    ("config", "keys", "message"),
    [
        (
            {"mask_token_id": None},
            {},
            r"mask_token_id must be the id of the mask token, .*got None; look it up",
        ),
        (
            {"mask_token_id": None},
            {"mask_token": "<other>"},
            r"mask_token_id must be the id of the mask token",
        ),
        ({"mask_token_id": ROWS}, {}, rf"mask_token_id must be below the {ROWS} outputs, got {ROWS}"),
        ({"mask_token_id": "x"}, {}, r"mask_token_id must be a whole number from 0 on, got 'x'"),
        ({"eos_token_id": None}, {}, r"eos_token_id must be token ids below 264, got None"),
        ({"mask_token_id": 5}, {"mask_token": "<mask>"}, r"self-test 'mask_token' .* 5, tokenizer: 258"),
        ({"eos_token_id": MASK}, {}, r"self-test 'mask_token' of 'remote' must pass"),
    ],
)
def test_ids_that_cannot_be_right_are_refused(place, config, keys, message):
    write(place, **config)
    set_keys(place, **keys)
    with pytest.raises(LoadError, match=message):
        loaded(place)


def test_a_config_that_its_own_code_cannot_take_is_refused(place):
    write(place, width="wide")
    message = r"config\.json must be what the code beside it takes, got .*Error: .*; use the checkpoint's own"
    with pytest.raises(LoadError, match=message):
        loaded(place)


def test_without_a_template_the_prompt_is_plain_text(place):
    model = loaded(write(place))
    assert model.tokenizer.decode(model.encode_prompt(TALK)) == "Hi.\n\n"


def test_without_a_tokenizer_it_is_fed_bytes(place):
    (write(place) / "tokenizer.json").unlink()
    (place / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    model = loaded(place)
    assert model.encode_prompt(TALK) == list(b"Hi.\n\n")
    assert model.suppressed_ids == (MASK,)


@pytest.mark.parametrize("where", ["text", "list", "file"])
def test_a_chat_template_writes_the_prompt(place, where):
    write(place)
    set_keys(place, bos_token="<eos>")
    if where == "file":
        (place / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    else:
        entries = [{"name": "tool", "template": "no"}, {"name": "default", "template": TEMPLATE}]
        set_keys(place, chat_template=TEMPLATE if where == "text" else entries)
    prompt = loaded(place).encode_prompt(TALK)
    assert prompt[0] == EOS
    assert prompt[1:] == loaded(place).tokenizer.encode("<user>Hi.<assistant>")


def test_a_chat_template_that_writes_the_date_is_refused(place):
    """The prompt would be another one tomorrow, under the same key."""
    write(place)
    set_keys(place, chat_template="{{ strftime_now('%d %b %Y') }}{{ messages[0].content }}")
    with pytest.raises(LoadError, match="must not depend on the day, got strftime_now; write a fixed date"):
        loaded(place)


def test_a_chat_template_may_refuse_a_chat_and_runs_in_a_sandbox(place):
    write(place)
    set_keys(place, chat_template="{{ raise_exception('no system') }}")
    with pytest.raises(
        ValueError, match=r"messages must be what the chat template of .* takes, got no system"
    ):
        loaded(place).encode_prompt(TALK)
    set_keys(place, chat_template="{{ ''.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(ValueError, match=r"got access to attribute '__class__' of 'str' object is unsafe"):
        loaded(place).encode_prompt(TALK)
    set_keys(place, chat_template=7)
    with pytest.raises(
        LoadError, match=r"tokenizer_config\.json: chat_template must be a text, got 7; fetch"
    ):
        loaded(place)


# What results depend on


def test_the_fingerprint_covers_weights_config_tokenizer_template_and_code(place):
    write(place)
    seen = {fingerprint(request(place, allowed(place)))}
    for file in (
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "modeling_mixer.py",
        "chat_template.jinja",
    ):
        with (place / file).open("ab") as written:
            written.write(b"\n")
        seen.add(fingerprint(request(place, allowed(place))))
    assert len(seen) == 6
    (place / "README.md").write_text("hello", encoding="utf-8")
    assert fingerprint(request(place, allowed(place))) in seen
    assert remote_code(request(place, allowed(place))) == allowed(place)
    assert math.log2(16 ** len(allowed(place).rpartition("@")[2])) == 256
