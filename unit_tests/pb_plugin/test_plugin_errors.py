"""Every bad input has one message that says what to do, and its exit code."""

import json

import pytest

USAGE = pytest.ExitCode.USAGE_ERROR
ONE = ("--task", "copy", "--unmasking", "random", "--k", "1", "--samples", "2")

GOOD = {
    "id": "say",
    "category": "mine",
    "version": "1",
    "prompt": '"Say {word}."',
    "canvas": "8",
    "scorer": "list",
    "score": "accuracy",
    "data": "say.jsonl",
}
LINES = tuple(
    {
        "id": name,
        "fields": {"word": name},
        "facts": {"operation": "copy", "items": [name]},
        "answers": [f'["{name}"]'],
    }
    for name in "ab"
)


@pytest.fixture
def task_file(suite):
    """Write a task of the user's, with some keys of its YAML file replaced, and return the file's name."""

    def write(*, lines=LINES, **changes):
        folder = suite.pytester.path
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        folder.joinpath("say.jsonl").write_text("".join(f"{text}\n" for text in texts))
        folder.joinpath("say.yaml").write_text("".join(f"{k}: {v}\n" for k, v in {**GOOD, **changes}.items()))
        return "say.yaml"

    return write


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--task", "copy,sort"),
            "released data of copy must be in the folder 'waiting_line' of '*; give * (so it is with sort)",
        ),
        (
            (),
            "released data of copy *; give * (so it is with sort, reverse, shuffle, replace_index, "
            "replace_random and 11 more)",
        ),
        (("--task", "copy:cot=true"), "variant of a released task must be n=15 *, got 'copy_cot'; leave *"),
        (("--task", "list_copy"), "task must be one that was released, got 'list_copy'; released are *"),
    ],
    ids=["layout", "all", "cot", "not-released"],
)
def test_what_holds_for_all_items_of_released_data_is_one_message_at_the_start(suite, options, message):
    suite.pytester.mkdir("data")
    result = suite.run(*options, "--pb-data=data")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
    assert "Traceback" not in result.stderr.str()


def test_one_task_that_the_released_files_lack_is_told_before_the_others_are_decoded(suite):
    folder = suite.pytester.mkdir("data").joinpath("waiting_line")
    folder.mkdir()
    folder.joinpath("task_config.yaml").write_text("waiting_line/copy:\n  prompt: '{context}'\n")
    people = '["Ann Moss", "Bob Lane"]'
    line = {"input": {"context": people}, "answer": people, "metadata": {"length": 2}}
    folder.joinpath("copy.jsonl").write_text(json.dumps(line))
    run = ("--unmasking", "random", "--k", "1", "--pb-data=data")
    suite.run("--task", "copy", *run).assert_outcomes(passed=1)
    result = suite.run("--task", "copy", "--task", "shuffle:n=15", *run)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: released data of shuffle_n15 must be in the folder *"])


def test_an_encoder_without_a_known_layer_is_one_message_at_the_start(suite):
    result = suite.run("--task", "paraphrasing", "--pb-bertscore", "acme/bert", "--pb-grammar", "later")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --pb-bertscore must be ENCODER@LAYER for an encoder other than *, got 'acme/bert'; the *"]
    )


def test_a_task_of_the_users_whose_own_answers_are_wrong_is_one_message_at_the_start(suite):
    suite.pytester.path.joinpath("say.yaml").write_text(
        "id: say\ncategory: mine\nversion: 1\nprompt: 'Say {w}.'\ncanvas: 8\nscorer: list\nscore: accuracy\n"
        "data: say.jsonl\n"
    )
    line = {"id": "a", "fields": {"w": "x"}, "answers": ["[b]"]}
    line["facts"] = {"operation": "copy", "items": ["a"]}
    suite.pytester.path.joinpath("say.jsonl").write_text(json.dumps(line))
    result = suite.run("--task", "say.yaml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: answers of sample 'a' must score 1 under scorer list, got accuracy 0 for '[[]b[]]'; *"]
    )


def test_released_texts_that_the_built_in_tokenizer_cannot_hold_are_skipped(suite):
    folder = suite.pytester.mkdir("data").joinpath("paraphrase_summarize")
    folder.mkdir()
    folder.joinpath("task_config.yaml").write_text(
        "paraphrase_summarize/samsum:\n  prompt: 'Sum up: {text}'\n"
    )
    text = "Room 1" + "0" * 80
    line = {
        "input": {"text": "Al: Hi"},
        "answer": {"text": "Al: Hi", "summary": text},
        "metadata": {"length": 1},
    }
    folder.joinpath("samsum.jsonl").write_text(json.dumps(line))
    options = ("--task", "summarization", "--unmasking", "random", "--k", "1,2", "--pb-data=data")
    result = suite.run(*options, "--pb-grammar", "later")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(
        [
            "skipped, 2 items: unscored: the built-in tokenizer cannot hold it: 8? positions needed of 64 "
            "for summarization/line-001; take a published tokenizer (--model ideal=FOLDER) or a longer *"
        ]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--task", "shufle"), "--task must be *, got 'shufle'; did you mean 'shuffle'? Known: *"),
        (("--model", "lada"), "--model must be *, got 'lada'; did you mean 'llada'? Known: *"),
        (("--model", "openai:gpt"), "--model must be openai:URL[[]#MODEL[]] or openai:TABLE.yaml, got *"),
        (
            ("--model", "a.b:c,a.b:d"),
            "--model must be NAME, NAME=DIR_OR_HUB_ID[[]@REVISION[]] or package.module:attribute, got *",
        ),
        (("--unmasking", "margn"), "--unmasking must be *, got 'margn'; did you mean 'margin'? Known: *"),
        (
            ("--unmasking", "threshold:gama=0.9"),
            "--unmasking threshold:gama=0.9: parameter must be one of gamma, *, got 'gama'; *",
        ),
        (
            ("--unmasking", "threshold:gamma=2"),
            "--unmasking threshold:gamma=2: gamma must be in (0, 1], got 2.0; *",
        ),
        (
            ("--task", "shuffle:m=15"),
            "--task shuffle:m=15: parameter of task shuffle must be one of n, cot, samples, canvas, got 'm'*",
        ),
        (
            ("--task", "shuffle:n=99"),
            "--task shuffle:n=99: n of task shuffle must be a whole number from 2 to 20, got '99'; *",
        ),
        (("--unmasking", "nowhere:Method"), "--unmasking must be importable, got 'nowhere:Method' *"),
        (("--task", "nowhere.yaml"), "--task: task file must exist, got '*nowhere.yaml'; check the path"),
        (
            ("--unmasking", "threshold", "--k", "2"),
            "--k must come with a method that has k, got threshold; leave --k out or *",
        ),
        (
            ("--task", "copy", "--unmasking", "random", "--k", "64"),
            "the selection must have at least one item, got none (k=64: not for 1 task with canvas 32); *",
        ),
        (("--block-length", "5"), "--block-length must divide the canvas of at least one task, got 5 for *"),
        (("--samples", "0"), "--samples must be a whole number of at least 1, got '0'; write digits only"),
        (("--samples", "1000"), "--samples must be at most 108, the most any selected task has, got 1000; *"),
        (("--seed", "x"), "--seed must be a whole number of at least 0, got 'x'; write digits only"),
        (("--pb-temperature", "-1"), "--pb-temperature must be a number of at least 0, got '-1'; *"),
        (("--pb-sweep", "both"), "--pb-sweep must be one of group, isolated, gate, got 'both'; *"),
        (("--pb-gate", "PB80=>4"), "gate must *, got *"),
        (("--pb-floor", "copy"), "--pb-floor must be TASK=ACCURACY, got 'copy'; for example copy=0.9"),
        (("--pb-floor", "copi=0.9"), "--pb-floor must name a task, got 'copi'; known: copy, *"),
        (
            ("--pb-data=nowhere",),
            "--pb-data must be a folder of released *, got '*nowhere'; name a checkout *",
        ),
        (("--pb-data=nowhere.jsonl",), "--pb-data must be a folder of *, got '*nowhere.jsonl'; name a *"),
        (
            ("--task", "copy", "--task", "w2s_hard:words=5"),
            "words of task w2s_hard must be a whole number from 1 to 4 for the data *, got 5; *",
        ),
        (("--pb-timing", "-n", "2"), "--pb-timing must run in one process, got -n: *"),
        (("--pb-timing", "-p", "no:benchmark"), "--pb-timing must have pytest-benchmark, *"),
        (("--pb-timing", "--benchmark-disable"), "--pb-timing must have pytest-benchmark measure, got *"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_bad_option_is_one_message_and_exit_code_4(suite, options, message):
    result = suite.run(*options)
    assert result.ret == USAGE
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
    assert [line for line in result.errlines if line] == [result.errlines[0]]
    assert not suite.store.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"canvas": "no"}, "say.yaml, line 5: canvas must be a whole number from 1 to 4096, got False; *"),
        ({"canvass": "8"}, "say.yaml, line 9: *canvass*; did you mean 'canvas'?*"),
        ({"prompt": "[1"}, "say.yaml, line 5: *YAML*"),
        ({"scorer": "lst"}, "say.yaml, line 6: scorer must be *, got 'lst'; did you mean 'list'?*"),
        ({"data": "other.jsonl"}, "say.yaml, line 8: data must be a file that exists, got 'other.jsonl'; *"),
        ({"id": "copy"}, "say.yaml: id must be none of the built-in ids, got 'copy'; choose another name*"),
    ],
    ids=["value", "key", "YAML", "scorer", "data", "id"],
)
def test_a_fault_of_a_task_file_names_file_line_and_key(suite, task_file, changes, message):
    result = suite.run("--task", task_file(**changes))
    assert result.ret == USAGE
    result.stderr.fnmatch_lines([f"ERROR: --task: *{message}"])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((LINES[0], "{"), "say.jsonl, line 2: a line must be one JSON object, got '{'; *"),
        ((LINES[0], {"id": "b", "answers": ['["b"]']}), "say.jsonl, line 2*fields must be *"),
        ((LINES[0], {**LINES[1], "fields": {"wort": "ho"}}), "say.jsonl, line 2*with 'word'*"),
        ((LINES[0], LINES[0]), "say.jsonl, line 2*id must be there once in the file, got 'a'; *"),
        ((LINES[0], {**LINES[1], "answer": "b"}), "say.jsonl, line 2*did you mean 'answers'?*"),
    ],
    ids=["JSON", "missing", "field", "twice", "unknown"],
)
def test_a_fault_of_a_data_file_names_file_line_and_key(suite, task_file, lines, message):
    """Once, where no other task could be asked; beside one it is the reason of the task's items."""
    options = ("--unmasking", "random", "--k", "1,8")
    alone = suite.run("--task", task_file(lines=lines), *options)
    assert alone.ret == USAGE
    alone.stderr.fnmatch_lines([f"ERROR: {message}"])
    beside = suite.run("--task", task_file(lines=lines), "--task", "copy", *options)
    beside.assert_outcomes(errors=2, passed=2)
    beside.stdout.fnmatch_lines([f"failed, 2 items: ValueError: {message}"])
    beside.stdout.no_fnmatch_line("*Traceback*")


def test_a_good_task_file_of_ones_own_passes(suite, task_file):
    result = suite.run("--task", task_file(), "--unmasking", "random", "--k", "1,8")
    assert {record.parts["data_source"] for record in suite.records()} == {"user"}
    assert result.ret == 0, "answers of one sample are determined, so any k is right"


def test_a_floor_in_the_task_file_holds_unless_the_option_says_otherwise(suite, task_file):
    orders = [f'["{order[0]}", "{order[1]}", "{order[2]}"]' for order in ("acb", "bac", "bca", "cab", "cba")]
    facts = {"operation": "shuffle", "items": ["a", "b", "c"]}
    lines = [{"id": name, "fields": {"word": "a"}, "facts": facts, "answers": orders} for name in "xyz"]
    options = ("--task", task_file(lines=lines, floor="1.0"), "--unmasking", "random", "--k", "8")
    result = suite.run(*options)
    result.stdout.fnmatch_lines(["failed, 1 item: accuracy 0.* is below the floor 1 of task say"])
    suite.run(*options, "--pb-floor", "say=0").assert_outcomes(passed=1)


def test_a_checksum_that_does_not_fit_is_an_error_of_every_item(suite, task_file):
    wrong = task_file(checksum=f'"{"0" * 64}"')
    result = suite.run("--task", wrong, "--task", "copy", "--unmasking", "random", "--k", "1,8")
    assert result.ret == 1
    result.assert_outcomes(errors=2, passed=2)
    result.stdout.fnmatch_lines(
        ["failed, 2 items: ValueError: *say.yaml: checksum must be that of say.jsonl, got '0*'; the file *"]
    )


def test_a_scorer_that_cannot_be_imported_is_found_before_anything_is_decoded(suite, task_file):
    result = suite.run("--task", task_file(scorer="nowhere:scorer"), "--unmasking", "random", "--k", "1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: scorer must be *, got 'nowhere:scorer' *"])
    assert not suite.records()


@pytest.mark.parametrize("source", ["./nowhere", "./empty"])
def test_a_checkpoint_that_is_not_there_is_one_reason_for_all_its_items(suite, source):
    suite.pytester.mkdir("empty")
    options = (
        "--model",
        "ideal",
        "--model",
        f"llada={source}",
        "--task",
        "copy,sort",
        "--unmasking",
        "random",
    )
    result = suite.run(*options, "--k", "1,8", "--samples", "2")
    assert result.ret == 1
    result.assert_outcomes(passed=4, errors=4)
    (reason,) = (line for line in result.outlines if line.startswith("failed, "))
    assert reason.startswith(f"failed, 4 items: model llada={source}: ")
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_canvas_too_short_for_an_answer_fails_without_a_score(suite):
    result = suite.run("--task", "shuffle:canvas=16", "--unmasking", "random", "--k", "1,8", "--samples", "8")
    assert result.ret == 1
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "failed, 2 items: ValueError: canvas must hold every answer of shuffle_canvas16/n?-???, got 16 "
            "positions for * tokens of *; give the task a longer one (TASK:canvas=N)"
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    assert not suite.records()


def test_a_category_that_does_not_exist_is_a_collection_error(suite):
    suite.pytester.makepyfile(
        test_bench="""
        import pytest

        @pytest.mark.pb_category("puzzle")
        def test_cell(pb_cell): ...
        """
    )
    result = suite.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["pb_category must be one of waiting_line, *, other, got 'puzzle'; *"])
    result.stdout.no_fnmatch_line("*Traceback*")
