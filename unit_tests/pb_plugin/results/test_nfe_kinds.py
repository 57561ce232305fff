"""How the forwards of a curve are known decides what is said of it: a value, two ends, or the score alone."""

import json

import pytest

from pb_plugin.cli.export import _written
from pb_plugin.export.latex import latex_table
from pb_plugin.export.rows import rows_of
from pb_plugin.gates.grammar import parse_gate
from pb_plugin.gates.judge import judge
from pb_plugin.report.beside import served_lines
from pb_plugin.report.comparison.chosen import chosen_of
from pb_plugin.report.comparison.tables import tables_of
from pb_plugin.report.curves import NO_RATE, _of_cell, _of_suite
from pb_plugin.report.html.numbers import numbers_of
from pb_plugin.report.standing_out import _turning_point
from pb_plugin.report.terminal import BOUNDED, pbx_lines
from pb_plugin.results.aggregate import aggregate
from pb_plugin.results.cell_numbers import NFE_BOUNDED, NFE_UNKNOWN
from pb_plugin.results.derived import aup, derived_json, score_at
from pb_plugin.results.differences import comparisons
from pb_plugin.results.suites import SUITES
from pb_plugin.statistics.pbx import PBx
from pb_plugin.statistics.resample import Resample

PAIR = {**SUITES, "all": ("copy", "sort")}


@pytest.fixture(scope="module")
def cells_of(make_cell):
    def cells(model, *settings, **values):
        """Return copy and sort at k = 2, 4 ... with the *settings*: (nfe, or one per task; right of 10)."""
        return [
            make_cell(
                task,
                model=model,
                k=2 ** (at + 1),
                nfe=nfe[task] if isinstance(nfe, dict) else nfe,
                scores=[1.0] * right + [0.0] * (10 - right),
                **values,
            )
            for at, (nfe, right) in enumerate(settings)
            for task in ("copy", "sort")
        ]

    return cells


def commanded(cells):
    from dataclasses import replace

    return [
        replace(cell, records=[record.with_result(nfe_kind="commanded") for record in cell.records])
        for cell in cells
    ]


@pytest.fixture(scope="module")
def summary(cells_of):
    """Over a canvas of 8: bounded reaches 90 % with 2 to 4 forwards, and 60 % with 1 to 2."""
    return aggregate(
        [
            *cells_of("bounded", ((2, 4), 9), ((1, 2), 6)),
            *cells_of("counted", (4, 9), (1, 6)),
            *commanded(cells_of("commanded", (4, 9), (2, 6))),
            *cells_of("unknown", (None, 9), (None, 6)),
            *cells_of("some", (4, 9), ((1, 2), 6)),
            *cells_of("half", ({"copy": 4, "sort": (2, 4)}, 9), (1, 6)),
            *cells_of("lost", (4, 9), (None, 6)),
            *cells_of("sure", ((2, 4), 5), ((1, 2), 3)),
        ],
        PAIR,
        Resample(draws=200),
    )


def curve(summary, model):
    return next(found for found in summary.curves if found.identity.model == model)


def suite(summary, model):
    return curve(summary, model).suites["all"]


@pytest.mark.parametrize(
    ("model", "kinds", "ends"),
    [
        ("bounded", ("bounds",), (PBx(value=2.0), PBx(value=4.0, censored="at_least"))),
        ("counted", ("counted",), (PBx(value=2.0), PBx(value=2.0))),
        ("commanded", ("commanded",), (PBx(value=2.0), PBx(value=2.0))),
        ("some", ("counted", "bounds"), (PBx(value=2.0), PBx(value=2.0))),
        ("half", ("counted", "bounds"), (PBx(value=2.0), PBx(value=3.0))),
        ("sure", ("bounds",), (PBx(value=0.0, censored="never"),) * 2),
    ],
)
def test_pbx_by_kind(summary, model, kinds, ends):
    """One setting of bounds makes ends of the curve only as far as it can move PBx."""
    found = suite(summary, model)
    assert curve(summary, model).nfe_kinds == kinds
    assert found.pbx(80).ends == ends
    assert found.pbx(80).between == (None if ends[0] == ends[1] else ends)


def test_one_unknown_setting_leaves_the_curve_without_pbx_and_every_score_stands(summary):
    for model, where in (("unknown", "k=2], sort[k=2], copy[k=4], sort[k=4]"), ("lost", "k=4], sort[k=4]")):
        found = suite(summary, model)
        assert found.reason == f"{NFE_UNKNOWN}: copy[{where}"
        assert found.pbx(80) == PBx(value=None, reason=found.reason)
        assert [point.score for point in found.points] == [90.0, 60.0]
    assert [point.tps is None for point in suite(summary, "lost").points] == [False, True]
    assert suite(summary, "unknown").draws is None


def test_the_interval_holds_both_ends(summary):
    found, counted = suite(summary, "bounded"), suite(summary, "counted")
    interval = found.pbx_interval(75)
    assert interval.low.value <= 2.0
    assert interval.high.value >= 4.0
    assert interval.p_reached == counted.pbx_interval(75).p_reached
    rates = found.points[0].tps_intervals["canvas"]
    assert (rates.low, rates.high) == (2.0, 4.0)
    assert counted.pbx_interval(75).high.value <= interval.high.value


def test_json_has_kinds_bounds_and_both_ends(summary):
    plain = json.loads(json.dumps(curve(summary, "bounded").to_json()))
    assert plain["nfe_kinds"] == ["bounds"]
    assert plain["suites"]["all"]["points"][0]["tps"] is None
    assert plain["suites"]["all"]["points"][0]["tps_bounds"]["canvas"] == [2.0, 4.0]
    found = plain["suites"]["all"]["pbx"]["published"]["canvas"]["80"]
    assert found["value"] is None
    assert found["between"][1] == {"value": 4.0, "censored": "at_least"}
    assert (
        "between"
        not in curve(summary, "counted").to_json()["suites"]["all"]["pbx"]["published"]["canvas"]["80"]
    )


def test_the_terminal_shows_both_ends_and_the_kind(summary):
    lines = pbx_lines(summary, ["all"])
    row = {line.split()[0]: line for line in lines if line}
    assert lines[0].split()[-1] == "nfe"
    assert "2.00..>=4.00" in row["bounded-confidence"].split()
    assert row["bounded-confidence"].endswith(" bounds")
    assert row["half-confidence"].endswith(" counted+bounds")
    assert row["commanded-confidence"].endswith(" commanded")
    assert BOUNDED in lines
    assert any(line.startswith(f"suite all: None for unknown-confidence: {NFE_UNKNOWN}") for line in lines)


def test_a_run_that_counted_everything_has_no_column_of_kinds(cells_of):
    lines = pbx_lines(aggregate(cells_of("counted", (4, 9), (1, 6)), PAIR), ["all"])
    assert "nfe" not in lines[0].split()
    assert BOUNDED not in lines


@pytest.mark.parametrize(
    ("gate", "passed", "said"),
    [
        ("PB80>=2", True, "PB80 is at least 2, the gate asks for >= 2"),
        ("PB80>=4.5", False, "PB80 is at most 4, the gate asks for >= 4.5"),
        ("PB80>=3", False, f"PB80 could not be judged: it is between 2 and 4: {NFE_BOUNDED}"),
        ("PB80<=5", False, f"PB80 could not be judged: it is between 2 and 4: {NFE_BOUNDED}"),
        ("PB80<1.5", False, "PB80 is at least 2, the gate asks for < 1.5"),
        ("score@k2>=85", True, "score is 90 %, the gate asks for >= 85"),
        ("score@tps=3>=80", False, f"score could not be judged: {NFE_BOUNDED}"),
    ],
)
def test_a_gate_is_passed_only_where_the_bounds_decide_it(summary, gate, passed, said):
    (verdict,) = judge(parse_gate(f"bounded:{gate}"), summary)
    assert (verdict.passed, verdict.message) == (passed, said)


def test_a_gate_on_a_lower_end_takes_that_of_all_pbx_can_be(summary):
    low = suite(summary, "bounded").pbx_interval(70).low.value
    (verdict,) = judge(parse_gate(f"bounded:lo(PB70)>={low:g}"), summary)
    assert verdict.passed
    (verdict,) = judge(parse_gate(f"bounded:lo(PB70)>={low + 0.01:g}"), summary)
    assert not verdict.passed


def test_a_gate_on_pbx_with_an_unknown_kind_fails_naming_kind_and_cure(summary):
    (verdict,) = judge(parse_gate("unknown:PB80>=1"), summary)
    assert not verdict.passed
    assert "nfe_kind unknown never enters PBx" in verdict.message
    assert "take a model, engine or setting that tells its forwards" in verdict.message
    assert all(found.passed for found in judge(parse_gate("unknown:score@k2>=90"), summary))


def test_exports_have_bounds_and_refuse_what_has_room_for_one_number(summary, tmp_path):
    row = next(row for row in rows_of(summary) if row["curve"] == "bounded-confidence")
    assert (row["tps"], row["tps_low"], row["tps_high"], row["nfe_kind"]) == (None, 2.0, 4.0, "bounds")
    exact = next(row for row in rows_of(summary) if row["curve"] == "counted-confidence")
    assert (exact["tps"], exact["tps_low"], exact["nfe_kind"]) == (2.0, None, "counted")
    assert r"2.00--$\geq$4.00 [" in latex_table([curve(summary, "bounded")], "all")
    for kind, name, of in (("leaderboard", None, "--leaderboard"), ("csv", "bounded-confidence", "--curve")):
        with pytest.raises(ValueError, match=f"{of} must have counted or commanded forwards"):
            _written(summary, kind, tmp_path / "out", name, "all")


def test_what_needs_exact_rates_says_so(summary):
    found = suite(summary, "bounded")
    assert aup(found, 90.0).reason == score_at(found, 3.0).reason == NFE_BOUNDED
    of_bounded = [row for row in derived_json(summary) if row["curve"] == "bounded-confidence"]
    assert {row["aup"]["reason"] for row in of_bounded} == {NFE_BOUNDED}
    point = found.points[0]
    assert _of_suite(curve(summary, "bounded"), "all", point) == NO_RATE
    assert _of_cell(curve(summary, "bounded").cells[0]) == NO_RATE
    assert _turning_point(found.points).setting == {"k": 4}


def test_two_runs_are_not_compared_by_what_bounds_leave_open(summary):
    from pb_plugin.comparing.drops import drops_of

    with pytest.raises(ValueError, match="the forwards are known as bounds only"):
        drops_of(suite(summary, "counted"), suite(summary, "bounded"), x=80.0, count="canvas", margin=1.0)


def test_an_oracle_needs_exact_forwards(summary):
    from pb_plugin.analyses.oracle import oracle

    found = oracle(summary, "confidence").missing
    of = [line for line in found if NFE_BOUNDED in line]
    assert [line.split(":")[0] for line in of] == [
        f"oracle of {model}-confidence" for model in ("bounded", "half", "some", "sure")
    ]


def test_curves_whose_ends_overlap_share_a_letter(summary):
    (models,) = [found for found in comparisons(summary, "all") if found.what == "models under confidence"]
    assert "unknown-confidence" not in models.letters
    assert set(models.letters["bounded-confidence"]) & set(models.letters["counted-confidence"])


def test_the_page_has_kinds_and_bounds(summary):
    class Report:
        pass

    report = Report()
    report.summary, report.run = summary, type("Run", (), {"cells": ()})
    page = next(c for c in numbers_of(report)["curves"] if c["model"] == "bounded")
    assert page["nfe"] == ["bounds"]
    assert page["suites"]["all"]["points"][0]["t"] is None
    assert page["suites"]["all"]["points"][0]["b"][0] == [2.0, 4.0]
    assert page["suites"]["all"]["pbx"]["canvas"]["80"]["b"] == [
        {"v": 2.0, "c": None},
        {"v": 4.0, "c": "at_least"},
    ]


def test_mixed_samples_of_one_cell(make_cell, make_record):
    """Counted and bounded samples make bounds of their mean; one unknown sample leaves no rate."""
    from unit_tests.pb_plugin.conftest import forwards

    parts = make_cell("copy").asked.parts()

    def cell(*nfes):
        records = [
            make_record(parts={**parts, "sample_id": f"s{at}"}, **forwards(nfe))
            for at, nfe in enumerate(nfes)
        ]
        (found,) = aggregate([make_cell("copy", records=records)], PAIR).cells
        return found

    assert cell(4, (2, 4)).tps_bounds["canvas"] == (2.0, 3.0)
    assert cell(4, (2, 4)).nfe_kinds == ("counted", "bounds")
    assert (cell(4, 2).tps["canvas"], cell(4, 2).tps_bounds) == (3.0, None)
    lost = cell(4, (2, 4), None)
    assert (lost.tps, lost.tps_bounds, lost.percent) == (None, None, 100.0)
    assert (lost.samples.scores, lost.samples.tps, lost.samples.most_tps) == ((1.0, 1.0, 1.0), {}, None)


def served(make_record, make_cell, seconds, tokens, *, score=1.0):
    """Return copy by an API that tells no forwards, one sample for each of *seconds* and *tokens*."""
    asked = make_cell("copy", model="api", method="native", family="adaptive", k=None).asked
    records = [
        make_record(
            score=score,
            nfe=None,
            nfe_kind="unknown",
            commit_step=None,
            content_tokens=n,
            to_eos_tokens=n,
            canvas_tokens=n,
            served=None if wait is None else {"seconds": wait},
            parts={**asked.parts(), "sample_id": f"s{at}"},
        )
        for at, (wait, n) in enumerate(zip(seconds, tokens, strict=True))
    ]
    return make_cell("copy", model="api", method="native", family="adaptive", k=None, records=records)


@pytest.mark.parametrize(
    ("seconds", "tokens", "expected"),
    [
        ((1.0, 3.0), (10, 20), (2.0, 7.5)),
        ((1.0, 3.0), (None, None), (2.0, None)),
        ((1.0, None), (10, 20), (None, None)),
        ((0.0, 0.0), (10, 20), (0.0, None)),
    ],
    ids=["all known", "tokens not counted", "one ran here", "no time"],
)
def test_seconds_and_tokens_per_second_of_served_answers(make_record, make_cell, seconds, tokens, expected):
    """Tokens per second are a ratio of sums, 30 tokens in 4 seconds, and stand where forwards are unknown."""
    (cell,) = aggregate([served(make_record, make_cell, seconds, tokens)], PAIR).cells
    assert (cell.seconds, cell.tokens_per_second) == expected
    (row,) = rows_of(aggregate([served(make_record, make_cell, seconds, tokens)], PAIR))
    assert (row["seconds"], row["tokens_per_second"], row["tps"]) == (*expected, None)


def test_what_servers_answered_is_a_table_with_score_seconds_and_tokens(make_record, make_cell):
    found = aggregate([served(make_record, make_cell, (1.0, 3.0), (10, 20)), make_cell("copy")], PAIR)
    header, row, explained, _ = served_lines(found)
    assert header.split() == ["answered", "by", "servers", "tasks", "nfe", "score", "seconds", "tokens/s"]
    assert row.split() == ["api-native[default]", "1", "unknown", "100.00", "2.00", "7.50"]
    assert explained.startswith("means over tasks")
    assert served_lines(aggregate([make_cell("copy")], PAIR)) == []
    lines = {line.label: line for line in tables_of(chosen_of(found, {})[0])[0].lines}
    assert (lines["api-native[default]"].seconds, lines["llada-confidence[k=2]"].seconds) == (2.0, None)
    assert lines["api-native[default]"].tokens_per_second == 7.5
