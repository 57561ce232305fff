"""The script that measures scoring asks distinct texts, and counts waiting without changing a score."""

import importlib.util

import pytest

from pb_plugin.running.scoring import Scoring
from unit_tests.pages import ROOT


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("scoring_speed", ROOT / "bench_tests" / "scoring_speed.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_text_is_asked_twice_and_half_of_them_are_spoilt(script):
    texts = script.distinct_texts()
    assert len(texts) == len(set(texts)) >= 4_900
    repeated = [
        text for text in texts if any(a == b for a, b in zip(text.split(), text.split()[1:], strict=False))
    ]
    assert len(repeated) == pytest.approx(len(texts) / 2, rel=0.02)
    assert script.distinct_texts() == texts != script.distinct_texts(seed=1)


def test_waiting_is_counted_and_the_records_are_those_of_scoring(script, monkeypatch):
    ticks = iter([0.0, 2.0, 10.0, 13.0, 20.0, 20.5])
    monkeypatch.setattr(script.time, "perf_counter", lambda: next(ticks))
    monkeypatch.setattr(Scoring, "rest", lambda self: iter(["a", "b"]))
    monkeypatch.setattr(script.WatchedScoring, "waited_s", 0.0)
    assert list(script.WatchedScoring.__new__(script.WatchedScoring).rest()) == ["a", "b"]
    assert script.WatchedScoring.waited_s == 5.5
