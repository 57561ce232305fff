"""PC-Sampler: scores by hand, the cap, unseen tokens, limits, and the table as part of its identity."""

from dataclasses import asdict, replace

import pytest
import torch

from decoders.loop.batching import decode
from decoders.testing import HashDenoiser, check_method
from decoders.text.frequencies import TokenCounts
from decoders.unmasking.pc_sampler import PCSampler
from decoders.unmasking.top_k import confidence, left_to_right

COUNTS = TokenCounts(total=100, counts={5: 80, 6: 15, 7: 4})  # -ln f: 0.223, 1.897, 3.219; unseen 4.605


@pytest.fixture
def table(tmp_path):
    """The path of the table above."""
    path = tmp_path / "counts.json"
    COUNTS.write(path)
    return str(path)


def test_the_rules_are_obeyed(table):
    linear = {"position": "linear", "decay": 0.5}
    for given in (
        {},
        {"decay": 0.0},
        {"decay": 1.0, "alpha": 0.1},
        linear,
        linear | {"upstream_exact": True},
    ):
        check_method(PCSampler(table=table, **given))


def first(make_view, method, tokens, confidences, quota=1, block_start=0):
    """Return the positions committed of those with *tokens* proposed."""
    view = make_view([confidences], quota=quota)
    view = replace(view, proposals=torch.tensor([tokens]), block_start=view.block_start + block_start)
    update, memory = method.step(view, method.init(view))
    assert memory is None
    return update.unmask[0].nonzero().flatten().tolist()


def test_rare_and_sure_comes_first(make_view, table):
    """Worth: 0.9 * 0.223 = 0.201, 0.2 * 1.897 = 0.379, 0.1 * 3.219 = 0.322, 0.08 * 4.605 = 0.368."""
    method = PCSampler(table=table, decay=0.0)
    given = ([5, 6, 7, 9], [0.9, 0.2, 0.1, 0.08])
    assert first(make_view, method, *given) == [1]
    assert first(make_view, method, *given, quota=2) == [1, 3]
    assert first(make_view, method, *given, quota=3) == [1, 2, 3]


def test_the_linear_score_is_a_share_of_place_and_a_share_of_scaled_worth(make_view, table):
    """Worths 0.379, 0.201, 0.322 are 1, 0, 0.68 of their span; places 1, 2/3, 1/3."""
    given = ([6, 5, 7], [0.2, 0.9, 0.1])
    linear = {"table": table, "position": "linear"}
    assert first(make_view, PCSampler(decay=0.0, **linear), *given, quota=2) == [0, 2]
    assert first(make_view, PCSampler(decay=1.0, **linear), *given, quota=2) == [0, 1]
    assert first(make_view, PCSampler(decay=0.67, **linear), *given, quota=2) == [0, 2], "0.447, 0.445"
    assert first(make_view, PCSampler(decay=0.68, **linear), *given, quota=2) == [0, 1], "0.453, 0.444"


def test_the_published_linear_score_is_scaled_over_what_is_committed_too(make_view, table):
    """Worths 0.201 (committed), 0.322, 0.379: 0.322 is 0.68 of the span, and without the first one 0."""
    view = make_view([[0.9, 0.1, 0.2]], quota=1, evaluated=[[True, True, True]])
    view = replace(
        view,
        proposals=torch.tensor([[7, 7, 6]]),
        tokens=torch.tensor([[5, 0, 0]]),
        eligible=torch.tensor([[False, True, True]]),
    )
    published = PCSampler(table=table, decay=0.6, position="linear", upstream_exact=True)
    assert published.scope == "whole_block"
    assert published.step(view, None)[0].unmask.tolist() == [[False, True, False]], "0.672 and 0.6"
    ours = PCSampler(table=table, decay=0.6, position="linear")
    assert ours.scope == "block"
    alone = replace(view, lazy={})
    assert ours.step(alone, None)[0].unmask.tolist() == [[False, False, True]], "0.4 and 0.6"


def test_every_unseen_token_counts_as_one_occurrence(make_view, table):
    """Ids between, one past and far past those of the table; equal worth goes by position."""
    method = PCSampler(table=table, decay=0.0)
    for token in (0, 4, 8, 9, 500):
        assert first(make_view, method, [7, token], [0.1, 0.0698]) == [0], "0.3219 and 0.3214"
        assert first(make_view, method, [7, token], [0.1, 0.0700]) == [1], "0.3224"


def test_an_early_position_is_worth_more_by_exp_decay(make_view, table):
    """exp(-0.25 * 2) = 0.6065: two positions on, the same token needs 1.65 times the probability."""
    method = PCSampler(table=table, decay=0.25)
    assert first(make_view, method, [6, 6, 6], [0.5, 0.1, 0.82]) == [0]
    assert first(make_view, method, [6, 6, 6], [0.5, 0.1, 0.83]) == [2]


def test_offsets_count_from_the_block(make_view, table):
    """Only differences of offsets matter inside a block, so a distant block ranks like the first one."""
    given = ([6, 6, 6, 6], [None, 0.5, 0.1, 0.83])
    for start in (0, 1):
        assert first(make_view, PCSampler(table=table), *given, block_start=start) == [3]
    far = [None] * 4000 + [0.5, 0.1, 0.83]
    assert first(make_view, PCSampler(table=table), [6] * 4003, far) == [4000], "exp(-1000) is 0"
    assert first(make_view, PCSampler(table=table), [6] * 4003, far, block_start=4000) == [4002]


def test_alpha_caps_what_a_token_is_worth(make_view, table):
    """Worth 0.9 * 4.605 = 4.14 and 0.8 * 1.897 = 1.52; above the cap the earlier position wins."""
    given = ([6, 9], [0.8, 0.9])
    assert first(make_view, PCSampler(table=table, decay=0.0), *given) == [1]
    assert first(make_view, PCSampler(table=table, decay=0.0, alpha=1.6), *given) == [1]
    assert first(make_view, PCSampler(table=table, decay=0.0, alpha=1.5), *given) == [0]


def test_equal_frequencies_without_decay_are_confidence_and_a_vast_decay_is_left_to_right(tmp_path):
    path = tmp_path / "flat.json"
    TokenCounts(total=23, counts=dict.fromkeys(range(23), 1)).write(path)
    prompts, setting = [(3,), (4, 5)], {"gen_length": 8, "k": 2}
    ours = decode(HashDenoiser(), prompts, PCSampler(table=str(path), decay=0.0), **setting)
    assert ours == decode(HashDenoiser(), prompts, confidence(), **setting)
    ours = decode(HashDenoiser(), prompts, PCSampler(table=str(path), decay=50.0), **setting)
    assert ours == decode(HashDenoiser(), prompts, left_to_right(), **setting)


def test_another_table_is_another_method(table, tmp_path):
    before = PCSampler(table=table)
    assert before == PCSampler(table=table)
    assert asdict(before) == {
        "table": table,
        "decay": 0.25,
        "alpha": 10.0,
        "position": "exponential",
        "upstream_exact": False,
        "table_checksum": COUNTS.checksum,
    }
    TokenCounts(total=101, counts=COUNTS.counts).write(table)
    after = PCSampler(table=table)
    assert after.table_checksum != before.table_checksum
    assert after != before


def test_a_table_that_is_missing_or_broken_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"table must be a readable JSON file .*got '.*gone\.json'"):
        PCSampler(table=str(tmp_path / "gone.json"))
    (tmp_path / "bad.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.json: table must be an object with num_token and"):
        PCSampler(table=str(tmp_path / "bad.json"))


REFUSED = {
    "decay": ({"decay": -1.0}, r"decay must be 0 or more and finite, got -1\.0; 0\.25 is published"),
    "linear decay": (
        {"decay": 1.5, "position": "linear"},
        r"decay must be at most 1 for position=linear, got 1\.5; it is a share of the score",
    ),
    "position": ({"position": "log"}, "position must be one of exponential, linear, got 'log'; choose one"),
    "alpha": ({"alpha": 0.0}, r"alpha must be above 0 and finite, got 0\.0; 10\.0 is published"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_a_parameter_out_of_range_is_refused(table, given, message):
    with pytest.raises(ValueError, match=message):
        PCSampler(table=table, **given)
