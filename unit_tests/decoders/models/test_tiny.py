"""The model `tiny`: its prompts, its checkpoint folder, and the one that is shipped."""

import json
import shutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from decoders.loading.checkpoint import Config, LoadError
from decoders.models import llada, tiny
from decoders.protocols import ModelRequest
from decoders.text.chat import encode
from decoders.text.hf_tokenizer import HFTokenizer
from decoders.training.checkpoint import export
from decoders.training.tiny import new_network
from pb_plugin.cli.train_tiny import lessons
from task_specs.load import load_samples
from task_specs.prompt import messages
from task_specs.questions.layout import CANVAS, PROMPT
from task_specs.questions.vocabulary import BLANK, EOS, MASK, NEWLINE, PIECES, TASKS
from task_specs.spec import builtin_spec

LESSONS = lessons()
MIB = 2**20
LINE = 'sort\n["Amy Fox", "Bob Ford", "Carl Bell"]'


def request(folder=None, **fields):
    source = None if folder is None else str(folder)
    return ModelRequest(name="tiny", source=source, device="cpu", **fields)


def tokenizer_of(description, name="tiny"):
    return HFTokenizer(Tokenizer.from_str(json.dumps(description)), name=name)


@pytest.fixture(scope="session")
def tokenizer():
    return tokenizer_of(LESSONS.tokenizer)


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """The network before training."""
    config = Config(path=tmp_path_factory.mktemp("config") / "config.json", values=LESSONS.config_json())
    return new_network(config, 5)


@pytest.fixture(scope="session")
def folder(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    export(network, LESSONS.config_json(), LESSONS.tokenizer, folder)
    return folder


@pytest.fixture(scope="session")
def model(folder):
    return tiny.load(request(folder))


def user(text):
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("task", TASKS)
def test_every_frozen_question_is_a_prompt_of_26_tokens(tokenizer, task):
    spec = builtin_spec(task)
    for sample in load_samples(spec):
        ids = encode(messages(spec, sample, "compact"), tokenizer, tiny.CHAT, name="tiny")
        assert len(ids) == tiny.HEAD + tiny.BODY == 26
        kept = [token for token in ids if token != BLANK]
        assert tokenizer.decode(kept) == messages(spec, sample, "compact")[0]["content"]


def test_blanks_stand_after_the_first_line_and_after_the_input(tokenizer):
    ids = encode(user(LINE), tokenizer, tiny.CHAT, name="tiny")
    head, body = ids[: tiny.HEAD], ids[tiny.HEAD :]
    assert [PIECES[token] for token in head] == ["sort", "\n", *["<blank>"] * 5]
    assert "".join(PIECES[token] for token in body[:10]) == '["Amy Fox", "Bob Ford", "Carl Bell"]'
    assert body[10:] == [BLANK] * 9


HEADS = st.lists(st.integers(NEWLINE + 1, len(PIECES) - 1), max_size=tiny.HEAD - 1)
BODIES = st.lists(st.integers(NEWLINE, len(PIECES) - 1), min_size=1, max_size=tiny.BODY)


@given(head=HEADS, body=BODIES)
def test_filling_up_adds_blanks_alone_and_puts_the_input_at_one_place(tokenizer, head, body):
    filled = tiny.fill_up([*head, NEWLINE, *body], tokenizer)
    assert len(filled) == tiny.HEAD + tiny.BODY
    assert filled[: len(head) + 1] == [*head, NEWLINE]
    assert filled[tiny.HEAD : tiny.HEAD + len(body)] == body
    assert filled.count(BLANK) == len(filled) - len(head) - 1 - len(body) + body.count(BLANK)


LIMIT = "it was trained on lists of 3 to 6 people and on 4x4 puzzles"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'sort\n["Amy Fox", "Zoltan Ford"]',
            r"^prompt must consist of the words 'tiny' was trained on, got another one after "
            r"""'sort\\n\["Amy Fox", "'; it knows the compact prompts""",
        ),
        (
            "Please sort",
            r"prompt must consist of the words 'tiny' was trained on, got another one after ''; it",
        ),
        ("sort", rf"^first line of a prompt of 'tiny' must have 1 to 7 tokens, got 0; {LIMIT}"),
        (
            "insert_index, 3, Amy Fox, 2\nA",
            rf"^first line of a prompt of 'tiny' must have 1 to 7 tokens, got 9; {LIMIT}",
        ),
        ("sort\n", rf"^input of a prompt of 'tiny' must have 1 to 19 tokens, got 0; {LIMIT}"),
        (
            "copy\n" + json.dumps(["Amy Fox"] * 7),
            rf"^input of a prompt of 'tiny' must have 1 to 19 tokens, got 22; {LIMIT}",
        ),
    ],
    ids=["word", "prose", "one_line", "long_head", "no_input", "long_input"],
)
def test_what_the_model_was_not_trained_on_is_refused(tokenizer, text, message):
    with pytest.raises(ValueError, match=message):
        encode(user(text), tokenizer, tiny.CHAT, name="tiny")


@pytest.mark.parametrize("n", [1, 3, 6])
def test_lists_that_fit_are_read(tokenizer, n):
    ids = encode(user("copy\n" + json.dumps(["Amy Fox"] * n)), tokenizer, tiny.CHAT, name="tiny")
    assert ids.count(BLANK) == 5 + 18 - 3 * n


@pytest.mark.parametrize(
    ("chat", "roles"),
    [
        ([*user(LINE), {"role": "assistant", "content": "[]"}, *user(LINE)], "user, assistant, user"),
        ([{"role": "system", "content": "Sort."}, *user(LINE)], "system, user"),
        ([{"role": "assistant", "content": LINE}], "assistant"),
    ],
    ids=["shots", "system", "no_user"],
)
def test_a_chat_is_one_question(tokenizer, chat, roles):
    with pytest.raises(
        ValueError,
        match=rf"^messages for a model of compact prompts must be one of role user, got {roles}; ask without "
        "worked examples",
    ):
        encode(chat, tokenizer, tiny.CHAT, name="tiny")


def test_a_chat_without_messages_is_refused_as_for_every_model(tokenizer):
    with pytest.raises(ValueError, match=r"^messages must hold at least one message, got \[\]"):
        encode([], tokenizer, tiny.CHAT, name="tiny")


def without(text):
    """Return the tokenizer with another word in the place of *text*."""
    changed = lessons().tokenizer
    place = changed["model"]["vocab"].pop(text)
    changed["model"]["vocab"]["gone"] = place
    changed["added_tokens"] = [token for token in changed["added_tokens"] if token["content"] != text]
    return tokenizer_of(changed)


@pytest.mark.parametrize(("text", "lacking"), [("<blank>", "<blank>"), ("\n", "line break")])
def test_a_tokenizer_without_blank_or_line_break_is_refused(text, lacking):
    with pytest.raises(
        ValueError,
        match=rf"^tokenizer 'tiny' must hold <blank> and the line break, got no {lacking}; use the "
        "tokenizer.json of the checkpoint",
    ):
        tiny.fill_up([5, 6], without(text))


def test_a_tokenizer_without_blank_is_refused_before_anything_is_written():
    with pytest.raises(
        ValueError, match=r"must hold the chat markers of 'tiny', got none of <blank>; use the"
    ):
        encode(user(LINE), without("<blank>"), tiny.CHAT, name="tiny")


def test_an_exported_folder_loads_and_passes_its_self_tests(model):
    assert [test.name for test in model.self_tests][:2] == ["keys", "inv_freq"]
    assert all(test.passed for test in model.self_tests)
    assert (model.mask_id, model.eos_ids, model.pad_id) == (MASK, frozenset({EOS}), BLANK)
    assert (model.vocab_size, model.max_length) == (len(PIECES), PROMPT + CANVAS)
    assert model.encode_prompt(user(LINE)) == encode(user(LINE), model.tokenizer, tiny.CHAT, name="tiny")


def test_weights_of_16_bits_are_computed_with_in_32(model):
    assert model.dtype == "float32"
    assert {parameter.dtype for parameter in model.network.parameters()} == {torch.float32}


def test_weights_may_be_asked_for_in_another_type(folder):
    assert tiny.load(request(folder, dtype="bfloat16")).dtype == "bfloat16"


def logits_of(network, ids, positions):
    length = ids.shape[1]
    with torch.no_grad():
        return network(
            input_ids=ids,
            attention_mask=torch.zeros(len(ids), 1, length, length),
            position_ids=positions,
        ).logits


def test_logits_are_those_of_the_trained_network_up_to_the_rounding_of_the_file(model, network):
    """Exactly those of the network with rounded weights; and near those of the network itself."""
    ids = LESSONS.batch_of(0, 3).ids[:8]
    every = torch.ones_like(ids, dtype=torch.bool)
    loaded = model.raw_logits(ids, every, every.nonzero()).unflatten(0, ids.shape)
    positions = torch.arange(ids.shape[1]).expand(ids.shape)
    own = logits_of(network, ids, positions)
    config = Config(path=model.directory / "config.json", values=LESSONS.config_json())
    rounded = new_network(config, 5)
    with torch.no_grad():
        for parameter in rounded.parameters():
            parameter.copy_(parameter.half().float())
    size = float(own.abs().max())
    assert float((loaded - logits_of(rounded, ids, positions)).abs().max()) < 1e-5 * size
    assert 0.0 < float((loaded - own).abs().max()) < 5e-3 * size


def test_a_mask_is_never_proposed_and_every_other_token_may_be(model):
    canvas = torch.tensor([[*model.encode_prompt(user(LINE)), *[MASK] * 4]])
    every = torch.ones_like(canvas, dtype=torch.bool)
    logits = model(canvas, every, every.nonzero(), [None])
    assert model.suppressed_ids == (MASK,)
    assert (logits[:, MASK] == float("-inf")).all()
    assert torch.isfinite(logits[:, MASK + 1 :]).all()


def test_the_folder_is_no_llada_and_the_message_says_which_name_to_use(folder):
    with pytest.raises(
        LoadError, match=rf"architectures must be .*'LLaDAModelLM'.*\(--model tiny={folder}\)"
    ):
        llada.load(ModelRequest(name="llada", source=str(folder), device="cpu"))


def test_a_llada_is_no_tiny_and_the_message_says_which_name_to_use(tiny_llada_dir):
    with pytest.raises(LoadError, match=rf"'TinyModelLM'.*\(--model llada={tiny_llada_dir}\)"):
        tiny.load(request(tiny_llada_dir))


def test_the_fingerprint_is_of_the_model_and_not_of_how_far_its_training_is(folder, tmp_path):
    copied = shutil.copytree(folder, tmp_path / "copied")
    before = tiny.fingerprint(request(folder))
    (copied / "training").mkdir()
    (copied / "training" / "state.safetensors").write_bytes(b"x")
    assert tiny.fingerprint(request(copied)) == before
    (copied / "config.json").write_text("{}", encoding="utf-8")
    assert tiny.fingerprint(request(copied)) != before


def test_without_a_source_it_is_the_shipped_folder(monkeypatch, folder):
    monkeypatch.setattr(tiny, "shipped_folder", lambda: folder)
    assert tiny.load(request()).directory == folder
    assert tiny.fingerprint(request()) == tiny.fingerprint(request(folder))


@pytest.mark.skipif(
    not tiny.shipped_folder().is_dir(),
    reason="decoders/checkpoints/tiny is not there: pb train-tiny makes it",
)
class TestShipped:
    def test_it_is_three_files_below_8_mb(self):
        sizes = {path.name: path.stat().st_size for path in tiny.shipped_folder().iterdir()}
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(sizes)
        assert not [name for name in sizes if name.endswith((".bin", ".pt", ".pkl", ".py", ".new"))]
        assert sum(sizes.values()) < 8 * MIB

    def test_it_loads_with_its_self_tests_and_has_below_4_million_weights_of_16_bits(self):
        from safetensors.torch import load_file

        model = tiny.load(request())
        assert all(test.passed for test in model.self_tests)
        assert sum(parameter.numel() for parameter in model.network.parameters()) < 4_000_000
        weights = load_file(tiny.shipped_folder() / "model.safetensors")
        assert {tensor.dtype for tensor in weights.values()} == {torch.float16}

    def test_config_and_tokenizer_are_those_that_training_writes(self):
        for name, content in (("config.json", LESSONS.config_json()), ("tokenizer.json", LESSONS.tokenizer)):
            text = (tiny.shipped_folder() / name).read_text(encoding="utf-8")
            assert json.loads(text) == json.loads(json.dumps(content))

    def test_its_fingerprint_does_not_depend_on_where_it_lies(self, tmp_path):
        copied = shutil.copytree(tiny.shipped_folder(), tmp_path / "elsewhere")
        assert tiny.fingerprint(request(copied)) == tiny.fingerprint(request())
