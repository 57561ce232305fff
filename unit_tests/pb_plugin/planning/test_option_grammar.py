"""The grammar of option values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.planning import option_grammar as grammar

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
VALUES = st.from_regex(r"[a-zA-Z0-9_.\-]{1,6}", fullmatch=True)
GRIDS = st.dictionaries(NAMES, st.lists(VALUES, min_size=1, max_size=3, unique=True), min_size=1, max_size=3)


def written(grid: dict[str, list[str]]) -> str:
    return ";".join(f"{key}={','.join(values)}" for key, values in grid.items())


@pytest.mark.parametrize(
    ("values", "items"),
    [
        (["a,b", "c"], ("a", "b", "c")),
        ([" a , b "], ("a", "b")),
        (["threshold:gamma=0.8,0.9", "random"], ("threshold:gamma=0.8,0.9", "random")),
        (["llada=/data/a,b", "ideal,tiny"], ("llada=/data/a,b", "ideal", "tiny")),
        (["llada=../a,b/c@1"], ("llada=../a,b/c@1",)),
        (["llada=org/a,dream"], ("llada=org/a", "dream")),
        ([], ()),
    ],
    ids=["commas", "blanks", "colon keeps commas", "folder keeps commas", "parent", "hub id", "nothing"],
)
def test_a_value_is_split_at_commas_but_for_one_with_a_colon_or_a_folder(values, items):
    assert grammar.split_values(values, name="--x") == items


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a,,b"], r"--x must be a list without empty items, got 'a,,b'; remove the stray comma"),
        ([""], r"--x must be a list without empty items, got ''"),
        (["a,b", "a"], r"--x must be a list without repetitions, got 'a' twice; give it once"),
    ],
)
def test_stray_commas_and_repetitions_are_errors(values, message):
    with pytest.raises(ValueError, match=message):
        grammar.split_values(values, name="--x")


@given(name=NAMES, grid=GRIDS)
def test_a_method_and_its_parameters_come_back_as_written(name, grid):
    choice = grammar.parse_method(f"{name}:{written(grid)}")
    assert choice.reference == name
    assert dict(choice.grid) == {key: tuple(values) for key, values in grid.items()}


@given(module=st.lists(NAMES, min_size=1, max_size=3), attribute=NAMES, grid=st.just({}) | GRIDS)
def test_the_part_after_a_colon_is_parameters_only_if_it_has_an_equals_sign(module, attribute, grid):
    reference = f"{'.'.join(module)}:{attribute}"
    choice = grammar.parse_method(reference + (f":{written(grid)}" if grid else ""))
    assert choice.reference == reference
    assert dict(choice.grid) == {key: tuple(values) for key, values in grid.items()}


def test_a_parameter_value_may_hold_a_colon():
    assert grammar.parse_method("acme:score=pkg.mod:fn").grid == (("score", ("pkg.mod:fn",)),)


@pytest.mark.parametrize(
    "text", ["threshold:0.9", "threshold:", "a,threshold:gamma=1", "a b", ":x", "a:b:c", "a=1"]
)
def test_what_is_no_method_says_how_one_is_written(text):
    rule = r"--unmasking must be NAME\[:PARAMS\] or package\.module:attribute\[:PARAMS\], got .*; PARAMS are"
    with pytest.raises(ValueError, match=rule):
        grammar.parse_method(text)


@pytest.mark.parametrize("params", ["g=", "g=1,,2", "=1", "g=1;", "g=1;h", "1g=2"])
def test_malformed_parameters_are_errors(params):
    with pytest.raises(ValueError, match=r"must have parameters written key=v1,v2;key=v, got .* in 'm:"):
        grammar.parse_method(f"m:{params}")


def test_a_parameter_is_named_once_and_a_value_is_given_once():
    with pytest.raises(ValueError, match=r"must name each parameter once, got 'g' twice in 'm:g=1;g=2'"):
        grammar.parse_method("m:g=1;g=2")
    with pytest.raises(ValueError, match=r"must give each value of 'g' once, got 'm:g=1,1'"):
        grammar.parse_method("m:g=1,1")


@given(grid=GRIDS)
def test_a_grid_expands_to_every_combination_once_with_the_last_parameter_fastest(grid):
    combinations = grammar.expand(tuple((key, tuple(values)) for key, values in grid.items()))
    expected = 1
    for values in grid.values():
        expected *= len(values)
    assert len(combinations) == len(set(combinations)) == expected
    last_key, last_values = list(grid.items())[-1]
    assert [dict(pairs)[last_key] for pairs in combinations[: len(last_values)]] == last_values


def test_an_empty_grid_has_one_empty_combination():
    assert grammar.expand(()) == [()]


@pytest.mark.parametrize(
    ("text", "reference", "grid", "is_path"),
    [
        ("shuffle", "shuffle", (), False),
        ("shuffle:n=15", "shuffle", (("n", ("15",)),), False),
        ("reverse:cot=true", "reverse", (("cot", ("true",)),), False),
        ("my/tasks/mine.yaml", "my/tasks/mine.yaml", (), True),
        ("mine.yml:n=3,4", "mine.yml", (("n", ("3", "4")),), True),
        ("pkg.mod:attr", "pkg.mod:attr", (), False),
        ("pkg.mod:attr:n=3", "pkg.mod:attr", (("n", ("3",)),), False),
    ],
)
def test_tasks(text, reference, grid, is_path):
    assert grammar.parse_task(text) == grammar.TaskChoice(
        text=text, reference=reference, grid=grid, is_path=is_path
    )


def test_what_is_no_task_says_how_one_is_written():
    with pytest.raises(
        ValueError, match=r"--task must be NAME\[:PARAMS\], a \.yaml path or .*, got 'shuffle:15';"
    ):
        grammar.parse_task("shuffle:15")


@pytest.mark.parametrize(
    ("text", "reference", "source", "revision"),
    [
        ("ideal", "ideal", None, None),
        ("llada-8b", "llada-8b", None, None),
        ("llada=org/name", "llada", "org/name", None),
        ("llada=org/name@refs/pr/1", "llada", "org/name", "refs/pr/1"),
        ("llada=/data/run@3/last", "llada", "/data/run@3/last", None),
        ("llada=./run@3", "llada", "./run@3", None),
        ("llada=~/run@3", "llada", "~/run@3", None),
        ("acme.models:load", "acme.models:load", None, None),
    ],
)
def test_models(text, reference, source, revision):
    choice = grammar.parse_model(text)
    assert (choice.reference, choice.source, choice.revision) == (reference, source, revision)
    assert choice.name == reference


@pytest.mark.parametrize(
    ("text", "reference", "name", "source"),
    [
        ("openai:http://h:1/v1#m", "openai", "openai:h:1/v1#m", "openai:http://h:1/v1#m"),
        ("mine=vllm:https://h", "vllm", "mine", "vllm:https://h"),
        ("anthropic:claude", "anthropic", "anthropic:claude", "anthropic:claude"),
        ("a.b=sglang:served.yaml", "sglang", "a.b", "sglang:served.yaml"),
    ],
)
def test_a_server_is_called_by_its_address_or_by_a_name_of_its_own(text, reference, name, source):
    choice = grammar.parse_model(text)
    assert (choice.text, choice.reference, choice.name, choice.source) == (text, reference, name, source)
    assert choice.is_served
    assert choice.address.scheme == reference


@pytest.mark.parametrize("text", ["openai:gpt", "openai", "mine=openai:gpt", "anthropic:", "vllm:h:1"])
def test_what_is_no_server_says_how_one_is_written(text):
    with pytest.raises(ValueError, match=r"--model must be \w+:URL\[#MODEL\] or \w+:TABLE.yaml"):
        grammar.parse_model(text)


def test_what_runs_here_is_no_server():
    for text in ("llada", "llada=openai-community/gpt2", "pkg.mod:load", "llada=./openai:x"):
        assert not grammar.parse_model(text).is_served


@pytest.mark.parametrize("text", ["a:b:c", "=x", "a b", "pkg.mod:attr=DIR", "llada:8b"])
def test_what_is_no_model_says_how_one_is_written(text):
    with pytest.raises(ValueError, match=r"--model must be NAME, NAME=DIR_OR_HUB_ID\[@REVISION\] or "):
        grammar.parse_model(text)


@pytest.mark.parametrize("text", ["llada=", "llada=x@", "llada=@main"])
def test_a_model_source_has_no_empty_part(text):
    with pytest.raises(ValueError, match=r"with no part empty, got .*; write llada alone for its preset"):
        grammar.parse_model(text)


@pytest.mark.parametrize("text", ["x", "0", "-1", "1.5", ""])
def test_whole_numbers_have_a_minimum(text):
    with pytest.raises(ValueError, match=r"--k must be a whole number of at least 1, got "):
        grammar.parse_int(text, name="--k", minimum=1)
    assert grammar.parse_int("16", name="--k", minimum=1) == 16


@pytest.mark.parametrize("text", ["x", "nan", "inf", "-0.1"])
def test_numbers_are_finite_and_in_range(text):
    with pytest.raises(ValueError, match=r"--t must be a number of at least 0, got .*; write it like 0\.9"):
        grammar.parse_float(text, name="--t", low=0.0)
    assert grammar.parse_float("0.5", name="--t", low=0.0) == 0.5


def test_a_floor_names_a_task_and_an_accuracy():
    assert grammar.parse_floor("copy=0.9") == ("copy", 0.9)
    with pytest.raises(
        ValueError, match=r"--pb-floor must be TASK=ACCURACY, got 'copy'; for example copy=0\.9"
    ):
        grammar.parse_floor("copy")
    with pytest.raises(ValueError, match=r"--pb-floor copy must be a number in \[0, 1\], got '90'"):
        grammar.parse_floor("copy=90")
