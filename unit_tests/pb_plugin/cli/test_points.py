"""``pb points``: both rules and both kinds of censoring, computed by hand."""

import json
import re

import pytest

from pb_plugin.cli import main

CURVE = "task,tps,accuracy\navg,1,95\navg,2,90\navg,4,70\navg,8,40\n"
"""Between 2 and 4 tokens per step the score falls by 10 points per token: 80 % at 3."""

DIP = "task,tps,accuracy\navg,1,70\navg,2,85\navg,4,75\n"
"""It rises through 80 % on the way to 2 and falls through it half-way from 2 to 4."""

TASKS = "task,setting,tps,accuracy\ncopy,k1,1,100\ncopy,k2,4,60\nsort,k1,3,80\nsort,k2,8,50\n"
"""Means (2, 90) and (6, 55): 80 % after 10 of 35 points, at 2 + 4 * 10 / 35 = 22 / 7."""


@pytest.fixture
def points(tmp_path, capsys):
    """Return a function that runs ``pb points`` on a text and returns the exit code and both outputs."""

    def run(text, *options):
        path = tmp_path / "points.csv"
        path.write_text(text, encoding="utf-8")
        code = main(["points", str(path), *options])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.mark.parametrize(
    ("text", "options", "value", "censored"),
    [
        (CURVE, "--rule published --x 80 --static", 2.0, None),
        (CURVE, "--rule published --x 80", 3.0, None),
        (CURVE, "--rule uniform --x 80 --static", 3.0, None),
        (CURVE, "--rule uniform --x 80", 3.0, None),
        (CURVE, "--rule published --x 70 --static", 4.0, None),
        (CURVE, "--rule uniform --x 55", 6.0, None),
        (CURVE, "--rule published --x 95.5 --static", 0.0, "never"),
        (CURVE, "--rule uniform --x 95.5", 0.0, "never"),
        (CURVE, "--rule published --x 40 --static", 8.0, "at_least"),
        (CURVE, "--rule uniform --x 40", 8.0, "at_least"),
        (DIP, "--rule published --x 80", 3.0, None),
        (DIP, "--rule published --x 80 --static", 2.0, None),
        (TASKS, "--rule uniform --x 80", 22 / 7, None),
        (TASKS, "--rule published --x 80 --static", 2.0, None),
        (CURVE, "", 3.0, None),
    ],
)
def test_json_is_the_value_and_how_far_it_can_be_read(points, text, options, value, censored):
    code, out, err = points(text, *options.split(), "--json")
    assert (code, err) == (0, "")
    assert out == json.dumps({"value": value, "censored": censored}) + "\n"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("--x 80 --static", "PB80 is 2 tokens per step (rule published, measured settings only)"),
        ("--x 80", "PB80 is 3 tokens per step (rule published, interpolated)"),
        ("--x 80 --static --rule uniform", "PB80 is 3 tokens per step (rule uniform, interpolated)"),
        ("--x 95.5", "PB95.5 is 0: no setting reaches 95.5 % (rule published, interpolated)"),
        (
            "--x 40",
            "PB40 is at least 8 tokens per step: the fastest setting still reaches 40 % "
            "(rule published, interpolated)",
        ),
    ],
)
def test_plain_output_is_one_clear_line(points, options, line):
    assert points(CURVE, *options.split()) == (0, f"{line}\n", "")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (CURVE, "--rule mine", r"rule must be one of published, uniform, got 'mine'; choose one"),
        (CURVE, "--x eighty", r"--x must be a number in \[0, 100\], got 'eighty'; write it like"),
        (CURVE, "--x 101", r"--x must be a number in \[0, 100\], got '101'"),
        ("task,tps\n", "", r"points.csv, line 1: columns must be task, tps, accuracy"),
        ("task,tps,accuracy\navg,0,80\n", "", r"points.csv, line 2, column tps: must be above 0, got '0'"),
    ],
    ids=["rule", "words", "range", "columns", "value"],
)
def test_a_bad_request_is_told_in_one_line(points, text, options, message):
    code, out, err = points(text, *options.split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert re.match(rf"pb: .*{message}", err)


def test_a_missing_file_is_told_in_one_line(tmp_path, capsys):
    assert main(["points", str(tmp_path / "none.csv")]) == 2
    assert re.match(r"pb: .*none\.csv: file must be readable, got No such file", capsys.readouterr().err)
