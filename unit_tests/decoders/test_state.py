"""Settings and rows refuse what does not fit; ranks equal a slow reference, ties included."""

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decoders.rows import DecodeError, Row, Setting
from decoders.unmasking.threshold import Threshold
from decoders.unmasking.top_k import confidence

TOP_K = confidence()
THRESHOLD = Threshold(gamma=0.9)

BAD_SETTINGS = {
    "both": (
        {"method": TOP_K, "k": 1, "max_steps": 2},
        r"k and max_steps exclude each other, got k=1 and max_steps=2; give one",
    ),
    "k": (
        {"method": TOP_K, "k": 0},
        r"k must be a whole number of at least 1, got 0; use None to leave it out",
    ),
    "max_steps": (
        {"method": TOP_K, "max_steps": -1},
        r"max_steps must be a whole number of at least 1, got -1",
    ),
    "half": ({"method": TOP_K, "k": 1.5}, r"k must be a whole number of at least 1, got 1\.5; use None"),
    "truth": ({"method": TOP_K, "k": True}, r"k must be a whole number of at least 1, got True; use None"),
    "block_length": (
        {"method": TOP_K, "k": 1, "block_length": 0},
        r"block_length must be a whole number of at least 1, got 0; use None",
    ),
    "cold": (
        {"method": TOP_K, "k": 1, "temperature": -0.1},
        r"temperature must be finite and at least 0, got -0\.1; 0 is",
    ),
    **{
        str(value): (
            {"method": TOP_K, "k": 1, "temperature": value},
            rf"temperature must be finite and at least 0, got {value}; 0",
        )
        for value in (math.nan, math.inf)
    },
    "no k": ({"method": TOP_K}, r"method 'confidence' needs k or max_steps, got neither; k=1 is one token"),
    "has no k": ({"method": THRESHOLD, "k": 2}, r"method 'threshold' has no k, got k=2; leave k out"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_SETTINGS.values(), ids=BAD_SETTINGS)
def test_a_setting_that_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Setting(**arguments)


def test_an_adaptive_method_needs_neither_k_nor_max_steps():
    assert Setting(method=THRESHOLD).temperature == 0.0


BAD_ROWS = {
    "gen_length": ({"gen_length": 0}, {}, r"gen_length must be at least 1, got 0; it counts generated"),
    "block": (
        {"gen_length": 10},
        {"k": 1, "block_length": 4},
        r"block_length must divide gen_length, got 4 and 10; choose a divisor",
    ),
    "template": (
        {"gen_length": 4, "template_ids": (0, 0, 0)},
        {"k": 1},
        r"template_ids must have gen_length=4 ids, got 3; pad it with EOS",
    ),
    "budget": (
        {"gen_length": 8},
        {"max_steps": 7, "block_length": 4},
        r"max_steps must be a multiple of the 2 blocks, got 7; choose another budget",
    ),
}


@pytest.mark.parametrize(("row", "setting", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_row_that_does_not_fit_is_refused(row, setting, message):
    chosen = Setting(method=TOP_K, **(setting or {"k": 1}))
    with pytest.raises(ValueError, match=message):
        Row(key=0, prompt_ids=(), setting=chosen, **row)


def test_a_decode_error_carries_its_kind():
    assert DecodeError("out of memory", kind="oom").kind == "oom"


def slow_rank(scores, eligible, ties, tolerance):
    """Sort by score, link neighbours within the tolerance, order each group by its draws."""
    order = sorted((i for i, ok in enumerate(eligible) if ok), key=lambda i: -scores[i])
    groups = []
    for i in order:
        if groups and scores[groups[-1][-1]] - scores[i] <= tolerance:
            groups[-1].append(i)
        else:
            groups.append([i])
    ranked = [i for group in groups for i in sorted(group, key=lambda i: ties[i])]
    return [ranked.index(i) if i in ranked else len(scores) for i in range(len(scores))]


@st.composite
def scored_rows(draw):
    """Scores on a grid with offsets below and above the tolerance, holes, and a tie order."""
    length = draw(st.integers(1, 9))
    value = st.builds(lambda step, offset: step / 4 + offset * 4e-7, st.integers(0, 3), st.integers(0, 4))
    row = st.lists(st.none() | value, min_size=length, max_size=length)
    rows = draw(st.lists(row, min_size=1, max_size=4))
    return rows, [draw(st.permutations(range(length))) for _ in rows]


@given(case=scored_rows(), tolerance=st.sampled_from([0.0, 1e-6]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rank_equals_the_slow_reference(make_view, case, tolerance):
    rows, ties = case
    view = make_view(rows, tie_order=ties, tolerance=tolerance)
    score = torch.tensor([[value or 0.0 for value in row] for row in rows], dtype=torch.float64)
    expected = [
        slow_rank(line.tolist(), [value is not None for value in row], order, tolerance)
        for line, row, order in zip(score, rows, ties, strict=True)
    ]
    assert view.rank(score).tolist() == expected


def test_equal_scores_go_by_position_and_holes_rank_behind_everything(make_view):
    view = make_view([[0.5, None, 0.9, 0.5, 0.9]])
    assert view.rank(view.confidence).tolist() == [[2, 5, 0, 3, 1]]
    assert view.by_confidence.tolist() == [[2, 5, 0, 3, 1]]


def test_scores_within_the_tolerance_go_by_the_tie_order(make_view):
    rows = [[0.5, 0.5 + 6e-7, 0.5 + 3e-6]]
    near = make_view(rows, tie_order=[[0, 1, 2]], tolerance=1e-6)
    exact = make_view(rows, tie_order=[[0, 1, 2]], tolerance=0.0)
    score = torch.tensor(rows, dtype=torch.float64)
    assert near.rank(score).tolist() == [[1, 2, 0]]
    assert exact.rank(score).tolist() == [[2, 1, 0]]


def test_a_view_of_some_rows_slices_tensors_and_lazy_scores(make_view):
    view = make_view(
        [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], neg_entropy=[[-1.0, -2.0], [-3.0, -4.0], [-5.0, -6.0]]
    )
    part = view.rows(slice(1, 3))
    assert part.confidence.tolist() == view.confidence[1:].tolist()
    assert part.neg_entropy.tolist() == [[-3.0, -4.0], [-5.0, -6.0]]
    assert part.remaining.shape == (2,)


def test_contracts_and_methods_load_no_torch():
    """A plan names methods without loading a heavy library."""
    modules = [
        "state",
        "protocols",
        "unmasking.scores",
        "unmasking.top_k",
        "unmasking.threshold",
        "unmasking.factor",
    ]
    imports = "; ".join(f"import decoders.{name}" for name in modules)
    code = f"import sys; {imports}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_names_its_public_names():
    import decoders

    assert all(getattr(decoders, name) is not None for name in decoders.__all__)
    with pytest.raises(AttributeError, match=r"module 'decoders' has no attribute 'nothing'; public: Budget"):
        _ = decoders.nothing
