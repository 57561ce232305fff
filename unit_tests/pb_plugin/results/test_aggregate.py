"""From records to points to PBx: means by hand, what a suite needs, what is refused, no matter the order."""

import random

import pytest

from pb_plugin.records.canonical import canonical_json
from pb_plugin.records.store import Store
from pb_plugin.results.aggregate import aggregate
from pb_plugin.results.cell_numbers import COUNTS
from pb_plugin.results.suites import SUITES
from pb_plugin.results.summary import XS
from pb_plugin.statistics.pbx import PBx

PAIR = {"pair": ("copy", "sort")}
WAITING_LINE = SUITES["waiting_line"]


def only(items):
    """Return the single element of *items*."""
    (item,) = items
    return item


def test_the_suites_are_the_published_17_the_12_exact_ones_the_categories_and_longer_lines():
    assert {name: len(tasks) for name, tasks in SUITES.items()} == {
        "all": 17,
        "core": 12,
        "waiting_line": 10,
        "text_writing": 5,
        "puzzles": 2,
        "waiting_line_n15": 10,
    }
    assert set(SUITES["core"]) == set(SUITES["all"]) - set(SUITES["text_writing"])


def test_a_cell_has_its_mean_score_interval_and_mean_rates(make_cell, make_record):
    """Rates are means of ratios: (8/4 + 8/2) / 2 = 3, (5/4 + 5/2) / 2 = 1.875, (4/4 + 4/2) / 2 = 1.5.

    Per canvas, the first took 16 canvases in its 4 forwards: (8/16 + 8/2) / 2 = 2.25.
    """
    records = [
        make_record(parts={"sample_id": "a"}, score=1.0, nfe=4, forwards=4, evaluated_canvases=16),
        make_record(parts={"sample_id": "b"}, score=0.0, nfe=2),
    ]
    cell = only(aggregate([make_cell(records=records)]).cells)
    assert cell.tps == {"canvas": 3.0, "to_eos": 1.875, "content": 1.5, "per_canvas": 2.25}
    assert (cell.accuracy, cell.percent, cell.n, cell.n_failed) == (0.5, 50.0, 2, 0)
    assert (cell.interval.low, cell.interval.high) == pytest.approx((0.0945, 0.9055), abs=1e-4)
    assert cell.reason is None


def test_scores_between_0_and_1_have_no_wilson_interval(make_cell):
    cell = only(aggregate([make_cell(scores=(0.25, 0.5))]).cells)
    assert cell.accuracy == 0.375
    assert cell.interval is None


def test_points_are_means_over_tasks_and_pbx_follows_the_family(make_cell):
    """k=2: tps 2, score (100 + 80) / 2 = 90; k=4: tps 4, score (100 + 40) / 2 = 70."""
    for family, static_80, uniform_80 in (("static", 2.0, 3.0), ("adaptive", 3.0, 3.0)):
        cells = [
            make_cell("copy", scores=[1] * 5, k=2, family=family),
            make_cell("sort", scores=[1] * 4 + [0], k=2, family=family),
            make_cell("copy", scores=[1] * 5, k=4, nfe=2, family=family),
            make_cell("sort", scores=[1] * 2 + [0] * 3, k=4, nfe=2, family=family),
        ]
        suite = only(aggregate(cells, PAIR).curves).suites["pair"]
        assert [(point.tps["canvas"], point.score) for point in suite.points] == [(2.0, 90.0), (4.0, 70.0)]
        assert suite.pbx(80) == PBx(value=static_80)
        assert suite.pbx(80, rule="uniform") == PBx(value=uniform_80)
        assert suite.pbx(90, "content") == PBx(value=1.0)
        assert suite.pbx(91) == PBx(value=0.0, censored="never")
        assert suite.pbx(70, "to_eos") == PBx(value=2.5, censored="at_least")


def test_a_mean_of_exactly_x_reaches_x(make_cell):
    """(1/3 + 1 + 1 + 4/6) / 4 is 75 %; summed in floating point it is not."""
    assert 100 * ((1 / 3 + 1 + 1 + 4 / 6) / 4) < 75
    cells = [
        make_cell("copy", scores=[1, 0, 0]),
        make_cell("sort", scores=[1, 1, 1]),
        make_cell("reverse", scores=[1, 1, 1]),
        make_cell("shuffle", scores=[1, 1, 1, 1, 0, 0]),
    ]
    suite = only(aggregate(cells, {"four": ("copy", "sort", "reverse", "shuffle")}).curves).suites["four"]
    assert only(suite.points).score == 75.0
    assert suite.pbx(75).value == 2.0


def test_a_missing_task_leaves_the_suite_without_pbx_and_is_named(make_cell):
    cells = [make_cell(task) for task in WAITING_LINE if task != "sort"]
    suites = only(aggregate(cells).curves).suites
    assert suites["waiting_line"].reason == "not measured: sort; run them too, or read a suite without them"
    assert suites["waiting_line"].pbx(80) == PBx(value=None, reason=suites["waiting_line"].reason)
    assert "latin_square, sudoku" in suites["core"].reason


def test_an_unscored_task_blocks_its_suites_and_leaves_core(make_cell):
    cells = [make_cell(task, scores=(None,) if task == "w2s_easy" else (1.0,)) for task in SUITES["all"]]
    summary = aggregate(cells)
    suites = only(summary.curves).suites
    way_out = "unscored (score with `pb rescore`, or read suite core; no grammar backend): w2s_easy"
    assert suites["all"].reason == suites["text_writing"].reason == way_out
    assert suites["core"].pbx(80) == PBx(value=2.0, censored="at_least")
    unscored = only(cell for cell in summary.cells if cell.task == "w2s_easy")
    assert (unscored.accuracy, unscored.percent, unscored.interval) == (None, None, None)
    assert unscored.unscored == "no grammar backend"


def test_a_failed_or_missing_sample_leaves_the_suite_without_pbx_and_is_no_score(
    make_cell, make_record, make_failure
):
    parts = {"task": "sort"}
    records = [
        make_record(parts={**parts, "sample_id": "a"}),
        make_failure(parts={**parts, "sample_id": "b"}, kind="timeout"),
    ]
    cells = [make_cell("copy"), make_cell("sort", records=records, n_planned=4)]
    summary = aggregate(cells, PAIR)
    cell = only(cell for cell in summary.cells if cell.task == "sort")
    text = "1 of 4 planned samples decoded (2 missing, 1 failed: 1 timeout)"
    assert (cell.n, cell.n_failed, cell.errors, cell.accuracy) == (1, 1, {"timeout": 1}, 1.0)
    assert cell.incomplete == cell.reason == text
    suite = only(summary.curves).suites["pair"]
    assert (
        suite.reason == f"incomplete (run the same command again: what is stored is reused): sort[k=2] {text}"
    )
    assert suite.pbx(80).value is None
    assert only(suite.points).score is None


def test_a_cell_without_any_result_has_no_mean(make_cell, make_failure):
    cell = only(aggregate([make_cell(records=[make_failure()])]).cells)
    assert (cell.accuracy, cell.tps, cell.interval, cell.unscored) == (None, None, None, None)


def test_an_unknown_nfe_never_enters_pbx_but_keeps_its_score(make_cell):
    cells = [make_cell("copy"), make_cell("sort", nfe=None)]
    suite = only(aggregate(cells, PAIR).curves).suites["pair"]
    assert suite.reason == (
        "nfe unknown (nfe_kind unknown never enters PBx; take a model, engine or setting that tells its "
        "forwards or bounds of them, or read the score alone): sort[k=2]"
    )
    assert (only(suite.points).score, only(suite.points).tps) == (100.0, None)


def test_a_k_that_does_not_fit_every_canvas_is_left_out_and_the_rest_stands(make_cell):
    cells = [
        make_cell("copy", k=2),
        make_cell("sort", k=2),
        make_cell("sort", k=8, nfe=1, scores=(None,)),
    ]
    suite = only(aggregate(cells, PAIR).curves).suites["pair"]
    assert suite.reason is None
    assert [point.reason for point in suite.points] == [None, "k=8: not measured for copy"]
    assert suite.pbx(80) == PBx(value=2.0, censored="at_least")


def test_settings_that_never_meet_give_no_pbx(make_cell):
    cells = [make_cell("copy", k=2), make_cell("sort", k=4)]
    suite = only(aggregate(cells, PAIR).curves).suites["pair"]
    assert suite.reason == "no setting was measured for every task; run one setting over all of them"


def test_variants_and_list_ops_enter_no_suite(make_cell):
    cells = [
        make_cell("copy"),
        make_cell("sort_n15", is_variant=True),
        make_cell("list_shuffle", record_parts={"data_source": "user"}),
    ]
    summary = aggregate(cells, PAIR)
    assert only(summary.curves).suites["pair"].reason.startswith("not measured: sort;")
    assert len(summary.cells) == 3
    assert not {"list_copy", "list_shuffle"} & set(SUITES["all"])


@pytest.mark.parametrize(
    ("change", "label"),
    [
        ({"model": "dream"}, "dream-confidence"),
        ({"method": "margin"}, "llada-margin"),
        ({"cache": "dual"}, "llada-confidence-dual"),
        ({"temperature": 0.5}, "llada-confidence-t0.5"),
        ({"upstream_exact": True}, "llada-confidence-upstream_exact"),
        ({"block_length": 4}, "llada-confidence-b4"),
    ],
)
def test_unlike_cells_share_no_curve(make_cell, change, label):
    summary = aggregate([make_cell("copy"), make_cell("copy", **change)], PAIR)
    assert sorted(curve.identity.label for curve in summary.curves) == sorted(["llada-confidence", label])


def test_a_block_that_is_the_canvas_or_the_methods_own_stays_on_the_main_curve(make_cell):
    summary = aggregate([make_cell("copy", block_length=8), make_cell("sort")], PAIR)
    assert only(summary.curves).suites["pair"].reason is None
    cells = [make_cell("copy", block_length=length, own_block=True) for length in (4, 2)]
    points = only(aggregate(cells, {"one": ("copy",)}).curves).suites["one"].points
    assert [point.setting for point in points] == [
        {"k": 2, "block_length": 2},
        {"k": 2, "block_length": 4},
    ]


def test_a_block_curve_takes_the_tasks_whose_canvas_is_that_block(make_cell):
    """Block 8 over canvases of 8 and 16: the small canvas has no blocks, yet it is decoded with block 8."""
    cells = [make_cell("copy", block_length=8, canvas=8), make_cell("sort", block_length=8, canvas=16)]
    summary = aggregate(cells, PAIR)
    assert len(summary.cells) == 2
    reasons = {curve.identity.label: curve.suites["pair"].reason for curve in summary.curves}
    assert reasons["llada-confidence-b8"] is None
    assert reasons["llada-confidence"].startswith("not measured: sort;")


def test_settings_are_ordered_by_number_and_equal_numbers_are_one_setting(make_cell):
    cells = [make_cell("copy", k=None, method_params={"gamma": gamma}) for gamma in (1.0, 0.5, 0.75)]
    cells.append(make_cell("sort", k=None, method_params={"gamma": 1}))
    points = only(aggregate(cells, PAIR).curves).suites["pair"].points
    assert [point.setting["gamma"] for point in points] == [0.5, 0.75, 1]
    assert [point.reason is None for point in points] == [False, False, True]
    cells = [make_cell("copy", k=k) for k in (16, 2, 4)]
    points = only(aggregate(cells, {"one": ("copy",)}).curves).suites["one"].points
    assert [point.setting["k"] for point in points] == [2, 4, 16]


@pytest.mark.parametrize(
    ("part", "values", "subject"),
    [
        ("data_source", ("own", "released"), "task 'copy'"),
        ("data_checksum", ("d0", "d1"), "task 'copy'"),
        ("spec_version", (1, 2), "task 'copy'"),
        ("model_fingerprint", ("f0", "f1"), "model 'llada'"),
        ("dtype", ("bfloat16", "float32"), "model 'llada'"),
        ("decode_code", ("c0", "c1"), "model 'llada'"),
        ("method_code", ("m0", "m1"), "model 'llada', method 'confidence'"),
    ],
)
@pytest.mark.parametrize("within", ["one cell", "two cells"])
def test_records_of_unlike_versions_are_never_averaged(make_cell, make_record, part, values, subject, within):
    records = [
        make_record(parts={"task": "copy", "sample_id": f"s{value}", part: value, "k": 2}) for value in values
    ]
    if within == "one cell":
        cells = [make_cell("copy", records=records)]
    else:
        later = make_record(parts={"task": "copy", "sample_id": "x", part: values[1], "k": 4})
        cells = [make_cell("copy", records=records[:1]), make_cell("copy", records=[later], k=4)]
    message = (
        f"{subject}: {part} must be one value among averaged records, got {values[0]!r} and {values[1]!r}; "
        "aggregate them apart"
    )
    with pytest.raises(ValueError, match=message):
        aggregate(cells, PAIR)


def test_two_data_sources_never_meet_in_a_suite(make_cell):
    cells = [make_cell("copy"), make_cell("sort", record_parts={"data_source": "released"})]
    message = r"the tasks of the suites: data_source must be one value .* got 'own' and 'released'"
    with pytest.raises(ValueError, match=message):
        aggregate(cells, PAIR)


def test_two_score_keys_of_one_task_are_refused_but_a_failure_has_none(make_cell, make_record, make_failure):
    records = [make_record(parts={"sample_id": "a"}), make_failure(parts={"sample_id": "b"})]
    aggregate([make_cell(records=records)])
    records.append(make_record(parts={"sample_id": "c"}, score_key="lists-2"))
    with pytest.raises(
        ValueError, match=r"task 'shuffle': score_key must be one .* got 'lists-1' and 'lists-2'"
    ):
        aggregate([make_cell(records=records)])


def test_a_method_has_one_family(make_cell):
    cells = [make_cell("copy"), make_cell("sort", family="adaptive")]
    message = r"model 'llada', method 'confidence': family must be one value .* got 'static' and 'adaptive'"
    with pytest.raises(ValueError, match=message):
        aggregate(cells, PAIR)


def test_a_cell_is_given_once(make_cell):
    with pytest.raises(ValueError, match=r"copy-llada-confidence\[k=2\] must be given once, got it twice"):
        aggregate([make_cell("copy"), make_cell("copy")], PAIR)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"family": "fixed"}, "family must be static or adaptive, got 'fixed'; it chooses the published"),
        ({"n_planned": 0}, "n_planned must be at least 1, got 0; leave an empty cell out"),
    ],
)
def test_a_bad_cell_is_refused(make_cell, fields, message):
    with pytest.raises(ValueError, match=message):
        make_cell(records=[], **{"n_planned": 1, **fields})


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("task", "sort"),
        ("model", "dream"),
        ("method", "margin"),
        ("method_params", {"gamma": 0.5}),
        ("k", 4),
        ("canvas", 16),
        ("block_length", 4),
        ("cache", "dual"),
        ("temperature", 1.0),
    ],
)
def test_a_record_of_another_cell_is_refused(make_cell, make_record, part, value):
    with pytest.raises(ValueError, match=f"{part} of a record must be that of its cell, .* got .*; sort the"):
        make_cell(records=[make_record(parts={part: value})])


def test_a_sample_counts_once_and_only_when_planned(make_cell, make_record):
    with pytest.raises(ValueError, match="sample_id must occur once in a cell, got 'n3-000' twice"):
        make_cell(records=[make_record(), make_record()])
    records = [make_record(parts={"sample_id": name}) for name in "ab"]
    with pytest.raises(ValueError, match=r"n_planned must be at least the number of records \(2\), got 1"):
        make_cell(records=records, n_planned=1)


def test_json_has_every_rule_count_and_x(make_cell):
    curve = only(aggregate([make_cell("copy"), make_cell("sort")], PAIR).curves)
    plain = curve.to_json()["suites"]["pair"]["pbx"]
    assert set(plain) == {"published", "uniform"}
    for rule in plain.values():
        assert set(rule) == set(COUNTS)
        assert all(set(by_x) == {str(x) for x in XS} for by_x in rule.values())
    assert plain["published"]["canvas"]["80"] == {"value": 2.0, "censored": "at_least"}


def test_an_unknown_count_is_named(make_cell):
    suite = only(aggregate([make_cell("copy")], {"one": ("copy",)}).curves).suites["one"]
    with pytest.raises(
        ValueError, match="count must be one of canvas, to_eos, content, per_canvas, got 'eos'; choose one"
    ):
        suite.pbx(80, "eos")


def test_a_store_written_in_any_order_gives_the_same_bytes(tmp_path, make_cell, make_record):
    """Third and seventh parts are no binary fractions: a plain running sum would depend on the order."""
    source = random.Random(20260411)
    settings = [(task, k, sample) for task in ("copy", "sort") for k in (2, 4, 8) for sample in range(7)]
    records = [
        make_record(
            parts={"task": task, "k": k, "sample_id": f"s{sample}"},
            score=source.choice([0.0, 1 / 3, 1 / 7, 1.0]),
            nfe=source.randint(1, 8),
        )
        for task, k, sample in settings
    ]
    texts = []
    for run in range(3):
        shuffled = records[:] if run == 0 else source.sample(records, len(records))
        for part in (shuffled[:20], shuffled[20:]):
            with Store(tmp_path / f"run{run}") as store:
                for record in part:
                    store.append(record)
        by_cell: dict[tuple[str, int], list] = {}
        for stored in Store(tmp_path / f"run{run}").read():
            parts = stored.record.parts
            by_cell.setdefault((parts["task"], parts["k"]), []).append(stored.record)
        cells = [make_cell(task, k=k, records=found) for (task, k), found in by_cell.items()]
        texts.append(canonical_json(aggregate(cells, PAIR).to_json()))
    assert texts[0] == texts[1] == texts[2]
