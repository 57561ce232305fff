"""PBx of a CSV file, and the message for every way such a file can be wrong."""

import re
from pathlib import Path
from random import Random

import pytest
from scipy import stats

from pb_plugin.results.points import points_interval, points_pbx, read_points
from pb_plugin.statistics.pbx import PBx
from unit_tests.json_mutations import check_refusal

PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "published_curves"


@pytest.fixture
def write(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "points.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def test_the_ith_rows_of_the_tasks_form_one_point(write):
    path = write("task,tps,accuracy\ncopy,1,100\ncopy,4,60\nsort,3,80\nsort,8,50\n")
    assert read_points(path) == [(2.0, 90.0), (6.0, 55.0)]


def test_rows_of_one_setting_form_one_point_in_any_order(write):
    path = write("task,setting,tps,accuracy\ncopy,k1,1,100\ncopy,k2,4,60\nsort,k2,8,50\nsort,k1,3,80\n")
    assert read_points(path) == [(2.0, 90.0), (6.0, 55.0)]


def test_averages_stand_for_themselves_and_hide_the_tasks(write):
    path = write("task,tps,accuracy\ncopy,1,100\navg,2,85\nsort,3,1\nsort,4,1\navg,4,75\n")
    assert read_points(path) == [(2.0, 85.0), (4.0, 75.0)]


def test_a_mean_is_taken_of_the_decimals_as_written(write):
    """In binary floating point (70.1 + 70.3 + 99.6) / 3 is below 80."""
    path = write("task,tps,accuracy\na,2,70.1\nb,2,70.3\nc,2,99.6\n")
    assert (70.1 + 70.3 + 99.6) / 3 < 80
    assert read_points(path) == [(2.0, 80.0)]


def test_a_byte_order_mark_blank_lines_quotes_and_windows_newlines_are_accepted(write):
    path = write('task,tps,accuracy\r\n"avg", 2 , 85\r\n\r\navg,4,75\r\n', encoding="utf-8-sig")
    assert read_points(path) == [(2.0, 85.0), (4.0, 75.0)]


def test_pbx_of_a_file_follows_the_rule_that_is_asked_for(write):
    path = write("task,tps,accuracy\navg,2,85\navg,4,75\n")
    assert points_pbx(path, "published", 80, False) == PBx(value=3.0)
    assert points_pbx(path, "published", 80, True) == PBx(value=2.0)
    assert points_pbx(path, "uniform", 80, True) == PBx(value=3.0)
    assert points_pbx(path, "published", 90, True) == PBx(value=0.0, censored="never")
    assert points_pbx(path, "published", 70, False) == PBx(value=4.0, censored="at_least")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            "line 1: columns must be task, tps, accuracy and perhaps setting, got ''; one file holds",
        ),
        ("task,tps\n", "line 1: columns must be task, tps, accuracy and perhaps setting, got 'task,tps'"),
        ("task,tps,accuracy,method\n", "got 'task,tps,accuracy,method'; one file holds one curve"),
        ("task,tps,accuracy,tps\n", "got 'task,tps,accuracy,tps'"),
        ("task,tps,accuracy\n", "file must have at least one row below its header, got none"),
        (
            "task,tps,accuracy\ncopy,1,2,3\n",
            "line 2: a row must have 3 fields, got 4 ('copy,1,2,3'); quote a field",
        ),
        ("task,tps,accuracy\n,1,2\n", "line 2, column task: must not be empty, got ''; fill it in"),
        ("task,tps,accuracy,setting\ncopy,1,2,\n", "line 2, column setting: must not be empty"),
        (
            "task,tps,accuracy\ncopy,1,90\ncopy,fast,80\n",
            "line 3, column tps: must be a finite number, got 'fast'",
        ),
        ("task,tps,accuracy\ncopy,inf,90\n", "line 2, column tps: must be a finite number, got 'inf'"),
        ("task,tps,accuracy\ncopy,1e999999999,90\n", "must be a finite number, got '1e999999999'"),
        (
            f"task,tps,accuracy\ncopy,{'x' * 5000},90\n",
            f"must be a finite number, got '{'x' * 199}... (5002 characters); write it",
        ),
        ("task,tps,accuracy\ncopy,1e400,90\n", "line 2, column tps: must be a finite number, got '1e400'"),
        ("task,tps,accuracy\ncopy,0,90\n", "line 2, column tps: must be above 0, got '0'; it is generated"),
        (
            "task,tps,accuracy\ncopy,1,100.5\n",
            "line 2, column accuracy: must be in percent, 0 to 100, got '100.5'; scale it",
        ),
        ("task,tps,accuracy\ncopy,1,-1\n", "line 2, column accuracy: must be in percent, 0 to 100, got '-1'"),
        ("task,tps,accuracy\ncopy,1,nan\n", "line 2, column accuracy: must be a finite number, got 'nan'"),
        (
            "task,tps,accuracy\na,1,9\na,2,8\nb,1,9\n",
            "line 4, column task: every task must have the same settings, got 1 for 'b' and 2 for 'a'; "
            "add or remove rows",
        ),
        (
            "task,tps,accuracy,setting\na,1,9,k1\nb,1,9,k2\n",
            "line 3, column task: every task must have the same settings, got 1 for 'b' and 1 for 'a' "
            "(not in both: 'k1, k2')",
        ),
        (
            "task,tps,accuracy,setting\na,1,9,k1\na,2,9,k1\n",
            "line 3, column setting: must occur once for task 'a', got 'k1' again (first in line 2)",
        ),
        ('task,tps,accuracy\n"copy,1,2\n', "must be CSV, got unexpected end of data; close every quote"),
    ],
)
def test_a_bad_file_is_named_with_line_column_value_and_cure(write, text, message):
    path = write(text)
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        read_points(path)
    assert str(raised.value).startswith(str(path))


def test_a_file_that_cannot_be_read_is_named(tmp_path, write):
    with pytest.raises(ValueError, match=r"no\.csv: file must be readable, got No such file or directory"):
        read_points(tmp_path / "no.csv")
    with pytest.raises(ValueError, match="file must be UTF-8 text, got byte 18"):
        read_points(write("task,tps,accuracy\n\xe9,1,2\n", encoding="latin-1"))


def test_an_interval_needs_rows_of_tasks(write):
    with pytest.raises(ValueError, match="file must have rows of tasks for intervals, got rows of avg only"):
        points_interval(write("task,tps,accuracy\navg,2,90\n"), "published", 80.0, False, 100)


def test_two_tasks_of_one_setting_have_the_law_of_their_mean(write):
    """One setting at 2 tokens per step, 81 % of 100 twice: reached where Bin(200, 0.81) >= 160."""
    path = write("task,tps,accuracy\na,2,81\nb,2,81\n")
    found = points_interval(path, "published", 80.0, False, 100)
    assert found.p_reached == pytest.approx(stats.binom(200, 0.81).sf(159), abs=0.04)
    assert (found.low.censored, found.high.censored) == ("never", "at_least")


@pytest.mark.parametrize(
    ("name", "static", "low", "high"),
    [
        ("confidence-threshold", False, 3.90, 4.33),
        ("wino", False, 5.68, 6.04),
        ("slowfast", False, 4.16, 4.35),
        ("confidence-factor", False, None, 4.28),
    ],
)
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"no published curves at {PUBLISHED}")
def test_published_curves_have_the_intervals_of_an_earlier_study(name, static, low, high):
    found = points_interval(PUBLISHED / f"{name}.csv", "published", 80.0, static, 100)
    if low is None:
        assert found.low.censored == "never"
    else:
        assert found.low.value == pytest.approx(low, abs=0.06)
    assert found.high.value == pytest.approx(high, abs=0.06)


CURVE = "task,tps,accuracy,setting\ncopy,1,90,a\ncopy,2,80,b\nsort,1,95,a\nsort,2,70,b\n"
PIECES = (
    *("", "nan", "-inf", "-1", "1e400", "1e999999999", "1e-999999999", "0", "9" * 5000, "1_0", "\u0663"),
    *('"', "\0", "\n", "\r", ",", "avg", "x" * 5000, "\ufeff", "\x1b[31m"),
)


@pytest.mark.parametrize("count", [200, pytest.param(1500, marks=pytest.mark.slow)])
def test_a_damaged_file_is_read_or_refused_in_one_short_line(write, count):
    refused = 0
    for seed in range(count):
        draw, text = Random(seed), CURVE
        for _ in range(draw.randint(1, 3)):
            start = draw.randrange(len(text) + 1)
            text = text[:start] + draw.choice(PIECES) + text[start + draw.randrange(5) :]
        path = write(text)
        try:
            points_pbx(path, draw.choice(("published", "uniform")), 80.0, draw.random() < 0.5)
        except ValueError as error:
            check_refusal(error, str(path))
            refused += 1
    assert count // 3 < refused < count
