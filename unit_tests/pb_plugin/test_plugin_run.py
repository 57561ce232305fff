"""Runs of the plugin as a user sees them: which items there are, what is decoded, stored and reused."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from pb_plugin.records.record import decode_key_of
from pb_plugin.records.store import Store
from task_specs.catalogue import BENCHMARK_IDS, task_ids

ROOT = Path(__file__).resolve().parents[2]
RELEASED = ROOT / ".." / "shared" / "released_data"
ONE = ("--task", "copy", "--unmasking", "random", "--k", "1", "--samples", "4")


def ids(result):
    """Return what the collected items have in their brackets, in order."""
    return [line.partition("[")[2].removesuffix("]") for line in result.outlines if "::test_" in line]


def collected(suite, *options):
    result = suite.run("--collect-only", "-q", *options)
    assert result.ret == 0
    return ids(result)


def dots(result, file="test_bench.py"):
    """Return the letters of a run, one for each item."""
    line = next(line for line in result.outlines if line.startswith(f"{file} "))
    return line.split()[1]


def test_the_default_plan_is_every_task_under_24_settings(suite):
    found = collected(suite)
    settings = [f"{method}-k{k}" for method in ("random", "left_to_right", "confidence") for k in KS]
    settings += [f"threshold-{gamma}" for gamma in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)]
    assert found == [f"{task}-ideal-{setting}" for task in task_ids() for setting in settings]


KS = (1, 2, 4, 8, 16, 32)


def test_every_category_file_has_its_own_tasks_and_no_empty_item(suite):
    result = suite.run("--collect-only", "-q", str(ROOT / "bench_tests"))
    files = {}
    for line in result.outlines:
        if "::test_" in line:
            files.setdefault(line.partition("::")[0].rpartition("/")[2], []).append(
                line.partition("[")[2].partition("-")[0]
            )
    expected = {f"test_{name}.py": ts for name, ts in BENCHMARK_IDS.items() if set(ts) & set(task_ids())}
    assert files.keys() == expected.keys()
    for name, tasks in files.items():
        assert list(dict.fromkeys(tasks)) == [task for task in expected[name] if task in task_ids()]
        assert len(tasks) == 24 * len(set(tasks))
    assert len(files["test_waiting_line.py"] + files["test_puzzles.py"]) == 288


def test_list_operations_are_collected_when_named_and_alone(suite):
    options = ("--task", "list_shuffle:n=5", "--unmasking", "random", str(ROOT / "bench_tests"))
    result = suite.run("--collect-only", "-q", *options)
    assert [line for line in result.outlines if "::" in line] == [
        f"bench_tests/test_list_ops.py::test_list_ops[list_shuffle_n5-ideal-random-k{k}]" for k in (1, 2, 4)
    ]


def test_a_file_whose_category_has_nothing_selected_has_no_items(suite):
    suite.pytester.makeini("[pytest]\nempty_parameter_set_mark = fail_at_collect\n")
    result = suite.run("--task", "copy", str(ROOT / "bench_tests" / "test_puzzles.py"))
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.no_fnmatch_line("*none*")


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (
            ("-m", "pb(task='shuffle', k=8)"),
            [f"shuffle-ideal-{method}-k8" for method in ("random", "left_to_right", "confidence")],
        ),
        (("-m", "pb(k=1) and pb(task='copy') and pb(unmasking='random')"), ["copy-ideal-random-k1"]),
        (
            ("-m", "pb(unmasking='threshold', gamma='0.9') and pb(category='puzzles')"),
            ["latin_square-ideal-threshold-0.9", "sudoku-ideal-threshold-0.9"],
        ),
        (
            ("-k", "shuffle and confidence and not k1"),
            [f"shuffle-ideal-confidence-k{k}" for k in (2, 4, 8, 32)],
        ),
        (("-k", "copy and k1]"), [f"copy-ideal-{m}-k1" for m in ("random", "left_to_right", "confidence")]),
    ],
    ids=["mark", "two marks", "mark by parameter", "substrings", "closing bracket"],
)
def test_selection_by_marks_and_names(suite, selection, expected):
    assert collected(suite, *selection) == expected


def test_one_item_by_its_id(suite):
    assert collected(suite, "test_bench.py::test_cell[sort-ideal-threshold-0.9]") == [
        "sort-ideal-threshold-0.9"
    ]
    result = suite.run("--task", "copy", "test_bench.py::test_cell[sort-ideal-threshold-0.9]")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: not found: *test_bench.py::test_cell"])


def test_items_are_sorted_by_the_plan_and_other_tests_keep_their_places(suite):
    suite.pytester.makepyfile(
        test_bench="""
        def test_cell(pb_cell): ...
        def test_plain(): ...
        def test_again(pb_cell): ...
        """
    )
    suite.pytester.makeconftest(
        """
        import pytest
        @pytest.hookimpl(tryfirst=True)
        def pytest_collection_modifyitems(items):
            items.reverse()
        """
    )
    result = suite.run("--collect-only", "-q", "--task", "sort,copy", "--unmasking", "random", "--k", "1,2")
    assert [line.partition("::")[2] for line in result.outlines if "::" in line] == [
        "test_again[copy-ideal-random-k1]",
        "test_cell[copy-ideal-random-k1]",
        "test_again[copy-ideal-random-k2]",
        "test_cell[copy-ideal-random-k2]",
        "test_plain",
        "test_again[sort-ideal-random-k1]",
        "test_cell[sort-ideal-random-k1]",
        "test_again[sort-ideal-random-k2]",
        "test_cell[sort-ideal-random-k2]",
    ]


def test_a_session_without_cells_is_left_alone(suite):
    suite.pytester.makepyfile(test_bench="def test_plain(): ...")
    result = suite.run()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("parallelbench*")
    result.stdout.no_fnmatch_line("*= parallelbench =*")
    assert not suite.store.exists()


def test_five_lines_in_an_empty_folder_are_a_benchmark_of_ones_own(suite):
    result = suite.pytester.runpytest_subprocess("-p", "pb_plugin.plugin", *ONE, "-W", "error")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["ideal-random*k=1", "copy*100*", "nothing was gated (--pb-gate*"])
    assert (suite.pytester.path / ".pb" / ".gitignore").read_text() == "*\n"
    assert len(suite.records(suite.pytester.path / ".pb")) == 4


def test_a_record_holds_what_was_asked_what_came_out_and_both_keys(suite):
    suite.run(*ONE).assert_outcomes(passed=1)
    records = suite.records()
    assert len({record.parts["sample_id"] for record in records}) == 4
    for record in records:
        asked = {
            "data_source": "own",
            "task": "copy",
            "model": "ideal",
            "dtype": "default",
            "method": "random",
            "k": 1,
            "block_length": None,
            "canvas": 32,
            "temperature": 0.0,
            "seed": 0,
            "cache": "none",
        }
        assert {name: record.parts[name] for name in asked} == asked
        n_people = len(json.loads(record.text))
        assert record.content_tokens == 3 * n_people + 1  # two names each, n - 1 commas, two brackets
        assert record.to_eos_tokens == record.content_tokens + 1
        assert (record.nfe, record.canvas_tokens, record.evaluated_positions) == (32, 32, 32 * 32)
        assert sorted(record.commit_step) == list(range(32))
        assert record.scores == {"accuracy": 1.0, "accuracy_strict": 1.0}
        assert record.score_key == "list@2/first_eos"
    (file,) = suite.store.glob("*.jsonl")
    line = json.loads(file.read_text().splitlines()[0])
    assert line["decode_key"] == decode_key_of(line["parts"])
    assert line["pair_key"] != line["decode_key"]


def test_a_second_run_decodes_nothing_and_says_so(suite):
    options = ("--task", "copy,shuffle", "--unmasking", "random,threshold", "--samples", "4")
    first = suite.run(*options)
    assert dots(first) == "." * 24
    first.stdout.fnmatch_lines([f"0 of 24 items reused; records in {suite.store}"])
    written = {path: path.read_bytes() for path in suite.store.glob("*.jsonl")}
    summary = suite.summary()
    second = suite.run(*options)
    assert dots(second) == "c" * 24
    second.assert_outcomes(passed=24)
    second.stdout.fnmatch_lines(["24 of 24 items reused; *"])
    assert {path: path.read_bytes() for path in suite.store.glob("*.jsonl")} == written
    assert len(list((suite.store / "runs").glob("*.json"))) == 1
    assert suite.summary() == summary


def test_verbose_lines_show_the_score(suite):
    suite.run(*ONE, "-v").stdout.fnmatch_lines(["*::test_cell[[]copy-ideal-random-k1[]] PASSED score=1.00*"])
    suite.run(*ONE, "-v").stdout.fnmatch_lines(["*::test_cell[[]copy-ideal-random-k1[]] REUSED score=1.00*"])


def test_fresh_decodes_again_and_finds_the_same(suite):
    suite.run(*ONE)
    summary = suite.summary()
    result = suite.run(*ONE, "--pb-fresh")
    assert dots(result) == "."
    result.stdout.fnmatch_lines(["0 of 1 items reused; *"])
    records = suite.records()
    assert [record.decode_key for record in records[:4]] == [record.decode_key for record in records[4:]]
    assert records[:4] == records[4:]
    assert suite.summary() == summary


def test_fresh_results_that_differ_from_stored_ones_are_what_the_run_reports_and_a_conflict_later(suite):
    suite.run(*ONE)
    (file,) = suite.store.glob("*.jsonl")
    line = json.loads(file.read_text().splitlines()[0])
    line |= {"ids": [1, *line["ids"][1:]], "scores": {"accuracy": 0.0, "accuracy_strict": 0.0}}
    file.write_text(json.dumps(line) + "\n")
    suite.run(*ONE, "--pb-fresh").stdout.fnmatch_lines(["copy *100 *"])
    assert '"incomplete"' not in suite.summary()
    later = suite.run(*ONE)
    assert later.ret == 1
    later.stdout.fnmatch_lines(["failed, 1 item: *.jsonl and *.jsonl hold different ids for decode_key *"])


@pytest.mark.parametrize(
    "how", [("--pb-sweep", "isolated"), ("--pb-batch", "3"), ("--pb-batch", "1")], ids=str
)
def test_how_rows_are_put_together_changes_no_result(suite, how):
    options = ("--task", "copy,shuffle", "--unmasking", "random", "--unmasking", "threshold:gamma=0.5,0.9")
    options += ("--k", "4")
    suite.run(*options, "--samples", "6")
    other = suite.pytester.path / "other"
    suite.run(*options, "--samples", "6", *how, store=other)
    assert suite.summary() == suite.summary(other)
    by_key = [{r.decode_key: r for r in suite.records(store)} for store in (suite.store, other)]
    assert by_key[0] == by_key[1]


def test_a_run_tells_its_plan_from_the_first_decode_to_its_end(suite):
    """So that pb view can show it; a run that decodes nothing tells none."""
    suite.pytester.makeconftest(
        """
        from pathlib import Path
        from pb_plugin.viewing.live import run_going_on
        def pytest_runtest_logreport(report):
            if report.when == "call":
                found = run_going_on(Path("store"))
                cells = None if found is None else [len(cell.keys) for cell in found[1].cells]
                with open("seen.txt", "a") as file:
                    file.write(f"{cells}\\n")
        """
    )
    options = ("--task", "copy", "--unmasking", "random", "--k", "4,8", "--samples", "2")
    suite.run(*options).assert_outcomes(passed=2)
    seen = suite.pytester.path / "seen.txt"
    assert seen.read_text() == "[2, 2]\n[2, 2]\n"
    assert not list(suite.store.glob("*.plan"))
    suite.run(*options).assert_outcomes(passed=2)
    assert seen.read_text().splitlines()[2:] == ["None", "None"]


def test_a_trace_is_stored_on_demand_and_part_of_no_key(suite):
    options = ("--task", "shuffle", "--unmasking", "confidence", "--k", "4", "--samples", "2")
    suite.run(*options).assert_outcomes(passed=1)
    assert all(record.trace is None for record in suite.records())
    summary = suite.summary()
    assert dots(suite.run(*options, "--pb-trace")) == "c", "what is stored is not decoded again for it"
    assert dots(suite.run(*options, "--pb-trace", "--pb-fresh")) == "."
    first, later = suite.records()[:2], suite.records()[2:]
    assert [record.decode_key for record in first] == [record.decode_key for record in later]
    for record in later:
        steps = {position: step for step, position, _, _ in record.trace["commits"]}
        assert [steps[position] for position in range(32)] == list(record.commit_step)
    index = Store(suite.store).index()
    assert all(index.get(record.decode_key).trace == record.trace for record in later)
    assert suite.summary() == summary


def test_only_what_is_left_after_deselection_is_decoded(suite):
    suite.run("--task", "copy,sort", "--samples", "4", "-k", "copy and random-k8")
    assert {(r.parts["task"], r.parts["method"], r.parts["k"]) for r in suite.records()} == {
        ("copy", "random", 8)
    }


def test_a_larger_number_of_samples_decodes_only_what_the_smaller_lacks(suite):
    suite.run(*ONE)
    assert dots(suite.run(*ONE[:-1], "6")) == "."
    records = suite.records()
    assert len(records) == 6
    assert len({record.decode_key for record in records}) == 6
    assert dots(suite.run(*ONE[:-1], "2")) == "c"
    assert {record.parts["sample_id"][:2] for record in records} == {"n3", "n4", "n5", "n6"}


def test_another_seed_makes_other_draws(suite):
    suite.run(*ONE)
    assert dots(suite.run(*ONE, "--seed", "1")) == "."
    first, second = (
        {r.parts["sample_id"]: r.commit_step for r in suite.records() if r.parts["seed"] == s} for s in (0, 1)
    )
    assert first.keys() == second.keys()
    assert all(first[sample] != second[sample] for sample in first)


def test_sampling_obeys_the_exact_law_too_and_is_a_curve_of_its_own(suite):
    options = ("--task", "shuffle", "--unmasking", "random", "--k", "1,32", "--pb-temperature", "0,1")
    result = suite.run(*options, "--samples", "20", "-v")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*random-k32-t1[]] PASSED*", "ideal-random *", "ideal-random-t1 *"])


def test_a_block_is_complete_before_the_next_one_starts(suite):
    result = suite.run(*ONE, "--block-length", "8", "-v")
    result.stdout.fnmatch_lines(["*::test_cell[[]copy-ideal-random-k1-b8[]] PASSED*"])
    for record in suite.records():
        blocks = [record.commit_step[start : start + 8] for start in range(0, 32, 8)]
        assert all(max(one) < min(other) for one, other in pairwise(blocks))


def test_infilling_counts_only_what_was_filled_in(suite):
    options = ("--task", "list_shuffle:n=5", "--unmasking", "random", "--unmasking", "threshold:gamma=0.9")
    options += ("--k", "1,2,4")
    suite.run(*options, "--samples", "20").assert_outcomes(passed=4)
    for record in suite.records():
        assert record.canvas_tokens == 5
        assert sum(step >= 0 for step in record.commit_step) == 5
        if record.parts["k"] is not None:
            assert record.nfe == -(-5 // record.parts["k"])


def test_variants_run_and_enter_no_suite(suite):
    options = ("--task", "shuffle:n=15", "--task", "reverse:cot=true", "--unmasking", "left_to_right")
    result = suite.run(*options, "--k", "8,32", "--samples", "2", "-v")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        ["*[[]reverse_cot-ideal-left_to_right-k8[]]*", "*[[]shuffle_n15-ideal-left_to_right-k32[]]*"]
    )
    assert {(r.parts["task"], r.parts["canvas"]) for r in suite.records()} == {
        ("shuffle_n15", 128),
        ("reverse_cot", 256),
    }
    assert all(cell["is_variant"] for cell in json.loads(suite.summary())["cells"])


@pytest.mark.skipif(not RELEASED.is_dir(), reason="the released data are not beside this checkout")
def test_released_data_run_under_their_own_name_and_never_mix(suite):
    options = ("--task", "copy,shuffle", "--unmasking", "random", "--k", "1,4", "--samples", "4")
    suite.run(*options, f"--pb-data={RELEASED}").assert_outcomes(passed=4)
    assert {record.parts["data_source"] for record in suite.records()} == {"released"}
    assert {record.score_key for record in suite.records()} == {"released_list@1/whole_canvas"}
    assert dots(suite.run(*options)) == "...."


def test_a_model_is_loaded_once_and_not_at_all_when_everything_is_stored(suite):
    suite.pytester.syspathinsert()
    suite.pytester.makepyfile(
        babble_once="""
        from pathlib import Path
        from decoders.text.byte_tokenizer import ByteTokenizer
        from decoders.testing.hash_denoiser import HashDenoiser

        class Babble(HashDenoiser):
            name = "babble"

            def encode_prompt(self, messages):
                return [2]

        def load(request):
            with Path("loads.txt").open("a") as file:
                file.write("loaded\\n")
            model = Babble(vocab_size=300)
            model.tokenizer = ByteTokenizer(vocab_size=300)
            return model
        """
    )
    options = ("--model", "babble_once:load", "--task", "copy,sort", "--unmasking", "random,margin")
    options += ("--k", "8,16", "--samples", "2")
    result = suite.run(*options)
    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines(
        ["items of babble_once:load assert completeness and floors only; the laws hold for ideal"]
    )
    loads = suite.pytester.path / "loads.txt"
    assert loads.read_text() == "loaded\n"
    assert dots(suite.run(*options)) == "c" * 8
    assert loads.read_text() == "loaded\n"
    suite.run(*options, "--pb-sweep", "isolated", "--pb-fresh").assert_outcomes(passed=8)
    assert loads.read_text() == "loaded\n" * 2
