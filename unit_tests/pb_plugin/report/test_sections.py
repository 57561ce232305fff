"""How much of a report is shown: one screen after a run, everything with -v, PB80 on a narrow terminal."""

import pytest

from pb_plugin.report.screen import fitted, screen_width
from pb_plugin.report.sections import ONE_SCREEN, QUIET, USUAL, VERBOSE, Shown, section_lines
from pb_plugin.report.standing_out import determined_tasks, standing_out_lines
from pb_plugin.report.terminal import pbx_lines, score_lines
from pb_plugin.results.aggregate import aggregate
from pb_plugin.results.run_file import ChosenTasks, Run
from pb_plugin.results.suites import SUITES
from pb_plugin.statistics.resample import Resample

CHOSEN = ChosenTasks(task=SUITES["core"], data=None, samples=None)
RUN = Run(chosen=CHOSEN, cells=(), missing_tasks=(), notes=())
METHODS = ("random", "confidence", "margin", "entropy")
NFE = {1: 8, 2: 4, 4: 2}


def core_run(make_cell, percent):
    """Return the summary of a run over the suite core: ``percent(task, method, k)`` are right."""
    cells = []
    for task in SUITES["core"]:
        for method in METHODS:
            for k, nfe in NFE.items():
                n_right = percent(task, method, k) // 10
                scores = (1.0,) * n_right + (0.0,) * (10 - n_right)
                cells.append(make_cell(task, method=method, k=k, nfe=nfe, scores=scores))
    return aggregate(cells)


@pytest.fixture
def summary(make_cell):
    """Everything is right at k = 1 and 2; at 4 half of shuffle and nothing of four other tasks."""
    wrong = {"shuffle": 50, "latin_square": 0, "insert_random": 0, "remove_random": 0, "replace_random": 0}
    return core_run(make_cell, lambda task, method, k: wrong.get(task, 100) if k == 4 else 100)


def test_a_run_of_many_settings_fits_one_screen_and_says_so(summary):
    lines, has_all = section_lines(Shown(run=RUN, summary=summary, verbosity=USUAL))
    assert len(lines) <= ONE_SCREEN
    assert not has_all
    assert [line for line in lines if line.startswith("suite core")]
    everything, has_all = section_lines(Shown(run=RUN, summary=summary, verbosity=VERBOSE))
    assert has_all
    assert {line for line in lines if not line.endswith("...")} < set(everything)
    assert [line.split()[0] for line in everything if "k=1" in line] == [
        f"llada-{m}" for m in sorted(METHODS)
    ]


def test_a_small_run_shows_every_task_and_a_quiet_one_pbx_only(make_cell):
    summary = aggregate([make_cell("copy", k=1, nfe=8)])
    lines, has_all = section_lines(Shown(run=RUN, summary=summary, verbosity=USUAL))
    assert has_all
    assert any(line.startswith("copy ") for line in lines)
    quiet, has_all = section_lines(Shown(run=RUN, summary=summary, verbosity=QUIET))
    assert not has_all
    assert [line.partition(":")[0] for line in quiet if line] == ["suite all", "suite core"]


def test_a_curve_is_shown_where_it_falls_below_80_with_its_lowest_tasks(summary):
    header, *rows, explanation, blank = standing_out_lines(summary, CHOSEN, width=120)
    assert " ".join(header.split()) == "core: where it falls below 80 % at score C = 0 C > 0 lowest tasks"
    # seven tasks have one answer to each question and are right; of the others one is half right: 50 / 5
    score = (7 * 100 + 50) / 12
    expected = f"k=4 {score:.1f} 100.0 10.0 insert_random 0, latin_square 0, remove_random 0"
    assert [row.split(maxsplit=1)[0] for row in rows] == [f"llada-{method}" for method in sorted(METHODS)]
    assert {" ".join(row.split()[1:]) for row in rows} == {expected}
    assert explanation.startswith("C = 0: ")
    assert not blank


def test_a_curve_that_never_falls_is_shown_at_its_fastest_setting(make_cell):
    summary = core_run(make_cell, lambda task, method, k: 90 if (task, k) == ("shuffle", 4) else 100)
    _, row, *_ = standing_out_lines(summary, CHOSEN, width=120)
    assert row.split() == ["llada-confidence", "nowhere", "99.2", "100.0", "98.0", "shuffle", "90"]


def test_without_a_whole_suite_nothing_stands_out(make_cell):
    assert standing_out_lines(aggregate([make_cell("copy")]), CHOSEN, width=120) == []


def test_which_tasks_have_one_right_answer_is_read_from_their_samples():
    found = determined_tasks(CHOSEN, SUITES["core"])
    several = {task for task, known in found.items() if not known}
    assert several == {"shuffle", "replace_random", "insert_random", "remove_random", "latin_square"}
    assert found.keys() == set(SUITES["core"])


def test_a_task_that_is_not_here_any_more_has_no_share(tmp_path):
    gone = ChosenTasks(task=(str(tmp_path / "gone.yaml"), "copy"), data=None, samples=None)
    assert determined_tasks(gone, ("copy",)) == {"copy": True}


def test_a_narrow_terminal_shows_pb80_by_canvas_alone(summary):
    wide = [line.split() for line in pbx_lines(summary, ("core",), width=100)]
    narrow = [line.split() for line in pbx_lines(summary, ("core",), width=99)]
    assert wide[0][2:] == [
        "PB90",
        "canvas",
        "PB80",
        "PB75",
        "PB70",
        "PB90",
        "content",
        "PB80",
        "PB75",
        "PB70",
    ]
    assert narrow[0] == ["suite", "core", "PB80", "canvas"]
    assert narrow[1] == [wide[1][0], wide[1][2]]


def test_pb80_by_evaluated_canvases_stands_beside_where_it_is_another_number(make_cell, make_record):
    def summary_of(n_canvases):
        cells = []
        for task in SUITES["core"]:
            made = [
                make_record(parts={"task": task, "k": 2, "sample_id": f"s{i}"}, nfe=4, **n_canvases)
                for i in range(4)
            ]
            cells.append(make_cell(task, k=2, nfe=4, records=made))
        return aggregate(cells)

    plain = pbx_lines(summary_of({}), ("core",), width=99)
    wide = pbx_lines(summary_of({"forwards": 4, "evaluated_canvases": 16}), ("core",), width=99)
    assert plain[0].split() == ["suite", "core", "PB80", "canvas"]
    assert wide[0].split() == ["suite", "core", "PB80", "canvas", "PB80", "per_canvas"]
    assert wide[1].split()[-2:] == [plain[1].split()[-1], ">=0.50"]


def test_a_long_reason_is_one_line_where_it_is_short(make_cell):
    summary = aggregate([make_cell("copy")])
    whole = pbx_lines(summary, ("core",), width=120)[0]
    short = pbx_lines(summary, ("core",), width=120, is_short=True)[0]
    assert len(short) <= 120 < len(whole)
    assert short.endswith("...")
    assert whole.startswith(short.removesuffix("..."))


@pytest.mark.parametrize(
    ("width", "text"), [(9, "some text"), (8, "some..."), (3, "..."), (0, "...")], ids=str
)
def test_a_line_is_cut_where_it_does_not_fit(width, text):
    assert fitted("some text", width) == text


def test_columns_say_how_wide_it_is(monkeypatch):
    monkeypatch.setenv("COLUMNS", "77")
    assert screen_width() == 77


def suites_of(lines):
    return [line.split()[1].rstrip(":") for line in lines if line.startswith("suite ")]


def test_every_complete_suite_is_printed_and_a_short_report_has_them_where_the_main_ones_have_none(
    summary, make_cell
):
    assert suites_of(pbx_lines(summary)) == ["all", "core", "waiting_line", "puzzles"]
    assert suites_of(pbx_lines(summary, is_short=True)) == ["all", "core"]
    texts = aggregate([make_cell(task, scores=(0.5, 1.0)) for task in SUITES["text_writing"]])
    assert suites_of(pbx_lines(texts, is_short=True)) == ["all", "core", "text_writing"]


def test_a_decimal_is_shown_where_the_interval_is_narrow(make_cell):
    """BERTScores lie close together; of 0/1 scores 100 samples leave several points of doubt."""
    close = make_cell("w2s_easy", scores=[0.952, 0.955] * 50)
    wide = make_cell("copy", scores=[1.0] * 94 + [0.0] * 6)
    lines = score_lines(aggregate([close, wide], resample=Resample()))
    rows = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines if line}
    assert rows["w2s_easy"] == "95.3 [95.3,95.4]"
    assert rows["copy"] == "94 [88,97]"
