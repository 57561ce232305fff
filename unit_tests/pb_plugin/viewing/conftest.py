"""A run that is going on: its mark and plan are in the store, and as many results as a test decodes."""

import pytest
import torch

from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.begun import Mark
from pb_plugin.records.canonical import canonical_json
from pb_plugin.records.store import Store
from pb_plugin.results.run_file import describe, save
from pb_plugin.running.bench import Bench

torch.set_num_threads(1)


class GoingOn:
    """A run over copy and shuffle at k = 4 and 32, 3 samples each."""

    def __init__(self, store):
        self.store = store
        self.options = Options(
            task=("copy", "shuffle"), unmasking=("random",), k=(4, 32), samples=3, store=store
        )
        self.cells = plan(self.options).cells
        self.bench = Bench(self.options, Store(store))
        self.bench.known.store.prepare()
        self.mark = Mark(store)
        self.run = describe(self.bench.resources, self.cells, missing_tasks=(), notes=())
        self.mark.tell(canonical_json(self.run.to_json()) + "\n")

    def decode(self, task):
        self.bench.decode([cell for cell in self.cells if cell.task == task])

    def end(self):
        save(self.run, self.store)
        self.mark.finish()
        self.bench.close()


@pytest.fixture
def going_on(tmp_path):
    """See `GoingOn`."""
    found = GoingOn(tmp_path / "store")
    yield found
    found.mark.release()
    found.bench.close()
