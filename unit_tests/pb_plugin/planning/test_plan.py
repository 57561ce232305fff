"""The plan: which cells a run has, in which order and groups, and what it leaves out."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.portions.groups import label_items
from pb_plugin.results.suites import SUITES
from task_specs.catalogue import BENCHMARK_IDS, task_ids
from task_specs.spec import OWN_IDS

ROOT = Path(__file__).resolve().parents[3]

MINE = """
id: {id}
category: {category}
version: 1
prompt: "Say {{word}}."
canvas: {canvas}
scorer: list
score: accuracy
data: mine.jsonl
"""


@pytest.fixture
def yaml_task(tmp_path):
    """Write a task of the user's own and return its path."""

    def write(id="mine", category="my_tasks", canvas=40):
        (tmp_path / "mine.jsonl").write_text("{}\n{}\n")
        path = tmp_path / f"{id}.yaml"
        path.write_text(MINE.format(id=id, category=category, canvas=canvas))
        return str(path)

    return write


def ids(**options):
    return [cell.id for cell in plan(Options(**options)).cells]


def test_the_default_run_is_the_published_grid_on_every_task_that_has_a_spec():
    made = plan(Options())
    settings = 3 * 6 + 6  # random, left_to_right, confidence at six k; threshold at six gamma
    assert len(made.cells) == settings * len(task_ids())
    assert {cell.model.name for cell in made.cells} == {"ideal"}
    assert {cell.asked.k for cell in made.cells if cell.method.takes_k} == {1, 2, 4, 8, 16, 32}
    assert {cell.variant.params for cell in made.cells if not cell.method.takes_k} == {
        (("gamma", gamma),) for gamma in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    }
    assert made.notes == ()


def test_missing_tasks_of_the_benchmark_are_listed_in_a_default_run_only():
    benchmark = [task for names in BENCHMARK_IDS.values() for task in names]
    made = plan(Options())
    assert [spec.id for spec in made.specs] == [task for task in benchmark if task not in made.missing_tasks]
    assert len(made.specs) + len(made.missing_tasks) == 17
    assert plan(Options(task=("copy",))).missing_tasks == ()


def test_list_operations_run_only_when_named():
    assert not any(cell.category == "list_ops" for cell in plan(Options()).cells)
    assert {cell.category for cell in plan(Options(task=("list_copy",))).cells} == {"list_ops"}


def test_a_set_of_tasks_stands_for_its_variants_in_benchmark_order():
    made = plan(Options(task=("shuffle", "waiting_line_n15"), unmasking=("random",), k=(2,)))
    assert {spec.id for spec in made.specs} == {"shuffle", *SUITES["waiting_line_n15"]}
    assert [spec.id for spec in made.specs if spec.is_variant] == list(SUITES["waiting_line_n15"])


def test_ids_of_a_small_plan():
    assert ids(
        model=("llada",), task=("shuffle",), unmasking=("confidence", "threshold:gamma=0.9"), k=(1, 8)
    ) == [
        "shuffle-llada-confidence-k1",
        "shuffle-llada-confidence-k8",
        "shuffle-llada-threshold-0.9",
    ]


def test_cells_go_by_model_task_in_benchmark_order_method_as_given_and_setting(yaml_task):
    made = plan(
        Options(
            model=("llada", "ideal"),
            task=(yaml_task(), "sudoku", "shuffle:n=7", "shuffle", "copy"),
            unmasking=("threshold:gamma=0.9", "margin", "confidence"),
            k=(4, 1),
            temperature=(0.0, 1.0),
        )
    )
    assert list(dict.fromkeys((cell.model.name, cell.task) for cell in made.cells)) == [
        (model, task)
        for model in ("llada", "ideal")
        for task in ("copy", "shuffle_n7", "shuffle", "sudoku", "mine")
    ]
    first = [cell.id for cell in made.cells[:10]]
    assert first == [
        "copy-llada-threshold-0.9",
        "copy-llada-threshold-0.9-t1",
        *[
            f"copy-llada-{method}-k{k}{t}"
            for method in ("margin", "confidence")
            for k in (4, 1)
            for t in ("", "-t1")
        ],
    ]
    assert [cell.position for cell in made.cells] == list(range(len(made.cells)))


def test_a_k_above_the_canvas_is_left_out_and_noted_once():
    made = plan(Options(unmasking=("confidence", "random"), k=(1, 64)))
    at_32 = [spec.id for spec in made.specs if spec.canvas == 32]
    assert {cell.task for cell in made.cells if cell.asked.k == 64} == {s.id for s in made.specs} - set(at_32)
    assert made.notes == (f"k=64: not for {len(at_32)} tasks with canvas 32",)


def test_a_k_above_the_block_or_the_positions_to_fill_is_left_out():
    made = plan(
        Options(task=("copy", "list_copy:n=6"), unmasking=("confidence",), k=(1, 8, 16), block_length=(8,))
    )
    assert [cell.id for cell in made.cells] == [
        "copy-ideal-confidence-k1-b8",
        "copy-ideal-confidence-k8-b8",
        "list_copy_n6-ideal-confidence-k1-b8",
    ]
    assert made.notes == (
        "k=8: not for 1 task with 6 positions to fill",
        "k=16: not for 1 task with block length 8, 1 task with 6 positions to fill",
    )


def test_methods_without_k_have_no_such_limit():
    assert ids(task=("copy",), unmasking=("threshold:gamma=0.9", "random"), k=(32,)) == [
        "copy-ideal-threshold-0.9",
        "copy-ideal-random-k32",
    ]


def test_a_block_that_is_the_canvas_is_no_block():
    assert ids(task=("copy",), unmasking=("confidence",), k=(1,), block_length=(16, 32)) == [
        "copy-ideal-confidence-k1-b16",
        "copy-ideal-confidence-k1",
    ]


def test_a_block_that_does_not_divide_a_canvas_is_noted(yaml_task):
    made = plan(Options(task=("copy", yaml_task()), unmasking=("confidence",), k=(1,), block_length=(16,)))
    assert [cell.task for cell in made.cells] == ["copy"]
    assert made.notes == ("block_length=16: does not divide 1 task with canvas 40",)


def test_samples_above_what_a_task_has_are_noted_and_above_what_every_task_has_refused():
    made = plan(Options(task=("copy", "sudoku"), unmasking=("random",), k=(1,), samples=104))
    assert made.notes == ("samples=104: all of 1 task with 100 samples",)
    with pytest.raises(
        ValueError, match=r"--samples must be at most 108, the most any selected task has, got 109"
    ):
        plan(Options(task=("copy", "sudoku"), samples=109))


def test_categories(yaml_task):
    made = plan(Options(task=("copy", "sudoku", "list_copy", yaml_task()), unmasking=("random",), k=(1,)))
    expected = {"waiting_line": "copy", "puzzles": "sudoku", "list_ops": "list_copy", "other": "mine"}
    assert {name: made.in_category(name)[0].task for name in expected} == expected
    assert all(len(made.in_category(name)) == 1 for name in expected)
    assert made.in_category("text_writing") == ()
    with pytest.raises(
        LookupError, match=r"pb_category must be one of waiting_line, .*, other, got 'puzzle'"
    ):
        made.in_category("puzzle")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"unmasking": ("threshold", "factor"), "k": (2,)},
            ValueError,
            r"--k must come with a method that has k, got threshold, factor; leave --k out or",
        ),
        (
            {"block_length": (24,)},
            ValueError,
            r"--block-length must divide the canvas of at least one task, got 24 for 10 tasks with ",
        ),
        (
            {"task": ("copy",), "unmasking": ("random",), "k": (64,)},
            ValueError,
            r"the selection must have at least one item, got none \(k=64: not for 1 task with ",
        ),
        (
            {"task": ("copy", "copy:canvas=32")},
            ValueError,
            r"ids of items must be unique, got 'copy-ideal-random-k1' for \(task copy of copy, .*drop one",
        ),
        (
            {"model": ("llada=./a", "llada=./b")},
            ValueError,
            r"unique, got 'copy-llada-random-k1' for \(.*model llada=\./a.* and for \(.*model llada=\./b",
        ),
        ({"model": ("lada",)}, LookupError, r"--model must be .*, got 'lada'; did you mean 'llada'\?"),
        ({"model": ("openai:x",)}, ValueError, r"--model must be openai:URL"),
        ({"task": ("shufle",)}, LookupError, r"--task must be .*, got 'shufle'; did you mean 'shuffle'\?"),
        (
            {"unmasking": ("margn",)},
            LookupError,
            r"--unmasking must be .*, got 'margn'; did you mean 'margin'\?",
        ),
        ({"floor": (("copi", 0.9),)}, LookupError, r"--pb-floor must name a task, got 'copi'; known: copy, "),
        ({"floor": (("copy", 0.9), ("copy", 1.0))}, ValueError, r"given once per task, got 'copy' twice"),
    ],
)
def test_an_impossible_selection_says_why(options, error, message):
    with pytest.raises(error, match=message):
        plan(Options(**options))


def test_a_floor_may_name_a_task_that_is_not_selected():
    assert plan(Options(task=("sort",), floor=(("copy", 0.9), ("sort", 1.0)))).cells


@dataclass(frozen=True, kw_only=True)
class OtherThreshold:
    """Another package's method under a name of ours."""

    name: ClassVar[str] = "threshold"
    family: ClassVar[str] = "adaptive"
    takes_k: ClassVar[bool] = False
    sweep: ClassVar = ()
    needs: ClassVar = frozenset()
    may_remask: ClassVar[bool] = False
    may_idle: ClassVar[bool] = False
    gamma: float = 0.9

    def init(self, view): ...

    def step(self, view, memory): ...


def test_two_methods_of_one_name_are_told_apart_in_the_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "acme_plan", sys.modules[__name__])
    with pytest.raises(
        ValueError, match=r"unique, got .*threshold.* of decoders\.unmasking\.threshold.* and for \("
    ):
        plan(Options(task=("copy",), unmasking=("threshold:gamma=0.9", "acme_plan:OtherThreshold:gamma=0.9")))
    assert ids(task=("copy",), unmasking=("acme_plan:OtherThreshold",)) == ["copy-ideal-threshold"]


def test_every_process_makes_the_same_plan():
    code = (
        "import sys\nfrom pb_plugin.planning.options import Options\n"
        "from pb_plugin.portions.groups import groups\n"
        "from pb_plugin.planning.plan import plan\n"
        "made = plan(Options()); print(*groups(made.cells, 8).items())\n"
        "assert not {'torch', 'pytest', 'transformers', 'xdist'} & set(sys.modules), 'not light'"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize(("n_temperatures", "n_cells"), [(3, 2_304), (13, 9_984)])
def test_a_plan_of_thousands_of_cells_takes_well_under_a_second(n_temperatures, n_cells):
    options = Options(
        task=tuple(task for task in OWN_IDS if task in task_ids())[:12],
        unmasking=("random", "confidence"),
        k=tuple(range(1, 33)),
        temperature=tuple(i / 100 for i in range(n_temperatures)),
    )
    start = time.process_time()
    made = plan(options)
    label_items([f"a.py::t[{cell.id}]" for cell in made.cells], {cell.id: cell for cell in made.cells}, 8)
    assert len(made.cells) == n_cells
    assert time.process_time() - start < 1.0


def test_all_items_of_one_server_of_a_table_come_before_those_of_the_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "served.yaml").write_text(
        "servers:\n- {settings: {threshold: 0.9}, url: 'http://h:1'}\n"
        "- {settings: {threshold: 0.95}, start: 'my-server {port}'}\n"
    )
    options = Options(
        model=("m=sglang:served.yaml", "ideal"),
        task=("copy", "sort"),
        unmasking=("native:block_length=4,8", "random"),
        k=(1,),
    )
    cells = plan(options).cells
    walked = [
        (cell.task, cell.asked.method_params.get("threshold")) for cell in cells if cell.model.is_served
    ]
    assert walked == [(task, t) for t in (0.9, 0.95) for task in ("copy", "sort") for _ in range(2)]
    groups = {cell.group for cell in cells if cell.model.is_served}
    assert len(groups) == 4, "a task of one server is a group"
    assert {cell.variant.knobs for cell in cells if cell.model.is_served} == {("threshold", "block_length")}
    assert [cell.asked.method for cell in cells if not cell.model.is_served] == ["random"] * 2


def test_a_parameter_of_the_table_cannot_be_given_twice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "served.yaml").write_text("servers: [{settings: {threshold: 0.9}, url: 'http://h:1'}]\n")
    options = Options(model=("sglang:served.yaml",), unmasking=("native:threshold=0.8",))
    with pytest.raises(
        ValueError, match="must leave threshold to the table of servers, got it in both; remove"
    ):
        plan(options)
