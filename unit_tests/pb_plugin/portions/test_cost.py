"""What a cell costs: a closed form of what is asked."""

from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.portions.cost import LONG, cost_of, estimate, forwards_of


def cost(**options):
    (cell,) = plan(Options(task=("copy",), **options)).cells
    return cost_of(cell), cell.asked.canvas, cell.spec.n_samples


def test_it_is_samples_times_forwards_times_positions():
    found, canvas, n_samples = cost(unmasking=("random",), k=(3,))
    assert found == n_samples * -(-canvas // 3) * canvas
    assert cost(unmasking=("random",), k=(3,), samples=2)[0] == 2 * -(-canvas // 3) * canvas
    assert cost(unmasking=("random",), k=(3,), samples=n_samples)[0] == found


def test_each_block_rounds_its_forwards_up_and_a_method_without_k_is_taken_to_commit_four():
    found, canvas, n_samples = cost(unmasking=("random",), k=(3,), block_length=(4,))
    assert found == n_samples * canvas // 4 * 2 * canvas
    assert cost(unmasking=("threshold:gamma=0.9",))[0] == n_samples * canvas // 4 * canvas


def test_a_long_run_is_told_in_forwards_and_what_of_them_is_a_guess():
    known = plan(Options(task=("copy",), unmasking=("random",), k=(1,))).cells
    guessed = plan(Options(task=("copy",), unmasking=("threshold:gamma=0.9",))).cells
    assert forwards_of(known[0]) == known[0].spec.n_samples * known[0].asked.canvas
    assert estimate(known) is None
    many = -(-LONG // forwards_of(known[0]))
    assert estimate(known * many) == f"about {many * forwards_of(known[0]):,} forwards of single canvases"
    both = estimate([*known * many, *guessed])
    assert both == (
        f"about {many * forwards_of(known[0]) + forwards_of(guessed[0]):,} forwards of single canvases, "
        f"{forwards_of(guessed[0]):,} of them at 4 tokens per step, as k does not fix them"
    )
