"""Every registered method: it obeys the rules, and infills with and without noise, alone as in a batch."""

import json

import pytest

from decoders.testing import check_method
from decoders.text.frequencies import TokenCounts
from pb_plugin.planning.methods import variants_of
from pb_plugin.planning.option_grammar import parse_method
from pb_plugin.planning.registry import BUILTIN, METHODS, known

N_ITEMS, SAMPLES, TEMPERATURES = 4, 2, (0.0, 1.0)
ASKED = ("--task", f"list_shuffle:n={N_ITEMS}", "--samples", str(SAMPLES), "--pb-temperature", "0,1")

every_method = pytest.mark.parametrize("name", list(BUILTIN[METHODS]))


@pytest.fixture
def choice_of(tmp_path):
    """Return a function that gives a method's name as ``--unmasking`` takes it, with the file it needs."""

    def choice(name):
        if name != "pc_sampler":
            return name
        path = tmp_path / "counts.json"
        TokenCounts(total=9, counts={2: 4, 3: 5}).write(path)
        return f"{name}:table={path}"

    return choice


@pytest.fixture
def methods_of(choice_of):
    """Return a function that gives the objects of a method's default sweep."""
    return lambda name: [v.method for v in variants_of(parse_method(choice_of(name)), known(METHODS))]


@every_method
def test_the_ends_of_its_sweep_obey_the_rules(methods_of, name):
    methods = methods_of(name)
    for method in {methods[0], methods[-1]}:
        check_method(method)


@every_method
def test_it_infills_with_and_without_noise_the_same_alone_and_in_a_batch(
    suite, methods_of, choice_of, tiny_llada_dir, name
):
    """The template stands, only the items are filled in, and no mask is left."""
    method = methods_of(name)[0]
    options = [*ASKED, "--unmasking", choice_of(name), *(["--k", "1,2"] if method.takes_k else [])]
    exact = not {"attention", "row_attention"} & method.needs
    if not exact:
        refused = suite.run(*options, store=suite.pytester.path / "refused")
        assert refused.parseoutcomes().keys() == {"skipped"}
        options += ["--model", f"llada={tiny_llada_dir}"]
    stores = [suite.pytester.path / how for how in ("together", "alone")]
    assert suite.run(*options, store=stores[0]).ret == 0
    assert suite.run(*options, "--pb-batch", "1", store=stores[1]).ret == 0
    together, alone = ({r.decode_key: r for r in suite.records(store)} for store in stores)
    assert together.keys() == alone.keys()
    assert {record.parts["temperature"] for record in together.values()} == set(TEMPERATURES)
    n_settings = 2 if method.takes_k else len(methods_of(name)) * len(getattr(method, "blocks", (0,)))
    assert len(together) == SAMPLES * n_settings * len(TEMPERATURES)
    for key, record in together.items():
        assert not record.failed, record.error
        assert not record.differences(alone[key])
        assert record.canvas_tokens == sum(step >= 0 for step in record.commit_step)
        if exact:
            assert record.canvas_tokens == N_ITEMS
            assert len(json.loads(record.text)) == N_ITEMS
            assert record.nfe <= (2 if method.may_remask else 1) * N_ITEMS
