"""What is learned is what a run asks and scores: same prompt, answer on the canvas, template kept."""

from types import SimpleNamespace

import pytest

pytest.importorskip("transformers", reason="networks need the extra models")

from decoders.models import tiny
from decoders.protocols import ModelRequest
from pb_plugin.asking.lessons import draw_of, example_of
from task_specs.answers import as_list_text
from task_specs.generate.traces import answer_of
from task_specs.prompt import messages
from task_specs.questions.lessons import Lessons
from task_specs.spec import builtin_spec, read_spec
from unit_tests.pages import EXAMPLES, ROOT


@pytest.fixture(scope="module")
def subject():
    model = tiny.load(ModelRequest(name="tiny", device="cpu"))
    (eos,) = model.eos_ids
    return SimpleNamespace(model=model, mask_id=model.mask_id, end_id=eos, fill_id=eos, pad_id=model.pad_id)


@pytest.fixture(scope="module")
def letters():
    return read_spec(ROOT / "docs" / "examples" / "letters_copy.yaml")


def test_the_prompt_is_that_of_a_run_and_the_canvas_holds_answer_and_end(subject):
    lessons = Lessons([builtin_spec("insert_random")], seed=0)
    spec, sample = lessons.sample("train", 2)
    example = draw_of(lessons, subject, "compact")("train", 2)
    assert list(example.prompt) == subject.model.encode_prompt(messages(spec, sample, "compact"))
    assert len(example.canvas) == spec.canvas
    assert all(example.learned)
    answer = subject.model.answer_ids(example.canvas)
    assert subject.model.tokenizer.decode(answer) == sample.example
    assert set(example.canvas[len(answer) :]) == subject.model.eos_ids


def test_the_end_of_a_turn_comes_once_before_the_filling(subject):
    spec, sample = Lessons([builtin_spec("copy")], seed=0).sample("train", 0)
    ends = SimpleNamespace(**{**vars(subject), "end_id": 77, "fill_id": 78})
    canvas = example_of(spec, sample, ends, "compact").canvas
    assert canvas[canvas.index(77) + 1 :] == (78,) * (spec.canvas - canvas.index(77) - 1)
    assert 78 not in canvas[: canvas.index(77)]


def test_of_a_template_only_the_open_positions_are_learned(subject, letters):
    spec, sample = Lessons([letters], seed=0).sample("train", 0)
    example = example_of(spec, sample, subject, "compact")
    open_ = [token for token, learned in zip(example.canvas, example.learned, strict=True) if learned]
    assert subject.model.tokenizer.decode(open_) == "".join(sample.facts["items"])
    assert len(open_) == 6


@pytest.mark.parametrize("operation", ["shuffle", "replace_random"])
@pytest.mark.parametrize("trace", ["draws", "places"])
def test_a_thought_is_learned_with_its_trace_and_ends_with_the_marker_and_the_answer(
    subject, trace, operation
):
    plain, aloud = (
        read_spec(EXAMPLES / f"think_{trace}_{operation}.yaml", params) for params in ({}, {"cot": True})
    )
    spec, sample = Lessons([plain, aloud], seed=0).sample("train", 1)
    example = example_of(spec, sample, subject, "compact")
    text = subject.model.tokenizer.decode(subject.model.answer_ids(example.canvas))
    numbers, marker, answer = text.split("\n")
    assert (spec, text, marker) == (aloud, sample.example, operation)
    led = answer_of(trace, sample.facts, [int(number) for number in numbers.split(",")])
    assert answer == as_list_text(led)
    open_ = [token for token, learned in zip(example.canvas, example.learned, strict=True) if learned]
    assert subject.model.tokenizer.decode(open_) == numbers.replace(",", "") + "".join(led)
    assert len(open_) == aloud.positions


def test_a_template_needs_a_mask(subject, letters):
    spec, sample = Lessons([letters], seed=0).sample("train", 0)
    maskless = SimpleNamespace(**{**vars(subject), "mask_id": None})
    with pytest.raises(
        ValueError, match="model must have a mask to fill in the template of letters_copy/train-0, got"
    ):
        example_of(spec, sample, maskless, "compact")


def test_a_template_that_is_cut_differently_is_refused(subject, letters):
    spec, sample = Lessons([letters], seed=0).sample("train", 0)
    other = SimpleNamespace(
        **{name: getattr(sample, name) for name in ("id", "fields", "shots", "example")},
        template=sample.template.replace("[MASK]", "A", 1),
    )
    with pytest.raises(
        ValueError, match="template of letters_copy/train-0 must be its answer with a token left out"
    ):
        example_of(spec, other, subject, "compact")


def test_a_canvas_that_holds_no_answer_is_refused(subject):
    spec, sample = Lessons([builtin_spec("copy", {"canvas": "8"})], seed=0).sample("train", 0)
    with pytest.raises(
        ValueError, match="canvas must hold an answer of copy_canvas8/train-0, got 8 positions for 10"
    ):
        example_of(spec, sample, subject, "compact")


def test_a_prompt_that_the_model_refuses_names_the_sample(subject):
    spec, sample = Lessons([builtin_spec("copy")], seed=0).sample("train", 0)
    with pytest.raises(
        ValueError, match="prompt of copy/train-0: messages for a model of compact prompts must be"
    ):
        example_of(spec, sample, subject, "natural")
