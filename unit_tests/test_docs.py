"""README.md names everything that exists, nothing that does not, and its tables are those of the code."""

import re
import tomllib
from importlib import import_module
from importlib.util import find_spec

import pytest

from decoders.text.frequencies import TokenCounts
from pb_plugin.cli import main
from pb_plugin.gates.gate import parse_gate
from pb_plugin.planning.methods import variants_of
from pb_plugin.planning.option_grammar import parse_method
from pb_plugin.planning.options import TABLE, Options
from pb_plugin.planning.plan import DEFAULT_KS, plan
from pb_plugin.planning.registry import BUILTIN, GENERATORS, METHODS, MODELS, OPTIONS, known
from pb_plugin.results.suites import SUITES
from task_specs.catalogue import list_op_ids, task_ids
from task_specs.spec import builtin_spec
from unit_tests import readme_tables
from unit_tests.readme_text import (
    ROOT,
    blocks,
    commands,
    first_column,
    marked_tables,
    sections,
    text,
    with_tables,
)

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PYPROJECT["project"]["optional-dependencies"]

GLOSSARY = (
    "canvas",
    "denoiser",
    "model",
    "gen_length",
    "block",
    "block_length",
    "step",
    "max_steps",
    "steps_per_block",
    "mask_id",
    "masked",
    "visible",
    "unmask",
    "remask",
    "confidence",
    "unmasking method",
    "temperature",
    "NFE",
    "nfe",
    "nfe_other",
    "evaluated_positions",
    "canvas_tokens",
    "to_eos_tokens",
    "content_tokens",
    "tokens_per_step",
    "TPS",
    "tokens_per_second",
    "reference",
    "score",
    "accuracy_strict",
    "cell",
    "record",
    "summary",
    "suite",
    "PBx",
)
"""The names this project uses for its notions; every one is explained in "Words"."""


def rows_of(section):
    """Return the cells of every row of the first table of a section, by the first cell."""
    lines = [line for line in sections()[section].splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells}


def words_table():
    return {
        term.strip("` "): meaning for cell, (meaning,) in rows_of("Words").items() for term in cell.split(",")
    }


@pytest.mark.parametrize("name", sorted(readme_tables.tables()))
def test_a_generated_table_is_what_its_source_says(name):
    """Renewed by ``python -m unit_tests.readme_tables --write``."""
    assert marked_tables()[name] == readme_tables.tables()[name]


def test_every_generated_table_is_marked_and_writing_again_changes_nothing():
    assert marked_tables().keys() == readme_tables.tables().keys()
    assert with_tables(text(), readme_tables.tables()) == text()


def test_the_loophole_table_shows_or_names_every_output():
    shown = marked_tables()["loopholes"]
    assert first_column(shown) == list(SUITES["core"])
    outputs = {row["output"] for row in readme_tables.golden("loopholes.json")}
    assert all(output in shown for output in outputs)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.field)
def test_every_option_and_its_key_are_in_the_table(row):
    assert f"| `{row.flag}{f' {row.metavar}' if row.metavar else ''}` | `{row.ini}` |" in text()


def test_every_option_of_ours_that_is_mentioned_exists():
    own = {row.flag for row in TABLE}
    assert set(re.findall(r"--pb-[a-z-]+", text())) <= own
    assert {row.ini for row in TABLE} >= set(
        re.findall(r"^(pb_\w+) =", "\n".join(blocks("toml")), re.MULTILINE)
    )


@pytest.fixture
def default_variants(tmp_path):
    """Return a function that gives the default sweep of a method, with a table for the one that needs it."""
    table = tmp_path / "counts.json"
    TokenCounts(total=1, counts={2: 1}).write(table)
    given = {"pc_sampler": f"pc_sampler:table={table}"}
    return lambda name: variants_of(parse_method(given.get(name, name)), known(METHODS))


def test_the_methods_are_those_of_the_registry_with_their_family_and_whether_they_mask_again(
    default_variants,
):
    table = rows_of("Unmasking methods")
    assert list(table) == list(BUILTIN[METHODS])
    for name, (_, _, family, _, _, nfe, remasks) in table.items():
        method = default_variants(name)[0].method
        assert family == method.family, name
        assert remasks == ("yes" if method.may_remask else "no"), name
        assert (nfe.startswith("m / k")) == method.takes_k, name


@pytest.mark.parametrize("name", list(BUILTIN[METHODS]))
def test_the_default_sweep_of_a_method_is_written_down(name, default_variants):
    sweep = rows_of("Unmasking methods")[name][1]
    variants = default_variants(name)
    blocks = getattr(variants[0].method, "blocks", ())
    if blocks:
        assert sweep == f"block_length = {', '.join(map(str, blocks))}"
    elif variants[0].method.takes_k:
        written = f"k = {', '.join(map(str, DEFAULT_KS))}"
        assert sweep in ("k", written)
        assert rows_of("Unmasking methods")["random"][1] == written
    else:
        ((parameter, _),) = variants[0].params
        assert sweep == f"{parameter} = {', '.join(str(variant.params[0][1]) for variant in variants)}"


def test_the_models_are_those_of_the_registry():
    """With the hub id that each fetches, and the trained block where the code knows it."""
    rows = {names: cells for names, cells in rows_of("Models").items() if names != "ideal"}
    listed = [name for names in rows for name in names.split(", ")]
    assert ["ideal", *listed] == [*BUILTIN[MODELS], *BUILTIN[GENERATORS]]
    for names, (checkpoints, _, block, _) in rows.items():
        for name in names.split(", "):
            reference = {**BUILTIN[MODELS], **BUILTIN[GENERATORS]}[name]
            module = import_module(reference.partition(":")[0])
            preset = module.PRESETS.get(name)
            assert preset is None or preset.hub_id in checkpoints or "as `sedd`" in checkpoints, name
            assert block == str(getattr(module, "BLOCK_LENGTH", block)), name


def test_the_tasks_are_those_of_the_catalogue_with_samples_and_canvas():
    table = rows_of("Tasks")
    listed = [task.split(" ")[0] for cells in table.values() for task in cells[0].split(", ")]
    assert listed == [*SUITES["all"], *list_op_ids()]
    for category, (tasks, samples, canvas) in table.items():
        for task in {name.split(" ")[0] for name in tasks.split(", ")} & {*task_ids(), *list_op_ids()}:
            spec = builtin_spec(task)
            assert spec.category == category
            assert str(spec.n_samples) in re.findall(r"\d+", samples), task
            assert str(spec.canvas) == canvas, task


def test_the_counts_of_tasks_and_settings_are_those_of_the_default_run():
    written = re.search(r"decodes the (\d+) tasks with exact answers under (\d+) settings", text())
    cells = plan(Options()).cells
    assert written.groups() == (
        str(len(SUITES["core"])),
        str(sum(cell.task == SUITES["core"][0] for cell in cells)),
    )
    assert set(SUITES["core"]) <= {cell.task for cell in cells}
    assert f"`all` is the {len(SUITES['all'])} tasks" in text()
    assert f"`core` the {len(SUITES['core'])} with" in text()


def test_every_extra_is_explained_and_those_that_are_installed_exist():
    assert set(first_column(sections()["ParallelBench for pytest"])) == set(EXTRAS)
    asked = re.findall(r'pip install -e "\.\[([\w,]+)\]"', text())
    assert {extra for names in asked for extra in names.split(",")} == {"all", "test"}


def test_the_extra_all_holds_what_it_says():
    (inner,) = EXTRAS["all"]
    assert inner == "parallelbench-pytest[models,parallel,timing]"
    assert any("[all" in requirement for requirement in EXTRAS["test"])


def test_every_console_command_has_an_example(capsys):
    main([])
    listed = re.findall(r"^    (\w+) ", capsys.readouterr().out, re.MULTILINE)
    assert listed
    assert set(listed) <= {words[1] for words in commands("pb")}


@pytest.mark.parametrize("term", GLOSSARY)
def test_a_term_of_the_project_is_explained(term):
    assert len(words_table()[term]) > 20


def test_only_words_that_the_code_uses_are_explained():
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for package in ("pb_plugin", "decoders", "task_specs")
        for path in sorted((ROOT / package).rglob("*.py"))
    )
    unused = [term for term in words_table() if not re.search(rf"\b{term}\b", code, re.IGNORECASE)]
    assert unused == []


def test_every_gate_in_the_text_can_be_read():
    gates = re.findall(r"`([\w:()]*(?:PB\d+[\w()]*|score@[\w.=]+)[<>]=?[\d.]+)`", text())
    gates += [words[words.index("--pb-gate") + 1] for words in commands("pytest") if "--pb-gate" in words]
    assert len(gates) >= 5
    for gate in gates:
        parse_gate(gate)


def test_every_path_module_and_link_in_the_text_exists():
    paths = re.findall(r"`((?:pb_plugin|decoders|task_specs|bench_tests|\.ci)/[\w./]+)`", text())
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    modules = set(re.findall(r"python -m ([\w.]+)", text())) | {
        match.rpartition(".")[0] for match in re.findall(r"`(decoders\.[\w.]+)(?:\([^`]*\))?`", text())
    }
    assert {"task_specs.audit.loopholes", "decoders.testing"} <= modules
    assert [module for module in modules if find_spec(module) is None] == []
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in sections()}
    assert {link for link in re.findall(r"\]\(#([\w-]+)\)", text())} <= anchors


def test_the_entry_points_are_in_groups_that_are_read():
    (points,) = [tomllib.loads(block) for block in blocks("toml") if "entry-points" in block]
    assert points["project"]["entry-points"].keys() == OPTIONS.keys()
