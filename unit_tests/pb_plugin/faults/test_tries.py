"""An item whose worker ends is tried again, until it is to blame or nothing is tried any more."""

import pytest

from pb_plugin.faults.tries import TRIES, Tries


def ended(tries, nodeid, *, begun=True, blames_item=True, is_last=False):
    if begun:
        tries.begun(nodeid)
    return tries.is_over(nodeid, blames_item=blames_item, is_last=is_last)


def test_it_is_given_up_when_so_many_workers_ended_while_they_ran_it():
    tries = Tries()
    assert [ended(tries, "one") for _ in range(TRIES)] == [False] * (TRIES - 1) + [True]
    assert tries.why("one", "worker 'gw2'", "it is gone") == (
        f"{TRIES} workers ended while they ran it, the last was worker 'gw2': it is gone"
    )
    assert not ended(tries, "other"), "each item has its own tries"
    assert ended(tries, "one"), "who runs it again all the same hears so at once"


@pytest.mark.parametrize("known", [{"begun": False}, {"blames_item": False}], ids=["not begun", "at rows"])
def test_an_end_that_is_not_its_fault_costs_no_try(known):
    tries = Tries()
    assert not any(ended(tries, "one", **known) for _ in range(2 * TRIES))
    assert [ended(tries, "one") for _ in range(TRIES)] == [False] * (TRIES - 1) + [True]


def test_that_it_had_begun_on_a_worker_says_nothing_of_the_next():
    tries = Tries()
    tries.begun("one")
    assert not any(ended(tries, "one", begun=False) for _ in range(2 * TRIES))


@pytest.mark.parametrize("known", [{}, {"begun": False}, {"blames_item": False}], ids=str)
def test_after_too_many_ends_nothing_is_tried_again(known):
    tries = Tries()
    assert ended(tries, "one", is_last=True, **known)
    assert tries.why("one", "worker 'gw80'", "it is gone") == (
        "worker 'gw80' ended, and so many have that nothing is tried again: it is gone"
    )
