"""Nothing is sent that could break the budget, also from several threads."""

import threading
import time

import pytest

from decoders.served.client.answer import Answer
from decoders.served.client.budget import CHAT_TOKENS, Spending, cost
from decoders.served.client.failures import AskError
from decoders.served.options import Price, SpendLimits
from unit_tests.decoders.served.scripted import Engine, error, stream

PRICE = Price(input=1.0, output=2.0)


def test_what_an_answer_costs():
    answer = Answer(text="x", finish="stop", prompt_tokens=1000, tokens=500)
    assert cost(answer, PRICE) == pytest.approx(0.002)
    assert cost(answer, None) is None
    assert cost(Answer(text="x", finish="stop", prompt_tokens=1000), PRICE) is None


def test_repeats_count_as_requests_and_the_rest_says_how_to_go_on(ask):
    outcome = ask(Engine([error(500), stream("text")]), 4, limits=SpendLimits(requests=3), concurrency=1)
    failed = {key: str(found.error) for key, found in outcome.found.items() if hasattr(found, "error")}
    assert len(outcome.engine.asked) == 3
    assert set(failed) == {2, 3}
    assert "--pb-budget allows 3 requests, and so many were sent; allow more and run again" in failed[3]


def test_money_needs_a_price(ask):
    outcome = ask(Engine(), limits=SpendLimits(usd=1.0))
    assert "--pb-budget usd must come with a price of this model, got none" in outcome.error
    assert outcome.engine.asked == []


@pytest.mark.parametrize("name", ["served-model", "mine"])
def test_a_price_is_found_by_the_id_or_by_the_name_of_the_run(ask, name):
    decoded = ask(Engine(), limits=SpendLimits(usd=1.0), prices={name: PRICE}).one
    assert decoded.served.details["usd"] == pytest.approx((12 * 1.0 + 5 * 2.0) / 1e6)


def test_money_never_runs_over_whatever_comes_at_once(ask):
    """Each answer costs 22 millionths, but may cost more: what is set aside is freed again."""
    most = ((len(b"question 0") + CHAT_TOKENS) * 1.0 + 32 * 2.0) / 1e6
    limit = most + 3 * 22e-6
    engine = Engine([stream("text", delay=0.01)])
    outcome = ask(engine, 40, limits=SpendLimits(usd=limit), prices={"mine": PRICE}, concurrency=8)
    answered = [found for found in outcome.found.values() if not hasattr(found, "error")]
    assert sum(found.served.details["usd"] for found in answered) <= limit
    assert len(answered) == 4, "as many as there is room for"
    assert engine.most_at_once == 1, "two at once could have cost more than there is"


def test_a_lost_answer_counts_as_the_most_it_could_cost_and_a_refusal_as_nothing():
    spending = Spending(SpendLimits(usd=1.0))

    def fail(may_cost):
        with pytest.raises(AskError), spending.request(1000, 100, PRICE):
            raise AskError(message="no", again=False, may_cost=may_cost)

    fail(may_cost=False)
    assert spending.usd == 0.0
    fail(may_cost=True)
    assert spending.usd == pytest.approx((1000 + CHAT_TOKENS + 200) / 1e6)


def test_who_waits_for_room_goes_on_when_there_is_some():
    spending = Spending(SpendLimits(usd=(CHAT_TOKENS + 100) * 1.5 / 1e6))
    entered = threading.Event()

    def first():
        with spending.request(100, 0, PRICE) as settle:
            entered.set()
            time.sleep(0.1)
            settle.known(0.0)

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait()
    with spending.request(100, 0, PRICE):
        assert not thread.is_alive() or spending.usd == 0.0
    thread.join()
    assert spending.requests == 2
