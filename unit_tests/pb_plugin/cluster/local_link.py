"""A link whose workers are threads of this process with sessions of their own: everything but Ray."""

from __future__ import annotations

import queue
import threading

from pb_plugin.cluster.link import Event
from pb_plugin.cluster.supervisor import Supervisor


class LocalLink:
    """See `pb_plugin.cluster.link.Link`; ``places`` workers, which `lose` takes away with what they do."""

    def __init__(self, n_places=2):
        self.places = n_places

    def open(self):
        """Begin anew: a test runs twice."""
        self._events, self.supervisors, self.runs = queue.Queue(), {}, []
        self.lost, self.gone = set(), set()
        return "threads"

    def n_places(self):
        return self.places

    def add(self, worker, setup):
        self.supervisors[worker] = Supervisor(worker, setup)
        self._events.put(Event(worker, "ready", place=self.supervisors[worker].hello()))

    def run(self, worker, nodeids, records, ends):
        self.runs.append((worker, nodeids, len(records)))

        def work():
            for batch in self.supervisors[worker].run(nodeids, records, ends):
                self.tell(worker, batch)
            self._put(Event(worker, "through"))

        threading.Thread(target=work, daemon=True).start()

    def finish(self, worker):
        def work():
            self.tell(worker, self.supervisors[worker].finish())
            self._put(Event(worker, "through"))

        threading.Thread(target=work, daemon=True).start()

    def stop(self, worker):
        self.supervisors[worker].stop()

    def tell(self, worker, messages):
        """Let *worker* say something."""
        self._put(Event(worker, "told", messages=messages))

    def _put(self, event):
        if event.worker not in self.lost:
            self._events.put(event)

    def lose(self, worker):
        """Let *worker* be gone with its machine."""
        self.stop(worker)
        self.lost.add(worker)
        self._events.put(Event(worker, "lost", why="its machine is gone"))

    def drop(self, worker):
        self.gone.add(worker)
        if worker in self.supervisors:
            self.supervisors[worker].stop()
            self.supervisors[worker].leave()

    def events(self, timeout):
        try:
            event = self._events.get(timeout=timeout)
        except queue.Empty:
            return []
        return [] if event.worker in self.gone else [event]

    def close(self):
        for worker in self.supervisors:
            self.drop(worker)
