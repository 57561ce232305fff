"""Fixtures of the decoder tests: one thread, views made by hand, checkpoints with code of their own."""

import pytest

from unit_tests.remote_checkpoint import module_cache, write


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Keep torch to one thread: these tensors are small, and the test workers share the cores."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def make_view():
    """Return a function that builds a `StepView` from rows of confidences; None marks what is not eligible.

    A lazy value called ``margin`` or ``verified`` is a probability, too.
    """
    import torch

    from decoders.state import StepView

    def build(rows, *, tie_order=None, tolerance=0.0, quota=0, **lazy):
        eligible = torch.tensor([[value is not None for value in row] for row in rows])
        scores = torch.tensor([[value or 0.0 for value in row] for row in rows], dtype=torch.float64)
        n_rows, length = scores.shape
        for name in ("margin", "verified"):
            if name in lazy:
                probability = torch.tensor(lazy.pop(name), dtype=torch.float64)
                lazy[f"{name}_log_odds"] = probability.logit().tolist()
        order = torch.arange(length).expand(n_rows, -1) if tie_order is None else torch.tensor(tie_order)
        zeros = torch.zeros(n_rows, dtype=torch.long)
        return StepView(
            tokens=torch.where(eligible, 0, 9),
            eligible=eligible,
            proposals=torch.arange(length).expand(n_rows, -1) + 100,
            log_odds=scores.logit(),
            block_start=zeros,
            block_end=zeros + length,
            step=zeros,
            quota=zeros + quota,
            remaining=eligible.sum(dim=1),
            tie_order=order.double(),
            tie_tolerance=tolerance,
            lazy={name: (lambda value=value: torch.tensor(value)) for name, value in lazy.items()},
        )

    return build


@pytest.fixture
def cache(tmp_path):
    """The folder where transformers keeps its copies of a checkpoint's own code during the test."""
    with module_cache(tmp_path / "modules") as folder:
        yield folder


@pytest.fixture
def place(tmp_path):
    """Where a test writes the checkpoint that it loads."""
    return tmp_path / "checkpoint"


@pytest.fixture
def alarm(place, tmp_path):
    """A checkpoint whose code leaves a file and raises when it is imported, and that file."""
    mark = tmp_path / "it ran"
    first = f"open({str(mark)!r}, 'w').close()\nraise RuntimeError('it ran')\n"
    return write(place, first=first), mark
