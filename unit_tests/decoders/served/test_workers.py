"""Threads give results as they come, tell what went wrong, and stop where nobody listens."""

import threading

import pytest

from decoders.served.workers import Workers

pytestmark = pytest.mark.timeout(20)


def test_every_result_comes_once_and_what_is_done_first_comes_first():
    slow = threading.Event()

    def work(item):
        if item == 0:
            assert slow.wait(10)
        elif item == 3:
            slow.set()
        return item

    found = list(Workers(work).results(range(4), n_threads=2))
    assert sorted(found) == [0, 1, 2, 3]
    assert found[-1] == 0


def test_what_a_thread_raises_is_raised_where_results_are_taken():
    workers = Workers(lambda item: 1 // item)
    with pytest.raises(ZeroDivisionError):
        list(workers.results([0], n_threads=1))
    assert workers.stopping.is_set()


def test_who_stops_listening_stops_the_work():
    done = []
    workers = Workers(lambda item: done.append(item) or workers.stopping.wait(0.05))
    results = workers.results(range(100), n_threads=1)
    next(results)
    results.close()
    assert len(done) < 10
