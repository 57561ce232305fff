"""Reading one task file: what is accepted, and the one message every mistake gets."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import task_specs
from task_specs.catalogue import specs_folder
from task_specs.spec import builtin_spec, read_spec

OWN = (*task_specs.task_ids(), *task_specs.list_op_ids())
EXACT = tuple(task for task in OWN if task not in task_specs.BENCHMARK_IDS["text_writing"])

USER = """id: my_task
category: mine
version: 1
prompt: Say {word}.
canvas: 16
scorer: acme.scorers:exact
score: accuracy
data: my.jsonl
"""

GENERATED = """id: my_line
category: mine
version: 2
prompt: "{context}"
canvas: 32
scorer: list
score: accuracy
samples: 4
generator: waiting_line
seed: mine
parameters:
  operation: copy
  lengths: [3]
"""


@pytest.fixture
def write(tmp_path):
    """Write a task file with two samples beside it."""
    (tmp_path / "my.jsonl").write_text('{"id": "a", "fields": {"word": "x"}}\n' * 2, encoding="utf-8")

    def written(text):
        path = tmp_path / "task.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def test_the_benchmark_has_17_tasks_with_a_spec_each_and_4_list_operations():
    benchmark = tuple(task for ids in task_specs.BENCHMARK_IDS.values() for task in ids)
    assert len(benchmark) == 17
    assert task_specs.task_ids() == benchmark
    assert set(task_specs.CATEGORIES) == {*task_specs.BENCHMARK_IDS, "list_ops"}
    assert set(task_specs.VARIANT_PARAMS) == {*benchmark, *task_specs.list_op_ids()}


@pytest.mark.parametrize("task_id", EXACT)
def test_a_built_in_spec_says_what_the_design_asks(task_id):
    spec = builtin_spec(task_id)
    version = 2 if spec.category == "puzzles" else 1
    assert (spec.id, spec.base_id, spec.is_variant, spec.version) == (task_id, task_id, False, version)
    assert (spec.score, spec.text_rule, spec.needs, spec.floor) == (
        "accuracy",
        "first_eos",
        frozenset(),
        None,
    )
    expected = {
        "waiting_line": (100, 1, 32, 32, False, "list"),
        "puzzles": (108 if task_id == "sudoku" else 100, 1, 64, 64, False, task_id),
        "list_ops": (100, 0, 64, 10, True, "list"),
    }[spec.category]
    assert (spec.n_samples, spec.shots, spec.canvas, spec.positions, spec.infilling, spec.scorer) == expected


def test_a_chain_of_thought_has_a_version_of_its_own():
    assert (builtin_spec("shuffle").version, builtin_spec("shuffle", {"cot": True}).version) == (1, 2)
    assert builtin_spec("shuffle", {"n": 15}).version == 1


@pytest.mark.parametrize("task_id", OWN)
def test_no_sentence_of_a_prompt_is_broken_by_the_width_of_its_file(task_id):
    """A line ends with a sentence, or with what introduces or is the input."""
    spec = builtin_spec(task_id)
    prompts = [
        spec.prompt,
        *(
            [builtin_spec(task_id, {"cot": True}).prompt]
            if "cot" in task_specs.VARIANT_PARAMS[task_id]
            else []
        ),
    ]
    for line in (line for prompt in prompts for line in prompt.splitlines()):
        assert line.endswith((".", ":", "}")), line


def test_a_spec_can_be_a_key():
    assert {builtin_spec("copy"): 1}[builtin_spec("copy")] == 1


def test_all_specs_are_read_in_less_than_50_ms():
    builtin_spec("copy")
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        for task_id in OWN:
            builtin_spec(task_id)
        best = min(best, time.process_time() - start)
    assert best < 0.05


def test_importing_the_package_and_a_spec_loads_nothing_heavy():
    code = (
        "import sys, task_specs, task_specs.load, task_specs.prompt, task_specs.choose\n"
        "heavy = {'torch', 'numpy', 'pytest', 'transformers'}\n"
        "print([name for name in sys.modules if name.partition('.')[0] in heavy])"
    )
    root = Path(task_specs.__file__).parents[1]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_built_in_file_may_be_named_by_its_path():
    by_path = read_spec(str(specs_folder() / "sudoku.yaml"))
    assert by_path == builtin_spec("sudoku")
    assert by_path.folder.joinpath("sudoku.jsonl").is_file()


def test_an_unknown_task_suggests_the_nearest():
    with pytest.raises(
        LookupError, match=r"task must be the id of a built-in task, got 'shufle'; did you mean 'shuffle'\?"
    ):
        builtin_spec("shufle")


def test_a_task_without_a_spec_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("task_specs.spec.specs_folder", lambda: tmp_path)
    with pytest.raises(
        LookupError, match="task must be one that has a spec, got 'w2s_easy'; this version holds none"
    ):
        builtin_spec("w2s_easy")


def test_a_users_file_gets_the_defaults_and_counts_its_samples(write):
    spec = read_spec(write(USER))
    assert (spec.id, spec.n_samples, spec.shots, spec.positions) == ("my_task", 2, 0, 16)
    assert (spec.answers, spec.checksum, spec.generator, spec.text_rule) == (
        "stored",
        None,
        None,
        "first_eos",
    )
    assert spec.folder == Path(spec.path).parent


def test_a_users_file_may_use_a_generator(write):
    spec = read_spec(str(write(GENERATED)), {"n": 5})
    assert (spec.id, spec.answers, spec.parameters["lengths"]) == ("my_line_n5", "derived", [5])
    assert spec.parameters["shot_lengths"] == [3, 4, 5, 6]


def test_infilling_of_stored_data_states_its_positions(write):
    spec = read_spec(write(USER + "infilling: true\npositions: 3\n"))
    assert (spec.positions, spec.canvas) == (3, 16)


def without(text, key):
    return re.sub(rf"^{key}:.*\n", "", text, flags=re.MULTILINE)


def put(text, key, value):
    return re.sub(rf"^(\s*){key}:.*$", rf"\g<1>{key}: {value}", text, flags=re.MULTILINE)


COT = "cot:\n  prompt: x\n  canvas: 9\n  marker: y\n"
TRACED = COT + "  trace: draws\n"
LETTERS = put(GENERATED, "generator", "list_ops").partition("parameters")[0]
SHUFFLED = LETTERS + "parameters: {operation: shuffle, n: 4}\n"
BAD = {
    "unknown_key": (
        USER + "canvass: 3\n",
        r"task.yaml, line 9: canvass must be a known key, got 'canvass'; did you mean 'canvas'\? Known",
    ),
    "missing": (
        without(USER, "canvas"),
        r"task.yaml: canvas must be a whole number from 1 to 4096, got None; it is missing,",
    ),
    "twice": (USER + "canvas: 3\n", r"line 9: canvas must be there once, got 'canvas'; line 5 has it too"),
    "type": (
        put(USER, "canvas", "big"),
        r"line 5: canvas must be a whole number .*, got 'big'; say how many",
    ),
    "truth_is_no_number": (put(USER, "canvas", "true"), r"canvas must be a whole number .*, got True"),
    "range": (
        put(USER, "version", "0"),
        r"line 3: version must be a whole number from 1 .*, got 0; start at 1",
    ),
    "id": (put(USER, "id", "My-Task"), r"line 1: id must be a name of a-z.*, got 'My-Task'; name the task"),
    "own_id": (
        put(USER, "id", "copy"),
        r"task.yaml: id must be none of the built-in ids, got 'copy'; choose",
    ),
    "empty_prompt": (put(USER, "prompt", "' '"), r"line 4: prompt must be a text, got ' '"),
    "field": (
        put(USER, "prompt", "'{a.b}'"),
        r"line 4: prompt must be a template of plain field names, got 'a.b'",
    ),
    "compact": (
        USER + "prompt_compact: [copy]\n",
        r"task.yaml, line 9: prompt_compact must be a text, got \['copy'\]; write task word and "
        r"\{fields\}, or leave it out",
    ),
    "compact_fields": (
        USER + "prompt_compact: 'say {word!r}'\n",
        r"task.yaml, line 9: prompt must be a template of plain field names, got 'word'",
    ),
    "compact_brace": (
        USER + "prompt_compact: 'say {word'\n",
        r"task.yaml, line 9: prompt must be a template with paired braces, got 'say \{word'",
    ),
    "brace": (put(USER, "prompt", "'{a'"), r"line 4: prompt must be a template with paired braces, got '{a'"),
    "scorer": (
        put(USER, "scorer", "lists"),
        r"line 6: scorer must be the name .*'lists'; did you mean 'list'\?",
    ),
    "scorer_form": (
        put(USER, "scorer", "'a b'"),
        r"scorer must be the name of a scorer or module:attribute, got 'a b'",
    ),
    "text_rule": (USER + "text_rule: all\n", r"text_rule must be one of first_eos, whole_canvas, got 'all'"),
    "needs": (
        USER + "needs: [java]\n",
        r"needs must be a list of grammar, bertscore, passed, got \['java'\]",
    ),
    "floor": (USER + "floor: 90\n", r"floor must be a number from 0 to 1, got 90; leave it out"),
    "data_missing": (
        put(USER, "data", "no.jsonl"),
        r"line 8: data must be a file that exists, got 'no.jsonl'; put it",
    ),
    "data_elsewhere": (
        put(USER, "data", "../my.jsonl"),
        r"data must be the name of a .jsonl file .*bare name",
    ),
    "no_source": (without(USER, "data"), r"data must be given where there is no generator, got None; name a"),
    "checksum": (USER + "checksum: abc\n", r"checksum must be 64 hexadecimal digits in quotes, got 'abc'"),
    "checksum_alone": (
        GENERATED + f"checksum: '{'a' * 64}'\n",
        r"checksum must be left out where there is no data file",
    ),
    "no_checksum": (
        GENERATED + "data: my.jsonl\n",
        r"checksum must be given with data of a generator, got None",
    ),
    "seed_alone": (
        USER + "seed: x\n",
        r"line 9: seed must be left out where there is no generator, got 'x'; remove",
    ),
    "no_seed": (without(GENERATED, "seed"), r"seed must be given with a generator, got None; write one"),
    "no_samples": (
        without(GENERATED, "samples"),
        r"samples must be given with a generator, got None; say how",
    ),
    "no_parameters": (
        GENERATED.partition("parameters")[0],
        r"parameters must be given with operation, lengths, got None; waiting_line needs",
    ),
    "nested_unknown": (
        GENERATED + "  length: 3\n",
        r"line 14: parameters.length must be a known key, .*'lengths'\?",
    ),
    "nested_value": (
        put(GENERATED, "lengths", "[1]"),
        r"line 13: parameters.lengths must be a list of .*, got \[1\]",
    ),
    "nested_operation": (
        put(GENERATED, "operation", "swap"),
        r"parameters.operation must be one of copy.*'swap'",
    ),
    "generator": (
        put(GENERATED, "generator", "lines"),
        r"generator must be one of waiting_line.*, got 'lines'; or",
    ),
    "stored": (
        GENERATED + "answers: stored\n",
        r"answers must be derived where there is a generator, got 'stored'",
    ),
    "words_with_generator": (
        GENERATED + "words: 4\n",
        r"words must be left out where there is a generator, got 4; remove it",
    ),
    "no_words": (USER + "words: 0\n", r"words must be a whole number from 1 to 20, got 0; say how many"),
    "letters": (
        put(GENERATED, "generator", "list_ops").partition("parameters")[0]
        + "parameters: {operation: replace_random, n: 26}\n",
        r"line 11: parameters.n must be at most 25, got 26; a letter must be left",
    ),
    "cot_without_generator": (USER + COT, r"cot must be left out where there is no generator"),
    "cot_of_puzzle": (
        put(GENERATED, "generator", "latin_square").partition("parameters")[0] + COT,
        r"cot must be left out, .*; only the generators waiting_line and list_ops write",
    ),
    "cot_of_letters": (
        SHUFFLED + COT,
        r"task.yaml: cot.trace must be given for list_ops, got None; say which numbers the steps are$",
    ),
    "cot_of_a_line": (
        GENERATED + TRACED,
        r"line 18: cot.trace must be left out, got 'draws'; the steps of a waiting line are prose; remove it",
    ),
    "trace": (
        SHUFFLED + COT + "  trace: drawn\n",
        r"line 16: cot.trace must be one of draws, places, got 'drawn'; say which numbers the steps are",
    ),
    "trace_of_one_answer": (
        LETTERS + "parameters: {operation: copy, n: 4}\n" + TRACED,
        r"line 12: cot must be left out, got .*; only shuffle and replace_random choose something; remove it",
    ),
    "trace_of_many": (
        LETTERS + "parameters: {operation: shuffle, n: 8}\n" + TRACED,
        r"line 11: parameters.n must be at most 7 with cot, got 8; all answers are listed; ask for fewer",
    ),
    "cot_compact": (
        SHUFFLED + TRACED + "  prompt_compact: 'say {'\n",
        r"line 17: prompt must be a template with paired braces",
    ),
    "cot_template": (
        GENERATED + COT.replace("x", "'{'"),
        r"line 15: prompt must be a template with paired braces",
    ),
    "positions": (USER + "positions: 3\n", r"positions must be left out, got 3; it is only for infilling"),
    "no_positions": (
        USER + "infilling: true\n",
        r"positions must be given for infilling, got None; count",
    ),
    "infilling": (
        GENERATED + "infilling: true\n",
        r"infilling must be false, got True; .* writes no templates",
    ),
    "yaml": (
        USER + "notes: a: b\n",
        r"task.yaml, line 9: the file must be plain YAML, got 'mapping values .*correct",
    ),
    "object": (
        USER + "notes: !!python/name:os.system\n",
        r"line 9: the file must be plain YAML, got .could not determine",
    ),
    "no_mapping": ("- a\n", r"task.yaml: the file must be a mapping of keys, got no mapping; start it"),
    "empty": ("", r"task.yaml: the file must be a mapping of keys"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_mistake_in_a_file_names_place_key_rule_value_and_cure(write, text, message):
    with pytest.raises(ValueError, match=message):
        read_spec(write(text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"task file must exist, got '.*no.yaml'; check the path"):
        read_spec(tmp_path / "no.yaml")


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "task.yaml").write_bytes(b"id: \xff")
    with pytest.raises(ValueError, match=r"task.yaml: the file must be UTF-8 text, got byte 4; save"):
        read_spec(tmp_path / "task.yaml")


def test_an_empty_data_file_is_refused(write, tmp_path):
    path = write(USER)
    (tmp_path / "my.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"data must be a file with at least one sample, got 'my.jsonl'; write one"
    ):
        read_spec(path)
