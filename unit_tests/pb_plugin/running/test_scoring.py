"""Scores in the background: order kept, decoding never waits, an error of a tool comes out as it is."""

import threading
import time
from types import SimpleNamespace

import pytest

from pb_plugin.asking.samples import ScorerFailed
from pb_plugin.faults.alarm import Alarm
from pb_plugin.faults.background import Background
from pb_plugin.records.score_key import ScoreKey
from pb_plugin.running import scoring as module
from pb_plugin.running.scoring import Scoring, Unscored
from task_specs.scoring import Scored

PATIENCE_S = 30.0


class Data:
    """A task whose score is 1 where the tool says so; a text of ``bad`` breaks its scorer."""

    score_key = ScoreKey(scorer="scorer", version="1", text_rule="first_eos")

    def __init__(self, needs=("grammar",)):
        self.spec = SimpleNamespace(needs=needs)

    def judged(self, text):
        return text

    def scored(self, text, sample, measured):
        if text == "bad":
            raise ScorerFailed("scorer s raised KeyError: 'x'")
        return Scored(values={"grammar": float(measured.get("grammar", 1.0))})


class FakeTools:
    """Says 0 of texts with an x; waits for *gate* before each batch."""

    def __init__(self, gate=None, error=None):
        self.gate, self.error, self.batches, self.stops = gate, error, [], []

    def key(self, needs):
        return "/grammar=fake:1"

    def measure(self, needs, asked, stop):
        self.batches.append([text for text, _ in asked])
        self.stops.append(stop)
        if self.gate is not None:
            assert self.gate.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error
        return [{"grammar": float("x" not in text)} for text, _ in asked]


@pytest.fixture
def decoded(make_record):
    def make(text, number=0):
        record = make_record(parts={"sample_id": f"s{number:03d}"}, text=text)
        record = record.with_result(scores={}, score_reasons={}, score_key="")
        return Unscored(record=record, sample=None)

    return make


def test_records_come_back_in_order_with_scores_and_key(decoded):
    texts = ["x" * (number % 3) or "ok" for number in range(2 * module.CHUNK + 5)]
    with Scoring(Data(), FakeTools()) as scoring:
        for number, text in enumerate(texts):
            scoring.add(decoded(text, number))
        done = [*scoring.ready(), *scoring.rest()]
    assert [record.text for record in done] == texts
    assert [record.scores["grammar"] for record in done] == [float("x" not in text) for text in texts]
    assert {record.score_key for record in done} == {"scorer@1/first_eos/grammar=fake:1"}
    assert [record.parts["sample_id"] for record in done] == [f"s{n:03d}" for n in range(len(texts))]


def test_batches_are_full_and_the_last_one_is_sent_by_rest(decoded):
    tools = FakeTools()
    with Scoring(Data(), tools) as scoring:
        for number in range(module.CHUNK + 1):
            scoring.add(decoded("a", number))
        list(scoring.rest())
    assert [len(batch) for batch in tools.batches] == [module.CHUNK, 1]


def test_ready_never_waits(decoded):
    gate = threading.Event()
    with Scoring(Data(), FakeTools(gate)) as scoring:
        for number in range(module.CHUNK):
            scoring.add(decoded("a", number))
        assert list(scoring.ready()) == []
        gate.set()
        assert len(list(scoring.rest())) == module.CHUNK


def test_what_a_tool_raises_comes_out_as_it_is(decoded):
    tools = FakeTools(error=ValueError("--pb-grammar: LanguageTool did not start: no Java"))
    scoring = Scoring(Data(), tools)
    scoring.add(decoded("a"))
    with pytest.raises(ValueError, match=r"^--pb-grammar: LanguageTool did not start: no Java$"), scoring:
        list(scoring.rest())


def test_leaving_by_an_exception_stops_the_tools_and_drops_what_waits(decoded):
    gate, tools = threading.Event(), None
    tools = FakeTools(gate)

    def interrupt():
        with Scoring(Data(), tools) as scoring:
            for number in range(3 * module.CHUNK):
                scoring.add(decoded("a", number))
            threading.Timer(0.1, gate.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert len(tools.batches) <= 1, "batches that were not begun are dropped"
    assert all(stop.is_set() for stop in tools.stops), "the one that was begun asks nothing more"


def test_leaving_without_one_lets_the_tools_be(decoded):
    tools = FakeTools()
    with Scoring(Data(), tools) as scoring:
        scoring.add(decoded("a"))
        list(scoring.rest())
    assert not tools.stops[0].is_set()


def test_a_scorer_error_costs_one_sample(decoded):
    with Scoring(Data(), FakeTools()) as scoring:
        for number, text in enumerate(["a", "bad", "x"]):
            scoring.add(decoded(text, number))
        good, bad, wrong = scoring.rest()
    assert (good.scores, wrong.scores) == ({"grammar": 1.0}, {"grammar": 0.0})
    assert bad.error == {"class": "scorer_error", "message": "scorer s raised KeyError: 'x'"}
    assert (bad.scores, bad.score_key) == ({}, good.score_key)


def test_a_result_is_stored_before_tools_are_asked_and_at_once_where_none_is(decoded):
    tools, fresh = FakeTools(), decoded("a")
    with Scoring(Data(), tools) as scoring:
        assert scoring.begin(fresh) == (fresh.record,)
        (later,) = scoring.rest()
    assert later.scores == {"grammar": 1.0}
    with Scoring(Data(needs=()), tools) as scoring:
        (scored,) = scoring.begin(fresh)
        assert scored.scores == {"grammar": 1.0}
        assert list(scoring.rest()) == []
    assert len(tools.batches) == 1


def test_a_result_survives_a_broken_scorer(decoded):
    bad = decoded("bad")
    with Scoring(Data(needs=()), FakeTools()) as scoring:
        result, failure = scoring.begin(bad)
    assert result == bad.record
    assert failure.failed


@pytest.fixture
def watched():
    """Whatever takes longer than a fifth of a second is ended."""
    alarm = Alarm(lambda: None)
    yield lambda: alarm.limit(0.2)
    alarm.close()


def test_a_scorer_that_hangs_fails_its_sample_and_no_other(decoded, watched):
    class Hangs(Data):
        def scored(self, text, sample, measured):
            if text == "hangs":
                time.sleep(PATIENCE_S)
            return super().scored(text, sample, measured)

    data = Hangs(needs=())
    data.spec.scorer = "s"
    with Scoring(data, FakeTools(), watched) as scoring:
        (kept, failed), (fine,) = (scoring.begin(decoded(text)) for text in ("hangs", "ok"))
    assert kept.text == "hangs", "it need not be decoded again"
    assert failed.error == {
        "class": "timeout",
        "message": "scorer s was not back within 0.2 s; see --pb-timeout",
    }
    assert fine.scores == {"grammar": 1.0}


def test_a_tool_that_hangs_is_waited_for_once_and_never_again_not_even_at_the_end(decoded, watched):
    class Says(Data):
        def scored(self, text, sample, measured):
            reason = measured["grammar"].get("reason")
            return Scored(values={"grammar": None}, reasons={"grammar": reason})

    gate = threading.Event()
    began = time.monotonic()
    with Scoring(Says(), FakeTools(gate), watched) as scoring:
        for number in range(3 * module.CHUNK):
            scoring.add(decoded("ok", number))
        records = list(scoring.rest())
    assert time.monotonic() - began < PATIENCE_S
    gate.set()
    assert len(records) == 3 * module.CHUNK
    said = "grammar: the answer was not back within 0.2 s; see --pb-timeout"
    assert {record.score_reasons["grammar"] for record in records} == {said}
    assert {record.scores["grammar"] for record in records} == {None}


def test_scorings_that_share_a_thread_ask_one_after_the_other_and_leave_it_open(decoded):
    tools, thread = FakeTools(), Background("shared")
    with Scoring(Data(), tools, thread=thread) as first, Scoring(Data(), tools, thread=thread) as second:
        for scoring, text in ((first, "a"), (second, "b"), (first, "c")):
            scoring.add(decoded(text))
            scoring.send()
        assert [r.text for r in second.rest()] == ["b"]
        assert [r.text for r in first.rest()] == ["a", "c"]
    assert tools.batches == [["a"], ["b"], ["c"]]
    assert thread.submit(lambda: 7).result() == 7
    thread.close(wait=True)


def test_a_tool_that_hangs_for_one_scoring_is_left_behind_and_the_other_goes_on(decoded, watched):
    class Says(Data):
        def scored(self, text, sample, measured):
            said = measured["grammar"]
            if isinstance(said, float):
                return Scored(values={"grammar": said})
            return Scored(values={"grammar": None}, reasons={"grammar": said["reason"]})

    gate, thread = threading.Event(), Background("shared")
    late, fine = (Scoring(Says(), tools, watched, thread) for tools in (FakeTools(gate), FakeTools()))
    for scoring in (late, fine):
        scoring.add(decoded("ok"))
        scoring.send()
    assert [record.scores["grammar"] for record in late.rest()] == [None]
    assert [record.scores["grammar"] for record in fine.rest()] == [1.0]
    gate.set()
    thread.close(wait=True)
