"""A sweep for gates alone: pass and fail of the full sweep on any matrix of scores, and what is left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.gates.gate_sweep import GateSweep
from pb_plugin.gates.grammar import parse_gate
from pb_plugin.gates.judge import judge
from pb_plugin.results.aggregate import aggregate
from pb_plugin.results.cell_result import CellResult
from pb_plugin.results.suites import SUITES
from unit_tests.pb_plugin.conftest import build_cell, build_failure, build_record, forwards

TASKS = SUITES["puzzles"]
GATES = (
    "puzzles:PB80>=2",
    "puzzles:PB80>2",
    "puzzles:PB80<=4",
    "puzzles:PB50<3",
    "puzzles:PB80(content)>=1",
    "puzzles:confidence:PB90>=1.9",
    "puzzles:threshold:PB75>=3.1",
    "puzzles:score@k2>=75",
    "puzzles:score@tps=3>=60",
    "sudoku:score@k4>=50",
    "sudoku:threshold:score@gamma=0.5<50",
    "sudoku:w@k2>=40",
    "PB80>=2",
    "score@k3>=1",
    "nobody:PB80>=2",
)


def sampled(cell, nfes, scores):
    """Return a cell whose samples have the forwards *nfes* (numbers or bounds) and the *scores*."""
    records = [
        build_record(
            score=score,
            **forwards(nfe),
            scores={"accuracy": score, "w": 1.0 - score},
            content_tokens=1 + at % 4,
            parts={**cell.asked.parts(), "sample_id": f"s{at:03d}"},
        )
        for at, (nfe, score) in enumerate(zip(nfes, scores, strict=True))
    ]
    return CellResult(planned=cell.planned, records=records)


values = st.one_of(st.sampled_from([0.0, 1.0, 1.0, 1.0]), st.sampled_from([0.25, 0.5, 0.75, 1 / 3]))


@st.composite
def matrices(draw):
    """Draw a run of a static and an adaptive method over the puzzles: 3 settings each, up to 4 samples."""
    n = draw(st.integers(1, 4))
    shape = {"n_planned": n, "records": ()}
    cells = []
    for task in TASKS:
        for k in (1, 2, 4):
            cell = build_cell(task, k=k, **shape)
            cells.append(sampled(cell, [8 // k] * n, draw(st.lists(values, min_size=n, max_size=n))))
        for gamma in (0.5, 0.7, 0.9):
            cell = build_cell(
                task,
                method="threshold",
                family="adaptive",
                k=None,
                method_params={"gamma": gamma},
                knobs=("gamma",),
                **shape,
            )
            bounds = st.tuples(st.integers(1, 4), st.integers(4, 8))
            nfes = draw(st.lists(st.one_of(st.integers(1, 8), bounds), min_size=n, max_size=n))
            cells.append(sampled(cell, nfes, draw(st.lists(values, min_size=n, max_size=n))))
    return cells


def expected_of(cells):
    return [None if cell.asked.k is None else float(cell.asked.k) for cell in cells]


def decode(sweep, cells, among):
    """Decode what *sweep* asks for of *among* until it asks for nothing more."""
    while chosen := sweep.next_cells(among):
        assert set(chosen) <= set(among)
        for place in chosen:
            known = len(sweep._records[place])
            sweep.update(place, cells[place].records[: known + sweep.part(place)])


def said(verdicts):
    return [(verdict.gate, verdict.subject, verdict.passed) for verdict in verdicts]


def by_setting(cells):
    """Return the cells as workers get them: all tasks of a setting together, each once."""
    groups = {}
    for place, cell in enumerate(cells):
        groups.setdefault((cell.asked.k, str(cell.asked.method_params)), []).append(place)
    return list(groups.values())


@given(matrices(), st.lists(st.sampled_from(GATES), min_size=1, max_size=3), st.booleans(), st.booleans())
def test_pass_and_fail_are_those_of_the_full_sweep(cells, texts, knows_rates, in_groups):
    """In one process, and where every group of cells is visited once."""
    gates = [parse_gate(text) for text in texts]
    expected = expected_of(cells) if knows_rates else [None] * len(cells)
    sweep = GateSweep(gates, [cell.planned for cell in cells], expected)
    for group in by_setting(cells) if in_groups else [range(len(cells))]:
        decode(sweep, cells, group)
    full = aggregate(cells)
    assert said(sweep.verdicts()) == said(v for gate in gates for v in judge(gate, full))
    assert not any(sweep.wants(place) for place in range(len(cells)))


@given(matrices(), st.sampled_from(GATES))
def test_a_complete_run_has_the_numbers_of_the_full_sweep(cells, text):
    sweep = GateSweep([parse_gate(text)], [cell.planned for cell in cells], expected_of(cells))
    for place, cell in enumerate(cells):
        sweep.update(place, cell.records)
    full = judge(parse_gate(text), aggregate(cells))
    assert [(v.passed, v.value, v.message) for v in sweep.verdicts()] == [
        (v.passed, v.value, v.message) for v in full
    ]


def a_run(right, *, n=10, expected=True, ks=(1, 2, 4)):
    """Return the cells of `confidence` on the puzzles, *right* samples at every setting, and their sweep."""
    cells = [
        sampled(
            build_cell(task, k=k, n_planned=n, records=()), [8 // k] * n, [1.0] * right + [0.0] * (n - right)
        )
        for task in TASKS
        for k in ks
    ]
    return cells, expected_of(cells) if expected else [None] * len(cells)


def test_settings_that_are_too_slow_are_not_decoded_and_the_reason_is_a_bound():
    cells, expected = a_run(10)
    sweep = GateSweep([parse_gate("puzzles:PB80>=1.9")], [cell.planned for cell in cells], expected)
    decode(sweep, cells, range(len(cells)))
    (verdict,) = sweep.verdicts()
    assert verdict.passed
    assert verdict.message == "PB80 is at least 2, the gate asks for >= 1.9"
    savings, n = sweep.savings(), len(TASKS)
    assert (savings.planned, savings.known, savings.unneeded) == (30 * n, 8 * n, 10 * n)
    assert savings.stopped == 12 * n
    assert savings.line == (
        f"gates decided by {8 * n} of {30 * n} samples; not decoded: {10 * n} of cells that no gate depends "
        f"on, {12 * n} because every gate was certain before"
    )


def test_a_score_stops_when_it_cannot_fall_below_or_rise_above():
    cells, expected = a_run(5, ks=(2,))
    sweep = GateSweep([parse_gate("sudoku:score@k2>=60")], [cell.planned for cell in cells], expected)
    cells = [CellResult(planned=cell.planned, records=cell.records[::-1]) for cell in cells]
    decode(sweep, cells, range(len(cells)))
    (verdict,) = sweep.verdicts()
    assert not verdict.passed
    assert verdict.message == "score is at most 50 %, the gate asks for >= 60"
    assert sweep.savings().known == 6


def test_what_was_not_decoded_and_is_needed_is_no_pass():
    cells, expected = a_run(10)
    sweep = GateSweep([parse_gate("puzzles:PB80>=1.9")], [cell.planned for cell in cells], expected)
    (verdict,) = sweep.verdicts()
    assert not verdict.passed
    n = 20 * len(TASKS)
    assert verdict.message == (
        f"PB80 could not be judged: {n} samples that it depends on are missing; run the same command again"
    )


@pytest.mark.parametrize("kind", ["failed", "blocked", "no score"])
def test_a_gate_on_samples_without_result_fails_and_needs_no_more(kind):
    cells, expected = a_run(10)
    sweep = GateSweep([parse_gate("puzzles:PB80>=1.9")], [cell.planned for cell in cells], expected)
    parts = {**cells[1].asked.parts(), "sample_id": "s000"}
    if kind == "blocked":
        sweep.block(1, "cannot be decoded: no attention")
    elif kind == "failed":
        sweep.update(1, [build_failure(parts=parts)])
    else:
        sweep.update(1, [build_record(score=None, parts=parts)])
    (verdict,) = sweep.verdicts()
    assert not verdict.passed
    assert f"PB80 could not be judged: {TASKS[0]} " in verdict.message
    assert sweep.next_cells(range(len(cells))) == []


def test_a_result_that_breaks_what_was_expected_of_the_speed_counts_as_measured():
    """Every step of these rows commits one position, whatever k is: PB80 is 1 and not 2."""
    n = 4
    cells = [
        sampled(build_cell(task, k=k, n_planned=n, records=()), [8] * n, [1.0] * n)
        for task in TASKS
        for k in (1, 2)
    ]
    sweep = GateSweep([parse_gate("puzzles:PB80>=1.9")], [c.planned for c in cells], expected_of(cells))
    decode(sweep, cells, range(len(cells)))
    (verdict,) = sweep.verdicts()
    assert not verdict.passed
    assert verdict.message == "PB80 is 1 or more, the gate asks for >= 1.9"
