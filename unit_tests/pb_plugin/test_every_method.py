"""Every registered method: it obeys the rules, and infills with and without noise, alone as in a batch."""

import json

import pytest

from decoders.testing import check_method
from decoders.text.frequencies import TokenCounts
from pb_plugin.planning.methods import variants_of
from pb_plugin.planning.option_grammar import parse_method
from pb_plugin.planning.registry import BUILTIN, METHODS, known

N_ITEMS, SAMPLES, TEMPERATURES = 4, 2, (0.0, 1.0)
K = (1, 2)
ASKED = ("--task", f"list_shuffle:n={N_ITEMS}", "--samples", str(SAMPLES), "--pb-temperature", "0,1")

every_method = pytest.mark.parametrize("name", list(BUILTIN[METHODS]))


@pytest.fixture(scope="module")
def choice_of(tmp_path_factory):
    """Return a function that gives a method's name as ``--unmasking`` takes it, with the file it needs."""
    tmp_path = tmp_path_factory.mktemp("table")

    def choice(name):
        if name != "pc_sampler":
            return name
        path = tmp_path / "counts.json"
        TokenCounts(total=9, counts={2: 4, 3: 5}).write(path)
        return f"{name}:table={path}"

    return choice


@pytest.fixture(scope="module")
def methods_of(choice_of):
    """Return a function that gives the objects of a method's default sweep."""
    return lambda name: [v.method for v in variants_of(parse_method(choice_of(name)), known(METHODS))]


@every_method
def test_the_ends_of_its_sweep_obey_the_rules(methods_of, name):
    methods = methods_of(name)
    for method in {methods[0], methods[-1]}:
        check_method(method)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A folder for the stores of two runs of each model over all methods that it can decode with."""
    return tmp_path_factory.mktemp("stores")


@pytest.fixture
def infilled(suite, methods_of, choice_of, tiny_llada_dir, stores):
    """Return a function that gives a method's records by key, of a run in batches and of one row by row.

    A method that looks at attention decodes with a network, any other with the exact model. The first test
    of a model runs all its methods at once, as each run has a price of its own.
    """

    def decoded(method):
        is_exact = takes_exact(method)
        found = []
        for how, options in {"together": (), "alone": ("--pb-batch", "1")}.items():
            store = stores / f"{how}-{is_exact}"
            if not store.exists():
                names = [name for name in BUILTIN[METHODS] if takes_exact(methods_of(name)[0]) == is_exact]
                chosen = [word for name in names for word in ("--unmasking", choice_of(name))]
                if any(methods_of(name)[0].takes_k for name in names):
                    chosen += ["--k", ",".join(map(str, K))]
                model = () if is_exact else ("--model", f"llada={tiny_llada_dir}")
                assert suite.run(*ASKED, *chosen, *model, *options, store=store).ret == 0
            mine = [record for record in suite.records(store) if record.parts["method"] == method.name]
            found.append({record.decode_key: record for record in mine})
        return found

    return decoded


def takes_exact(method):
    return not {"attention", "row_attention"} & method.needs


@every_method
def test_it_infills_with_and_without_noise_the_same_alone_and_in_a_batch(methods_of, infilled, name):
    """The template stands, only the items are filled in, and no mask is left."""
    method = methods_of(name)[0]
    together, alone = infilled(method)
    assert together.keys() == alone.keys()
    assert {record.parts["temperature"] for record in together.values()} == set(TEMPERATURES)
    n_settings = len(K) if method.takes_k else len(methods_of(name)) * len(getattr(method, "blocks", (0,)))
    assert len(together) == SAMPLES * n_settings * len(TEMPERATURES)
    for key, record in together.items():
        assert not record.failed, record.error
        assert not record.differences(alone[key])
        assert record.canvas_tokens == sum(step >= 0 for step in record.commit_step)
        if takes_exact(method):
            assert record.canvas_tokens == N_ITEMS
            assert len(json.loads(record.text)) == N_ITEMS
            assert record.nfe <= (2 if method.may_remask else 1) * N_ITEMS


def test_what_looks_at_attention_is_skipped_for_the_exact_model(suite, methods_of):
    names = [name for name in BUILTIN[METHODS] if not takes_exact(methods_of(name)[0])]
    chosen = [word for name in names for word in ("--unmasking", name)]
    n_items = len(TEMPERATURES) * sum(len(methods_of(name)) for name in names)
    suite.run(*ASKED, *chosen).assert_outcomes(skipped=n_items)
