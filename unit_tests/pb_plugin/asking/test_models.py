"""A handle loads its model at the first need, once, and remembers why it could not."""

import gc
import sys
import types
import weakref

import pytest

from pb_plugin.asking.models import ModelHandle, ModelUnavailable
from pb_plugin.planning.option_grammar import parse_model


class Model:
    """What the handle needs of a model."""

    def __init__(self):
        self.closed = False

    def close(self):
        self.closed = True


@pytest.fixture
def handle_of(monkeypatch, tmp_path):
    """Return a function that makes the handle of a model of the user's from functions."""

    def build(load=None, fingerprint=None, *, source="one = 1", **options):
        module = types.ModuleType("their_model")
        file = tmp_path / "their_model.py"
        file.write_text(source + "\n")
        module.__spec__ = types.SimpleNamespace(origin=str(file), name="their_model", parent="")
        module.load = load or (lambda request: Model())
        if fingerprint is not None:
            module.fingerprint = fingerprint
        monkeypatch.setitem(sys.modules, "their_model", module)
        fixed = {"dtype": None, "device": None, "vocabulary": ("a",), "max_rows": None}
        return ModelHandle(parse_model("their_model:load"), **{**fixed, **options})

    return build


def test_a_handle_loads_at_the_first_need_and_once(handle_of, loaded_modules):
    requests = []

    def load(request):
        requests.append(request)
        return Model()

    handle = handle_of(load, dtype="float32", device="cpu", max_rows=3)
    assert (handle.loaded, requests) == (False, [])
    assert handle.fingerprint
    assert handle.code
    assert not requests, "keys need no weights"
    model = handle.get()
    assert handle.get() is model
    (request,) = requests
    assert (request.name, request.dtype, request.device, request.vocabulary) == (
        "their_model:load",
        "float32",
        "cpu",
        ("a",),
    )
    assert handle.budget.max_rows == 3
    assert handle.dtype == "float32"


def test_a_closed_handle_has_let_go_and_loads_again(handle_of, loaded_modules):
    handle = handle_of()
    reference = weakref.ref(handle.get())
    handle.close()
    gc.collect()
    assert (handle.loaded, reference()) == (False, None)
    assert handle.get() is not None


def test_closing_tells_the_model(handle_of, loaded_modules):
    handle = handle_of()
    model = handle.get()
    handle.close()
    assert model.closed
    handle.close()


def test_a_failure_to_load_is_one_attempt_and_one_reason(handle_of):
    attempts = []

    def load(request):
        attempts.append(request)
        raise OSError("disk on fire")

    handle = handle_of(load)
    for _ in range(3):
        with pytest.raises(ModelUnavailable, match=r"^model their_model:load: OSError: disk on fire$"):
            handle.get()
    assert len(attempts) == 1


def test_what_was_half_loaded_is_not_kept_by_the_failure(handle_of):
    kept = []

    def load(request):
        half = Model()
        kept.append(weakref.ref(half))
        raise OSError("disk on fire")

    handle = handle_of(load)
    with pytest.raises(ModelUnavailable):
        handle.get()
    gc.collect()
    assert kept[0]() is None


def test_a_failing_fingerprint_is_one_attempt_and_the_same_reason_as_loading(handle_of):
    attempts = []

    def fingerprint(request):
        attempts.append(request)
        raise ValueError("no such checkpoint")

    handle = handle_of(fingerprint=fingerprint)
    for ask in (lambda: handle.fingerprint, handle.get, lambda: handle.fingerprint):
        with pytest.raises(
            ModelUnavailable, match=r"^model their_model:load: ValueError: no such checkpoint$"
        ):
            ask()
    assert len(attempts) == 1


def test_a_model_that_knows_its_files_says_what_they_are(handle_of):
    assert handle_of(fingerprint=lambda request: f"files of {request.name}").fingerprint == (
        "files of their_model:load"
    )


def test_without_files_the_fingerprint_is_of_what_was_asked(handle_of):
    prints = {handle_of(vocabulary=vocabulary).fingerprint for vocabulary in ((), ("a",), ("b",))}
    assert len(prints) == 3
    assert handle_of(device="cuda").fingerprint in prints | {handle_of().fingerprint}


def test_the_code_of_a_model_is_its_own_module_and_the_loop(handle_of):
    from decoders.fingerprint import import_closure_hash

    codes = []
    for source in ("one = 1", "one = 1  # with a remark", "one = 2"):
        import_closure_hash.cache_clear()
        codes.append(handle_of(source=source).code)
    import_closure_hash.cache_clear()
    assert codes[0] == codes[1] != codes[2]


def test_a_load_function_must_return_the_model(handle_of):
    with pytest.raises(
        ModelUnavailable, match=r"TypeError: a model's load function must return the model, got"
    ):
        handle_of(lambda request: None).get()


def test_a_module_that_is_not_there_is_a_reason(monkeypatch):
    handle = ModelHandle(
        parse_model("no_such_module:load"), dtype=None, device=None, vocabulary=(), max_rows=None
    )
    with pytest.raises(ModelUnavailable, match=r"^model no_such_module:load: ModuleNotFoundError: "):
        _ = handle.fingerprint


@pytest.mark.parametrize(
    ("model", "style"), [("tiny", "compact"), ("llada", "natural"), ("ideal", "natural")]
)
def test_a_model_says_which_prompts_it_reads(model, style):
    handle = ModelHandle(parse_model(model), dtype=None, device=None, vocabulary=(), max_rows=None)
    assert handle.prompt_style == style
    assert not handle.loaded


def test_a_model_of_the_users_reads_natural_prompts_unless_it_says_otherwise(handle_of):
    handle = handle_of()
    sys.modules["their_model"].PROMPT_STYLE = "compact"
    assert handle.prompt_style == "compact"
    assert handle_of().prompt_style == "natural"


def test_a_style_that_does_not_exist_is_refused(handle_of):
    handle = handle_of()
    sys.modules["their_model"].PROMPT_STYLE = "haiku"
    for _ in range(2):
        with pytest.raises(
            ModelUnavailable,
            match=r"^model their_model:load: ValueError: PROMPT_STYLE of their_model must be one of natural, "
            r"compact, got 'haiku'; correct it or leave it out for natural$",
        ):
            _ = handle.prompt_style


def test_the_style_of_a_module_that_is_not_there_is_a_reason():
    handle = ModelHandle(
        parse_model("no_such_module:load"), dtype=None, device=None, vocabulary=(), max_rows=None
    )
    with pytest.raises(ModelUnavailable, match=r"^model no_such_module:load: ModuleNotFoundError: "):
        _ = handle.prompt_style
