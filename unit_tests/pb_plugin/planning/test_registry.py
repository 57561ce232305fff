"""Names to objects, ours and other packages'."""

import sys

import pytest

from pb_plugin.planning import registry
from pb_plugin.planning.option_grammar import parse_task
from task_specs.catalogue import list_op_ids, task_ids
from task_specs.spec import builtin_spec

ENTRY_POINTS = """
[pb.methods]
slow = acme_pb:Slow
[pb.models]
acme = acme_pb:load
[pb.tasks]
mine = acme_pb:MINE
"""

ACME = """
from pathlib import Path
from task_specs.spec import builtin_spec

class Slow: ...
def load(request): ...
MINE = str(Path(__file__).parent / "mine.yaml")
PATH = Path(MINE)
COPY = builtin_spec("copy", {"n": "3"})
def give(): return COPY
WRONG = 7
"""

MINE = """
id: mine
category: my_tasks
version: 1
prompt: "Say {word}."
canvas: 8
scorer: list
score: accuracy
data: mine.jsonl
"""


@pytest.fixture
def acme(tmp_path, monkeypatch):
    """An installed package of somebody else; returns the function that writes its entry points."""

    def install(entries=ENTRY_POINTS):
        info = tmp_path / "acme_pb-0.1.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-pb\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text(entries)
        (tmp_path / "acme_pb.py").write_text(ACME)
        (tmp_path / "mine.yaml").write_text(MINE)
        (tmp_path / "mine.jsonl").write_text("{}\n{}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "acme_pb", raising=False)
        return tmp_path

    return install


def specs(text):
    return registry.specs_of(parse_task(text), registry.known(registry.TASKS))


@pytest.mark.parametrize("name", registry.BUILTIN[registry.METHODS])
def test_every_method_of_ours_can_be_loaded_and_is_called_by_its_name(name):
    entry = registry.resolve(registry.METHODS, name)
    made = entry if hasattr(entry, "takes_k") else entry()
    assert made.name == name


def test_an_unknown_name_gets_the_nearest_and_all_known_names():
    expected = (
        r"--unmasking must be a known name or package\.module:attribute, got 'confidense'; "
        r"did you mean 'confidence'\? "
        rf"Known: {', '.join(sorted(registry.BUILTIN[registry.METHODS]))}; see docs/methods\.md$"
    )
    with pytest.raises(LookupError, match=expected):
        registry.resolve(registry.METHODS, "confidense")
    expected = r"--model must be .*, got 'zzz'; Known: d3llm-dream, .*, ideal, llada.*; see docs/models\.md$"
    with pytest.raises(LookupError, match=expected):
        registry.resolve(registry.MODELS, "zzz")
    expected = r"--task must be .*'shufle'; did you mean 'shuffle'\? Known: copy, .*; see docs/tasks\.md$"
    with pytest.raises(LookupError, match=expected):
        specs("shufle")


def test_an_installed_package_is_enough(acme):
    folder = acme()
    assert registry.resolve(registry.METHODS, "slow").__name__ == "Slow"
    assert registry.resolve(registry.MODELS, "acme").__name__ == "load"
    assert [(spec.id, spec.n_samples) for spec in specs("mine")] == [("mine", 2)]
    assert registry.known(registry.TASKS)["mine"].value == "acme_pb:MINE"
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            "[pb.methods]\nconfidence = acme_pb:Slow\n",
            r"pb\.methods must have one owner per name, got 'confidence' claimed by "
            r"'decoders\.unmasking\.top_k:confidence' and by 'acme_pb:Slow'; rename or uninstall one",
        ),
        (
            "[pb.tasks]\ncopy = acme_pb:MINE\n",
            r"pb\.tasks must have one owner per name, got 'copy' claimed by this project and by 'acme_pb",
        ),
    ],
    ids=["method", "task"],
)
def test_a_name_claimed_twice_is_an_error(acme, entries, message):
    acme(entries)
    group = entries[1 : entries.index("]")]
    with pytest.raises(ValueError, match=message):
        registry.known(group)


def test_a_reference_needs_no_entry_point(acme):
    acme("")
    assert registry.resolve(registry.METHODS, "acme_pb:Slow").__name__ == "Slow"


@pytest.mark.parametrize("reference", ["no_such_package_here:x", "decoders.unmasking.top_k:absent"])
def test_a_failed_load_raises_and_says_what_failed(reference):
    with pytest.raises(
        LookupError, match=rf"--unmasking must be importable, got '{reference}' .*; install its package"
    ):
        registry.resolve(registry.METHODS, reference)


@pytest.mark.parametrize("name", ["PATH", "MINE"])
def test_a_task_reference_may_give_the_path_of_a_file(acme, name):
    acme("")
    assert specs(f"acme_pb:{name}")[0].id == "mine"


@pytest.mark.parametrize("name", ["COPY", "give"])
def test_a_task_reference_may_give_a_spec_or_a_function_that_returns_one(acme, name):
    acme("")
    assert specs(f"acme_pb:{name}") == (builtin_spec("copy", {"n": 3}),)
    with pytest.raises(ValueError, match=r"must have no parameters, got 'n'; only a YAML file takes them"):
        specs(f"acme_pb:{name}:n=4")


def test_a_task_reference_to_something_else_is_an_error(acme):
    acme("")
    with pytest.raises(
        ValueError, match=r"--task acme_pb:WRONG must give the path of a YAML file, .*, got 7; correct"
    ):
        specs("acme_pb:WRONG")


def test_a_yaml_path_is_a_task(acme):
    assert specs(str(acme("") / "mine.yaml"))[0].category == "my_tasks"
    with pytest.raises(LookupError, match=r"--task: task file must exist, got 'absent\.yaml'"):
        specs("absent.yaml")


def test_parameters_of_a_task_give_one_spec_per_combination():
    assert [spec.id for spec in specs("shuffle:n=7,8")] == ["shuffle_n7", "shuffle_n8"]
    with pytest.raises(
        ValueError, match=r"--task shuffle:n=0: n of task shuffle must be a whole number from "
    ):
        specs("shuffle:n=0")
    with pytest.raises(
        LookupError, match=r"--task shuffle:m=1: parameter of task shuffle must be one of n, "
    ):
        specs("shuffle:m=1")


def test_a_task_of_the_benchmark_without_a_spec_says_so():
    missing = [task for task in ("paraphrasing", "w2s_hard") if task not in task_ids()]
    for task in missing:
        with pytest.raises(
            LookupError, match=rf"--task {task}: task must be one that has a spec, got '{task}'"
        ):
            specs(task)


def test_all_tasks_of_ours_have_a_spec():
    assert [specs(task)[0].id for task in (*task_ids(), *list_op_ids())] == [*task_ids(), *list_op_ids()]
