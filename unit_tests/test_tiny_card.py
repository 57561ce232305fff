"""The card of `tiny` in docs/tiny.md: its numbers are what decoding gives, and what was promised holds."""

import json
import re
from xml.etree import ElementTree

import pytest

pytest.importorskip("transformers", reason="network models need the extra models")

import torch

from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.store import Store
from pb_plugin.running.bench import Bench
from task_specs.scoring.lists import RANDOM_OPERATIONS
from unit_tests import tiny_card
from unit_tests.pages import DOCS, README, links, page, text
from unit_tests.tiny_card import GOLDEN, METHODS, MODELS, TASKS, TRAININGS

torch.set_num_threads(1)

CARD = json.loads(GOLDEN.read_text(encoding="utf-8"))
PERCENT = {(row["task"], row["method"]): row for row in CARD["percent"]}
SHIPPED, OTHER_SEED = (json.loads(path.read_text(encoding="utf-8")) for path in TRAININGS)
LEAST = {"sort": 0.75}


def test_every_task_method_and_setting_is_there():
    assert list(PERCENT) == [(task, method) for task in TASKS for method in METHODS]
    for (_, method), row in PERCENT.items():
        assert {len(row[model]) for model in MODELS} == {len(CARD["settings"][method])} == {6}
    assert {row["task"] for row in CARD["choices"]} == set(RANDOM_OPERATIONS)


@pytest.mark.parametrize("card", [SHIPPED, OTHER_SEED], ids=["shipped", "other seed"])
def test_each_training_learns_every_task(card):
    for task in TASKS:
        assert card["accuracy"][task] >= LEAST.get(task, 0.9), task
    assert card["parameters"] <= 4_000_000


def test_two_seeds_agree_within_three_points():
    assert SHIPPED["recipe"]["seed"] != OTHER_SEED["recipe"]["seed"]
    for name in ("steps", "rate"):
        assert SHIPPED["recipe"][name] == OTHER_SEED["recipe"][name]
    for task in TASKS:
        assert abs(SHIPPED["accuracy"][task] - OTHER_SEED["accuracy"][task]) <= 0.03, task


@pytest.fixture(scope="module")
def fastest_run(tmp_path_factory):
    """A run of `tiny` at the fastest setting with nothing decoded yet, and the cell of each task."""
    store = tmp_path_factory.mktemp("fastest")
    asked = Options(store=store, model=("tiny",), task=TASKS, unmasking=("confidence",), k=(32,))
    bench = Bench(asked, Store(store), checked_rows=0)
    yield bench, {cell.task: cell for cell in plan(asked).cells}
    bench.close()


@pytest.mark.parametrize("task", TASKS)
def test_the_committed_score_of_the_fastest_setting_is_what_the_shipped_model_gives(fastest_run, task):
    bench, cells = fastest_run
    bench.decode([cells[task]])
    found = [record.scores["accuracy"] for record in bench.records(cells[task])]
    fastest = CARD["settings"]["confidence"].index("k=32")
    assert 100 * sum(found) / len(found) == pytest.approx(
        PERCENT[task, "confidence"]["tiny"][fastest], abs=1.01
    )


def test_the_card_at_one_token_per_step_is_that_of_the_training():
    for task in TASKS:
        committed = PERCENT[task, "confidence"]["tiny"][0]
        assert committed == pytest.approx(100 * SHIPPED["accuracy"][task], abs=1.01), task


POINT = re.compile(
    r"(?P<task>\w+), (?P<model>\w+)-(?P<method>\w+), (?P<setting>[\w=.]+): (?P<percent>[\d.]+) %"
)
DRAWINGS = {
    "tiny_curves.svg": TASKS,
    "curves.svg": ("copy", "shuffle", "insert_random"),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_shows_the_numbers_of_the_card(name):
    """Each point of `pb plot` says in words what it shows."""
    titles = (
        element.text for element in ElementTree.parse(DOCS / name).iter() if element.tag.endswith("title")
    )
    points = [point.groupdict() for point in map(POINT.match, titles) if point]
    for point in points:
        at = CARD["settings"][point["method"]].index(point["setting"])
        committed = PERCENT[point["task"], point["method"]][point["model"]][at]
        assert float(point["percent"]) == pytest.approx(committed, abs=0.051), point
    drawn = {(p["task"], p["method"], p["model"], p["setting"]) for p in points}
    assert len(drawn) == len(points) == len(DRAWINGS[name]) * len(MODELS) * len(METHODS) * 6
    assert {task for task, *_ in drawn} == set(DRAWINGS[name])


def test_the_drawings_are_shown_with_what_made_them():
    """They hold what `pb plot` draws now: each line has a band."""
    assert "docs/curves.svg" in links(README)
    assert "tiny_curves.svg" in links(page("tiny"))
    made_by = text(page("contributing"))
    assert f"`pb plot STORE docs/curves.svg --tasks {','.join(DRAWINGS['curves.svg'])}`" in made_by
    assert "`pb plot STORE docs/tiny_curves.svg`" in made_by
    for name in DRAWINGS:
        drawing = ElementTree.parse(DOCS / name).getroot()
        bands = [element for element in drawing.iter() if "PolyCollection" in element.get("id", "")]
        assert len(bands) == len(DRAWINGS[name]) * len(MODELS) * len(METHODS)


def percent_at(task, method, setting, model="tiny"):
    return PERCENT[task, method][model][CARD["settings"][method].index(setting)]


def test_what_the_page_says_of_the_curves_is_in_the_card():
    """Written by hand, so each number that it names is looked up."""
    said = " ".join(text(page("tiny")).split())
    certain = ["copy", "reverse", "sort", *(task for task in TASKS if task.endswith("_index"))]
    least = min(min(PERCENT[task, method]["tiny"]) for task in certain for method in METHODS)
    assert f"`tiny` stays at {least:.0f} to 100 at every speed" in said
    assert f"{percent_at('sudoku', 'confidence', 'k=32'):.0f} at 32 tokens per step, by confidence" in said
    random_order = [
        f"{percent_at(task, 'random', 'k=4'):.0f} of {percent_at(task, 'random', 'k=4', 'ideal'):.0f}"
        for task in ("shuffle", "latin_square")
    ]
    assert f"shuffle ({random_order[0]} at k=4) and latin_square ({random_order[1]})" in said
    drops = [
        ideal - tiny
        for task in ("replace_random", "insert_random")
        for tiny, ideal in zip(*(PERCENT[task, "random"][model] for model in MODELS), strict=True)
    ]
    assert f"falls at most {max(drops):.0f} points below the reference on replace_random" in said
    at_once = [
        percent_at(task, method, "k=32")
        for task in ("shuffle", "replace_random", "insert_random", "latin_square")
        for method in METHODS[:3]
    ]
    assert f"falls to between {min(at_once):.0f} and {max(at_once):.0f} at 32 tokens per step" in said
    kept = [percent_at("remove_random", "random", "k=32", model) for model in MODELS]
    assert f"keeps {kept[0]:.0f} of the {kept[1]:.0f} that" in said
    sure = min(percent_at(task, "threshold", "gamma=0.9") for task in TASKS)
    assert f"At gamma = 0.9 every task has {sure:.0f} or more" in said
    confident, chance = (percent_at("latin_square", method, "k=1") for method in ("confidence", "random"))
    assert f"solved by confidence ({confident:.0f}) and not in random order ({chance:.0f})" in said


def test_a_run_of_one_model_makes_no_card(tmp_path):
    asked = Options(store=tmp_path, task=("copy",), unmasking=METHODS, k=(32,), samples=1)
    bench = Bench(asked, Store(tmp_path))
    cells = plan(asked).cells
    bench.decode(cells)
    from pb_plugin.results.run_file import describe, save

    save(describe(bench.resources, cells, missing_tasks=(), notes=()), tmp_path)
    bench.close()
    with pytest.raises(ValueError, match=r"the run must have tiny-confidence, tiny-left_to_right, .*both"):
        tiny_card.numbers(tmp_path)
