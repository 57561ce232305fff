"""What is decoded before the scores of a cell are waited for: first what asks tools, then all the rest."""

from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.portions.ahead import ahead_of


def test_tasks_that_ask_tools_come_first_and_the_others_while_these_answer():
    asked = {"task": ("copy", "w2s_easy", "sort", "w2s_hard"), "unmasking": ("random",), "k": (4, 8)}
    cells = plan(Options(model=("ideal", "tiny"), **asked)).cells
    groups = {}
    for cell in cells:
        groups.setdefault(cell.group, []).append(cell)

    def names(cell):
        found = ahead_of(cell, groups.values())
        assert all(group in groups.values() for group in found)
        return [(group[0].model.name, group[0].task) for group in found]

    first = {(cell.model.name, cell.task): cell for cell in cells}
    asking = [("ideal", "w2s_easy"), ("ideal", "w2s_hard")]
    assert names(first["ideal", "copy"]) == asking
    assert names(first["ideal", "w2s_easy"]) == [*asking, ("ideal", "copy"), ("ideal", "sort")]
    assert {model for model, _ in names(first["tiny", "copy"])} <= {"tiny"}
