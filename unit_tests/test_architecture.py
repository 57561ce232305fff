"""The shape of the code: its rooms, who may import whom, how long a module may be, how it begins."""

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ORDER = {
    "pb_plugin": "plugin hookspec controller cli export viewing report analyses cluster workers session "
    "gates comparing results statistics running measuring faults asking portions planning records "
    "pages printable",
    "decoders": "tuning training testing served models unmasking network loading loop theory text protocols "
    "budget rows state traits devices fingerprint checkpoints",
    "task_specs": "reference questions audit sources exported released load choose vocabulary prompt "
    "generate spec scoring spec_schema variants answers sample template document catalogue specs data",
}
"""The first floor of each package, rooms and files; each imports only from what comes later."""

CATALOGUES = {"decoders/unmasking", "decoders/models", "pb_plugin/cli", "task_specs/specs", "task_specs/data"}
"""Folders in which every file is one method, family, verb or task: as long as they need be."""

MOST_FILES = 12
LONGEST = 400
MODULES = sorted(path for package in ORDER for path in (ROOT / package).rglob("*.py"))
FOLDERS = sorted(
    path
    for package in ORDER
    for path in (ROOT / package, *(ROOT / package).rglob("*"))
    if path.is_dir() and path.name != "__pycache__"
)
MAY_NOT_IMPORT = {
    "decoders": {"pb_plugin", "task_specs", "bench_tests", "unit_tests", "pytest"},
    "pb_plugin": {"bench_tests", "unit_tests", "torch", "transformers"},
    "task_specs": {"pb_plugin", "decoders", "bench_tests", "unit_tests", "pytest"},
}
DRAWERS = {"utils.py", "common.py", "helpers.py", "base.py", "misc.py"}
LATE_TORCH_IN_TASK_SPECS = {"task_specs/scoring/bertscore.py"}
"""The one scorer that asks a network loads it inside its load function."""


def name_of(path):
    return path.relative_to(ROOT).as_posix()


every_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


def imported(nodes):
    """Return every module that the import statements among *nodes* name, and what they take from it."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@cache
def nodes_of(path):
    """Return all nodes of the file, which no test changes, its own first."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def everywhere(path):
    return imported(nodes_of(path))


@cache
def on_import(path):
    """Return what importing the module imports: not what functions or ``if TYPE_CHECKING`` hold."""
    waiting, nodes = list(nodes_of(path)[0].body), []
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return imported(nodes)


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


NAMES = {module_of(path) for path in MODULES}


@cache
def of_ours(path):
    """Return the modules of ours that the file imports anywhere, packages only for what they define."""
    found = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if names <= NAMES else {node.module, *names}
    return found & NAMES


def roots(modules):
    return {module.partition(".")[0] for module in modules}


def test_the_rules_see_what_they_forbid(tmp_path):
    module = tmp_path / "module.py"
    module.write_text(
        "from typing import TYPE_CHECKING\nimport os.path\n"
        "if TYPE_CHECKING:\n    import torch\nelse:\n    import json\n"
        "class A:\n    import re\n    def f(self):\n        from decoders.models import llada\n"
    )
    assert roots(on_import(module)) == {"typing", "os", "json", "re"}
    assert everywhere(module) >= {"torch", "decoders.models.llada"}


@every_module
def test_imports_point_downwards(path):
    assert not roots(everywhere(path)) & MAY_NOT_IMPORT[path.relative_to(ROOT).parts[0]]


@every_module
def test_only_the_room_of_servers_knows_their_sdks(path):
    if not path.is_relative_to(ROOT / "decoders" / "served"):
        assert not roots(everywhere(path)) & {"openai", "anthropic", "httpx", "httpx2"}
    assert not roots(on_import(path)) & {"openai", "anthropic", "httpx", "httpx2"}, "imported late"


def test_everything_on_a_first_floor_has_its_place():
    for package, order in ORDER.items():
        found = {path.stem for path in (ROOT / package).iterdir() if path.suffix == ".py" or path in FOLDERS}
        assert sorted(order.split()) == sorted(found - {"__init__"})


def upwards(imports):
    """Return the pairs of a module and what it imports of its own package from above; *imports* by module."""
    found = set()
    for module, others in imports.items():
        package, *below = module.split(".")
        order = ["", *ORDER[package].split()]  # the package with its public names stands above its rooms
        here = order.index(below[0] if below else "")
        for other in others:
            other_package, *other_below = other.split(".")
            if other_package == package and order.index(other_below[0] if other_below else "") < here:
                found.add((module, other))
    return found


def circle(imports):
    """Return a circle among *imports*, modules by module, as text; None if there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return " -> ".join(error.args[1])
    return None


def test_the_rules_of_rooms_see_what_they_forbid(tmp_path):
    assert upwards({"decoders.text.chat": {"decoders.models.tiny", "decoders.state", "task_specs.load"}}) == {
        ("decoders.text.chat", "decoders.models.tiny")
    }
    assert upwards({"decoders.state": {"decoders"}, "decoders": {"decoders.state"}}) == {
        ("decoders.state", "decoders")
    }
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) in ("b -> c -> b", "c -> b -> c")
    assert circle({"a": {"b", "c"}, "b": {"c"}}) is None
    module = tmp_path / "module.py"
    module.write_text(
        "if TYPE_CHECKING:\n    from decoders.models import tiny\n"
        "def f():\n    from decoders import decode, state\n    import task_specs.load\n"
    )
    assert of_ours(module) == {"decoders.models.tiny", "decoders", "decoders.state", "task_specs.load"}


def test_rooms_import_only_from_those_below_them():
    assert upwards({module_of(path): of_ours(path) for path in MODULES}) == set()


def test_no_files_import_each_other_in_a_circle():
    """Nor do they for the sake of types, or late."""
    assert circle({module_of(path): of_ours(path) for path in MODULES}) is None


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_folder_is_one_idea_with_at_most_a_dozen_files(folder):
    files = [path for path in folder.iterdir() if path.is_file() and path.name != "__init__.py"]
    assert len(files) <= MOST_FILES or name_of(folder) in CATALOGUES


@pytest.mark.parametrize("path", [p for p in MODULES if name_of(p).startswith("pb_plugin/")], ids=name_of)
def test_a_run_does_not_import_what_only_training_needs(path):
    """The command that trains imports it in the functions that do so."""
    assert not any(name.startswith(("decoders.training", "task_specs.questions")) for name in on_import(path))


@every_module
def test_a_module_is_short_and_says_what_it_is_for(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST
    assert path.name not in DRAWERS
    purpose = ast.get_docstring(nodes_of(path)[0])
    assert purpose, "a module begins with its purpose"
    assert purpose.splitlines()[0].endswith((".", "?", ":", ",")) or len(purpose.splitlines()) > 1


@pytest.mark.parametrize("path", [p for p in MODULES if name_of(p).startswith("task_specs/")], ids=name_of)
def test_task_specs_are_text_and_import_no_torch(path):
    assert not roots(on_import(path)) & {"torch", "transformers"}
    if name_of(path) not in LATE_TORCH_IN_TASK_SPECS:
        assert not roots(everywhere(path)) & {"torch", "transformers"}


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in MODULES
        if name_of(path).startswith("decoders/unmasking/")
        or name_of(path) in {"decoders/__init__.py", "decoders/state.py", "decoders/protocols.py"}
    ],
    ids=name_of,
)
def test_what_a_plan_names_imports_no_torch(path):
    assert "torch" not in roots(on_import(path))


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if p.parent.parent == ROOT / "decoders" and p.parent.name in {"unmasking", "models"}],
    ids=name_of,
)
def test_methods_and_models_know_neither_the_loop_nor_the_sweep(path):
    assert not everywhere(path) & {
        "decoders.loop.loop",
        "decoders.loop.batching",
        "decoders.loop.slots",
        "decoders.testing",
    }


@pytest.mark.parametrize(
    "path", [p for p in MODULES if name_of(p).startswith("decoders/unmasking/")], ids=name_of
)
def test_methods_know_no_model(path):
    assert not any(module.startswith("decoders.models") for module in everywhere(path))


@pytest.mark.parametrize(
    "path", [p for p in MODULES if name_of(p).startswith("decoders/models/")], ids=name_of
)
def test_a_model_that_is_named_alone_knows_no_other_family(path):
    """What families share has a module of its own, which is no model: it has no ``load``."""
    families = {f"decoders.models.{p.stem}" for p in (ROOT / "decoders" / "models").glob("*.py") if loads(p)}
    others = (everywhere(path) & families) - {f"decoders.models.{path.stem}"}
    assert others <= {f"decoders.models.{name}" for name in VARIANT_OF.get(path.stem, ())}


VARIANT_OF = {
    "apd": ("autoregressive", "dream"),
    "llada21": ("llada2",),
    "sdar_moe": ("sdar",),
    "tiny": ("llada",),
}
"""Models that own their loop over the checkpoints of other families, and one of another's architecture."""


def loads(path):
    return any(isinstance(node, ast.FunctionDef) and node.name == "load" for node in nodes_of(path)[0].body)


def test_code_of_a_checkpoint_has_one_door():
    doors = [
        name_of(path)
        for path in MODULES
        if re.search(r"dynamic_module|trust_remote_code", path.read_text(encoding="utf-8"))
    ]
    assert doors == ["decoders/loading/remote_code.py"]


def test_the_canvas_of_the_loop_has_one_writer():
    """Only the loop replaces a canvas; models that own their loop have their own, and drafts are no rows.

    Slots are padded on the left of their prompts, and cut there (`test_slots.py` says that nothing else is).
    """
    writers = set()
    for path in (p for p in (ROOT / "decoders").rglob("*.py") if p.parent.name != "models"):
        for node in nodes_of(path):
            if isinstance(node, ast.Call) and any(word.arg == "canvas" for word in node.keywords):
                called = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                if called == "replace":
                    writers.add(name_of(path))
    assert writers - {"decoders/loop/branches.py", "decoders/loop/slots.py"} == {"decoders/loop/loop.py"}
