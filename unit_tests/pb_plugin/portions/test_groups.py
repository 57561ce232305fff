"""Groups of cells: what one worker decodes in one sweep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.portions.groups import (
    PARTS_PER_WORKER,
    cell_id_of,
    groups,
    label_items,
    model_of,
    total,
)


def cells_of(**options):
    return plan(Options(**{"unmasking": ("random", "threshold"), **options})).cells


def test_groups_are_model_and_task_while_there_are_enough():
    cells = cells_of(task=("copy", "sort", "reverse", "shuffle"), model=("ideal", "llada"))
    labels = groups(cells, 2)
    assert len(set(labels.values())) == 8
    assert all(labels[cell.id] == "|".join(cell.group) for cell in cells)


def test_an_expensive_group_is_cut_into_parts_of_whole_methods_and_these_into_settings():
    cells = cells_of(task=("copy",), unmasking=("random", "confidence"), k=(1, 2, 4, 8))
    assert set(groups(cells, 1).values()) == {"ideal|copy"}
    parts = {}
    for cell_id, label in groups(cells, 2).items():
        parts.setdefault(label, []).append(cell_id.removeprefix("copy-ideal-"))
    one = [["{}-k1"], ["{}-k2"], ["{}-k4", "{}-k8"]]  # with k tokens per forward a cell costs 1/k
    assert list(parts.values()) == [
        [name.format(method) for name in names] for method in ("random", "confidence") for names in one
    ]
    methods = ("random", "confidence", "margin", "entropy")
    two = groups(cells_of(task=("copy", "sort"), unmasking=methods, k=(4, 8)), 2)
    assert sorted(two.values()) == sorted(
        2 * [f"ideal|{task}|{task}-ideal-{method}-k4" for task in ("copy", "sort") for method in methods]
    )


def test_a_run_for_gates_has_groups_of_all_tasks_of_a_setting():
    cells = cells_of(task=("copy", "sort"), unmasking=("random",), k=(1, 8))
    labels = groups(cells, 2, for_gates=True)
    assert labels["copy-ideal-random-k8"] == labels["sort-ideal-random-k8"] == "ideal|-ideal-random-k8"
    assert len(set(labels.values())) == 2
    assert groups(cells, 1, for_gates=True) == groups(cells, 1)


@given(n_workers=st.integers(1, 40), data=st.data())
def test_labels_depend_on_the_set_of_cells_alone_and_keep_model_and_task(n_workers, data):
    cells = data.draw(st.lists(st.sampled_from(CELLS), unique=True))
    labels = groups(cells, n_workers)
    assert groups(list(reversed(cells)), n_workers) == labels
    for cell in cells:
        assert model_of(labels[cell.id]) == cell.model.name
    assert len({(labels[cell.id], cell.group) for cell in cells}) == len(set(labels.values()))
    if n_workers > 1:
        parts = {}
        for cell in cells:
            parts.setdefault(labels[cell.id], []).append(cell)
        most = total(cells) / (n_workers * PARTS_PER_WORKER)
        assert all(len(part) == 1 or total(part) <= most for part in parts.values())


CELLS = cells_of(task=("copy", "sort", "sudoku"), model=("ideal", "llada"))


def test_node_ids_get_the_labels_of_the_selected_cells_and_other_items_go_by_module():
    cells = {cell.id: cell for cell in CELLS}
    chosen = ["copy-ideal-random-k1", "copy-ideal-threshold-0.9"]
    items = [
        *[f"bench_tests/test_waiting_line.py::test_waiting_line[{cell_id}]" for cell_id in chosen],
        "mine.py::test_again[copy-ideal-random-k1]",
        "unit_tests/test_a.py::TestA::test_b[0.5]",
        "unit_tests/test_a.py::test_c",
    ]
    module = "unit_tests/test_a.py"
    assert list(label_items(items, cells, 1).values()) == ["ideal|copy"] * 3 + [module] * 2
    by_method = ["ideal|copy|copy-ideal-random-k1", "ideal|copy|copy-ideal-threshold-0.9"]
    assert list(label_items(items, cells, 2).values()) == [*by_method, by_method[0], module, module]


@pytest.mark.parametrize(
    ("nodeid", "cell_id"),
    [("a.py::t[x-y]", "x-y"), ("a.py::t", ""), ("a[1].py::t", ""), ("a[1].py::t[z]", "z")],
)
def test_the_cell_of_a_node_id_is_in_its_last_brackets(nodeid, cell_id):
    assert cell_id_of(nodeid) == cell_id
