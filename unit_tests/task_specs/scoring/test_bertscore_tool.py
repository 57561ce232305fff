"""BERTScore as a tool: an encoder that is named, loaded once, a reason where there is none."""

from types import SimpleNamespace

import pytest

from task_specs.sample import Sample
from task_specs.scoring import bertscore_tool as module
from task_specs.scoring.bertscore_tool import BertScoreTool

SAMPLE = Sample(
    id="a", fields={}, facts={"text": "source"}, shots=(), example="", answers=None, template=None, length=1
)


def asked(*texts):
    return [(text, SAMPLE) for text in texts]


def test_without_an_encoder_bertscore_is_a_reason():
    (found,) = BertScoreTool(None).measure(asked("a"))
    assert found == {
        "reason": "BERTScore: no encoder was named (--pb-bertscore roberta-large, or FOLDER@LAYER)"
    }


def test_a_layer_that_is_no_number_is_refused_before_anything_is_decoded():
    with pytest.raises(
        ValueError, match=r"^--pb-bertscore must be ENCODER or .*, got 'roberta@six'; correct"
    ):
        BertScoreTool("roberta@six").check()


def test_an_encoder_that_does_not_load_is_an_error_and_is_tried_once(monkeypatch):
    calls = []

    def fail(encoder, layer):
        calls.append((encoder, layer))
        raise ValueError("encoder must be a folder")

    monkeypatch.setattr(module, "load_bert_scorer", fail)
    found = BertScoreTool("dir@6")
    found.check()
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^--pb-bertscore: encoder must be a folder$"):
            found.measure(asked("a"))
    assert calls == [("dir", 6)]


def test_bertscore_compares_with_the_source(monkeypatch):
    pairs = []
    scorer = SimpleNamespace(score=lambda given: [pairs.append(pair) or {"f1": 0.5} for pair in given])
    monkeypatch.setattr(module, "load_bert_scorer", lambda encoder, layer: scorer)
    found = BertScoreTool("dir")
    assert found.measure(asked("a", "b")) == [{"f1": 0.5}] * 2
    assert pairs == [("a", "source"), ("b", "source")]
