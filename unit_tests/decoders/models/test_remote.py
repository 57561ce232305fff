"""A network of a checkpoint's own code: what it has to obey, and what its results depend on."""

import json
import math

import pytest
import torch

from decoders.loading.checkpoint import LoadError
from decoders.models.remote import fingerprint, remote_code
from decoders.testing import check_denoiser
from unit_tests.remote_checkpoint import (
    CAUSAL,
    EOS,
    MASK,
    PAD,
    ROWS,
    TEMPLATE,
    allowed,
    loaded,
    request,
    write,
)

pytestmark = pytest.mark.usefixtures("cache")
TALK = [{"role": "user", "content": "Hi."}]


def set_keys(folder, **values):
    path = folder / "tokenizer_config.json"
    old = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**old, **values}), encoding="utf-8")


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
