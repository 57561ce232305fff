"""Points from a CSV: read as they stand, each fault named with its line."""

import re

import pytest

from pb_plugin.analyses.given import GivenPoint, read_given
from pb_plugin.analyses.order import METHODS, order_benefit, parallelizability
from pb_plugin.results.aggregate import aggregate

HEAD = "model,task,method,k,block_length,score\n"


def test_points_are_read_and_the_run_keeps_its_own_names(tmp_path, make_cell):
    file = tmp_path / "p.csv"
    file.write_text(HEAD + "m,gsm8k,random,1,,75.5\nm,gsm8k,random,2,16,70\n")
    points = read_given(file, METHODS)
    assert points[0] == GivenPoint(
        model="m", task="gsm8k", method="random", k=1, block_length=None, score=75.5
    )
    assert points[1].block_length == 16
    taken = GivenPoint(model="llada", task="shuffle", method="random", k=1, block_length=None, score=1.0)
    summary = aggregate([make_cell("shuffle", method="random", k=1)])
    with pytest.raises(
        ValueError, match="--points must name models and tasks that the run lacks, got shuffle of"
    ):
        parallelizability(summary, [taken])
    assert order_benefit(summary, [taken]).rows == (), "any order is no block"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model,task\n",
            "p.csv: columns must be model, task, method, k, block_length, score, got model, task;",
        ),
        ("", "columns must be model, task, method, k, block_length, score, got none"),
        (HEAD, "p.csv: the file must have a row below its header, got none"),
        (
            HEAD + "m,t,best,1,,5\n",
            "line 2: method must be one of random, confidence, margin, entropy, got 'best'",
        ),
        (HEAD + "m,,random,1,,5\n", "line 2: task must be a name, got ''"),
        (HEAD + "m,t,random,0,,5\n", "line 2: k must be a whole number of 1 or more, got '0'"),
        (HEAD + "m,t,random,1,x,5\n", "line 2: block_length must be a whole number of 1 or more, got 'x'"),
        (HEAD + "m,t,random,1,,101\n", "line 2: score must be a percentage from 0 to 100, got '101'"),
        (HEAD + "m,t,random,1,,nan\n", "line 2: score must be a percentage from 0 to 100, got 'nan'"),
        (HEAD + "m,t,random,1\n", "line 2: score must be a percentage from 0 to 100, got ''"),
        (HEAD + "m,t,random,1,,5\nm,t,random,1,,6\n", "line 3: a point must be there once"),
    ],
    ids=["header", "empty", "rows", "method", "task", "k", "block", "score", "nan", "short", "twice"],
)
def test_a_bad_file_is_one_message(tmp_path, text, message):
    file = tmp_path / "p.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_given(file, METHODS)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"--points must be a CSV file, got '.*none\.csv'"):
        read_given(tmp_path / "none.csv", METHODS)
