"""The pages name everything that exists, nothing that does not, and their tables are those of the code."""

import re
import tomllib
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from math import factorial

import pytest

from decoders.text.frequencies import TokenCounts
from pb_plugin.cli import main
from pb_plugin.cli.browse import answer_count
from pb_plugin.gates.grammar import parse_gate
from pb_plugin.pages import PAGES as MESSAGE_PAGES
from pb_plugin.planning.methods import variants_of
from pb_plugin.planning.option_grammar import parse_method
from pb_plugin.planning.options import TABLE, Options
from pb_plugin.planning.plan import DEFAULT_KS, plan
from pb_plugin.planning.registry import BUILTIN, GENERATORS, METHODS, MODELS, OPTIONS, known
from pb_plugin.records.record import DECODE_PARTS, PAIR_PARTS, SCHEMA
from pb_plugin.results.suites import SUITES
from task_specs.catalogue import list_op_ids, task_ids
from task_specs.load import load_samples
from task_specs.spec import builtin_spec
from unit_tests import page_tables
from unit_tests.pages import (
    DOCS,
    PAGES,
    README,
    ROOT,
    anchors,
    blocks,
    commands,
    first_column,
    links,
    marked_tables,
    page,
    rows_of,
    sections,
    text,
    with_tables,
)

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PYPROJECT["project"]["optional-dependencies"]

TABLES = cache(page_tables.tables)

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
"""The names this project uses for its notions; every one is explained in the glossary."""


every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


def table_of(name):
    """Return the cells behind the first one of every row, by the first one, of a page's first table."""
    return {row[0].strip("`"): row[1:] for row in rows_of(text(page(name)))}


def words_table():
    return {
        term.strip("` "): meaning
        for cell, meaning in rows_of(text(page("glossary")))
        for term in cell.split(",")
    }


@pytest.mark.parametrize("name", sorted(marked_tables()))
def test_a_generated_table_is_what_its_source_says(name):
    """Renewed by ``python -m unit_tests.page_tables --write``."""
    assert marked_tables()[name] == TABLES()[name]


def test_every_generated_table_is_marked_and_writing_again_changes_nothing():
    assert marked_tables().keys() == TABLES().keys()
    for path in PAGES:
        assert with_tables(text(path), TABLES()) == text(path)


def test_the_loophole_table_shows_or_names_every_output():
    shown = marked_tables()["loopholes"]
    assert first_column(shown) == list(SUITES["core"])
    outputs = {row["output"] for row in page_tables.golden("loopholes.json")}
    assert all(output in shown for output in outputs)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.field)
def test_every_option_and_its_key_are_in_the_table(row):
    option = f"{row.flag} {row.metavar or ''}".strip().replace("|", "\\|")
    assert f"| `{option}` | `{row.ini}` |" in text()


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
    table = table_of("methods")
    assert list(table) == list(BUILTIN[METHODS])
    for name, (_, _, family, _, _, nfe, remasks) in table.items():
        method = default_variants(name)[0].method
        assert family == method.family, name
        assert remasks == ("yes" if method.may_remask else "no"), name
        assert (nfe.startswith("m / k")) == method.takes_k, name


@pytest.mark.parametrize("name", list(BUILTIN[METHODS]))
def test_the_default_sweep_of_a_method_is_written_down(name, default_variants):
    sweep = table_of("methods")[name][1]
    variants = default_variants(name)
    blocks = getattr(variants[0].method, "blocks", ())
    if blocks:
        assert sweep == f"block_length = {', '.join(map(str, blocks))}"
    elif variants[0].method.takes_k:
        written = f"k = {', '.join(map(str, DEFAULT_KS))}"
        assert sweep in ("k", written)
        assert table_of("methods")["random"][1] == written
    else:
        ((parameter, _),) = variants[0].params
        assert sweep == f"{parameter} = {', '.join(str(variant.params[0][1]) for variant in variants)}"


def test_the_models_are_those_of_the_registry():
    """With the hub id that each fetches, and the trained block where the code knows it."""
    rows = {names: cells for names, cells in table_of("models").items() if names != "ideal"}
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
    table = table_of("tasks")
    listed = [task.split(" ")[0] for cells in table.values() for task in cells[0].split(", ")]
    assert listed == [*SUITES["all"], *list_op_ids()]
    for category, (tasks, samples, canvas) in table.items():
        for task in {name.split(" ")[0] for name in tasks.split(", ")} & {*task_ids(), *list_op_ids()}:
            spec = builtin_spec(task)
            assert spec.category == category
            assert str(spec.n_samples) in re.findall(r"\d+", samples), task
            assert str(spec.canvas) == canvas, task


def test_the_numbers_of_right_answers_are_those_of_the_samples():
    tables = text(page("tasks")).partition("What they ask")[2]
    asked = {row[0]: row[2] for row in rows_of(tables)}
    assert list(asked) == [*SUITES["core"], *list_op_ids()]
    for task, formula in asked.items():
        for sample in load_samples(builtin_spec(task))[::25]:
            n = sample.length
            counts = {
                "1": 1,
                "n": n,
                "n + 1": n + 1,
                "n!": factorial(n),
                "n! - 1": factorial(n) - 1,
                "576": 576,
            }
            assert answer_count(sample.answers) == counts[formula], (task, sample.id)


def test_the_counts_of_tasks_and_settings_are_those_of_the_default_run():
    written = re.search(r"decodes the (\d+) tasks with exact answers under (\d+) settings", text())
    cells = plan(Options()).cells
    assert written.groups() == (
        str(len(SUITES["core"])),
        str(sum(cell.task == SUITES["core"][0] for cell in cells)),
    )
    assert set(SUITES["core"]) <= {cell.task for cell in cells}
    assert f"the {len(BUILTIN[METHODS])} methods" in text(README)
    assert f"`all` is the {len(SUITES['all'])} tasks" in text()
    assert f"`core` the {len(SUITES['core'])} with" in text()


def test_every_extra_is_explained_and_those_that_are_installed_exist():
    assert set(first_column(sections(README)["Install"])) == set(EXTRAS)
    asked = re.findall(r'pip install -e "\.\[([\w,]+)\]"', text())
    assert {extra for names in asked for extra in names.split(",")} == {"all", "text", "test"}


def test_the_extra_all_holds_what_it_says():
    (inner,) = EXTRAS["all"]
    assert inner == "parallelbench-pytest[models,parallel,timing,report]"
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


@every_page
def test_every_link_leads_to_a_file_and_a_heading(path):
    for target in links(path):
        name, _, anchor = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert found.is_file(), f"{path.name} links to {target}"
        assert found.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(found), f"{path.name} links to {target}"


def test_the_readme_links_to_every_page_and_every_page_has_one_subject():
    linked = {(ROOT / target).resolve() for target in first_targets(sections(README)["Where to read on"])}
    assert linked == set(PAGES) - {README}
    for path in PAGES:
        assert re.findall(r"^# .+$", text(path), re.MULTILINE)[:1] == [text(path).splitlines()[0]]


def first_targets(table):
    """Return where the link in the first cell of every row of a table leads."""
    return [re.search(r"\(([^)]+)\)", row[0])[1] for row in rows_of(table)]


def test_every_picture_is_shown_and_the_readme_is_short():
    pictures = {path.name for path in DOCS.glob("*.svg")}
    assert {target.rpartition("/")[2] for path in PAGES for target in links(path)} >= pictures
    assert len(text(README).splitlines()) <= 160


@every_page
def test_every_path_and_module_in_the_text_exists(path):
    places = r"`((?:pb_plugin|decoders|task_specs|bench_tests|unit_tests|docs|\.ci)/[\w./]+)`"
    assert [name for name in re.findall(places, text(path)) if not (ROOT / name).exists()] == []
    modules = set(re.findall(r"python -m ((?!pytest)[\w.]+)", text(path))) | {
        match.rpartition(".")[0] if "_" in match.rpartition(".")[2] else match
        for match in re.findall(r"`(decoders\.[\w.]+)(?:\([^`]*\))?`", text(path))
    }
    assert [module for module in modules if find_spec(module) is None] == []


def test_the_way_of_the_data_goes_through_every_room_of_the_plugin_but_the_console():
    """A room that no step names is one a reader does not find."""
    named = set(re.findall(r"`pb_plugin/(\w+)/", sections(page("architecture"))["The way of the data"]))
    rooms = {path.parent.name for path in (ROOT / "pb_plugin").glob("*/__init__.py")}
    assert rooms - named == {"cli"}


def test_the_parts_of_the_keys_are_those_of_a_record():
    parts = {
        row[0].strip("`"): row[2] for row in rows_of(sections(page("architecture"))["What is in which key"])
    }
    assert parts.keys() == set(DECODE_PARTS)
    assert {name for name, paired in parts.items() if paired == "yes"} == set(PAIR_PARTS)
    assert set(parts.values()) == {"yes", "no"}


def test_the_schema_of_records_is_that_of_the_code():
    assert f"(now {SCHEMA})" in text(page("records"))


def test_the_changelog_begins_with_what_is_not_released_and_has_this_version():
    versions = [heading.partition(",")[0] for heading in list(sections(page("changelog")))[1:]]
    as_numbers = [tuple(map(int, version.split("."))) for version in versions]
    assert as_numbers == sorted(as_numbers, reverse=True)
    assert PYPROJECT["project"]["version"] in versions


def test_pages_and_examples_are_in_the_source_distribution():
    included = PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert {"README.md", "docs"} <= set(included)


def test_the_pages_that_messages_name_are_there():
    assert {(ROOT / name) for name in MESSAGE_PAGES.values()} <= set(PAGES)


def test_the_entry_points_are_in_groups_that_are_read():
    (points,) = [tomllib.loads(block) for block in blocks("toml") if "entry-points" in block]
    assert points["project"]["entry-points"].keys() == OPTIONS.keys()
