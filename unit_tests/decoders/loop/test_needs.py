"""What a method may need: refused before anything is decoded, bounded in memory, told where undeclared."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from decoders.budget import Budget
from decoders.loop import needs
from decoders.loop.batching import sweep
from decoders.loop.needs import Needs, needs_of
from decoders.models.ideal import Ideal
from decoders.rows import NotSupported, Row, Setting
from decoders.testing import HashDenoiser, check_method, example_slots, example_view
from decoders.text.tokenizer import EOS_ID, MASK_ID, PieceTokenizer
from decoders.theory.answer_sets import enumerated
from decoders.unmasking.dapd import DAPD
from decoders.unmasking.dawn import DAWN
from decoders.unmasking.klass import KLASS
from decoders.unmasking.top_k import TopK, confidence, left_to_right
from decoders.unmasking.wino import WINO


class Plain:
    """Offers logits only."""

    name = "plain"
    mask_id, pad_id, eos_ids, vocab_size = 0, 1, frozenset({1}), 23

    def __init__(self):
        self.calls = 0
        self.inner = HashDenoiser()

    def __call__(self, canvas, attend, query, contexts):
        self.calls += 1
        return self.inner(canvas, attend, query, contexts)


class Lacking(HashDenoiser):
    lacks = frozenset({"shadow", "attention", "cache"})


def ideal():
    tokenizer = PieceTokenizer()
    return Ideal(tokenizer, mask_id=MASK_ID, eos_id=EOS_ID, vocab_size=len(tokenizer))


def rows_of(*settings):
    return [Row(key=i, prompt_ids=(3,), gen_length=4, setting=s) for i, s in enumerate(settings)]


EASY = Setting(method=confidence(), k=1)
LACKED = {
    "shadow": (
        Setting(method=WINO()),
        r"model must offer shadow for method wino, got '{}' without it; choose another model or method",
    ),
    "attention": (
        Setting(method=DAPD()),
        r"model must offer attention for method dapd, got '{}' without it; choose another model or method",
    ),
    "cache": (
        Setting(method=confidence(), k=1, cache="dual"),
        r"model must offer a cache for cache=dual, got '{}' without one; use cache=none",
    ),
}


@pytest.mark.parametrize("need", LACKED)
@pytest.mark.parametrize("model", [Plain(), Lacking()], ids=["no such method", "not for this checkpoint"])
def test_what_the_model_lacks_is_refused_before_anything_is_decoded(model, need):
    setting, message = LACKED[need]
    with pytest.raises(NotSupported, match=message.format(model.name)):
        list(sweep(model, rows_of(EASY, EASY, setting)))
    assert getattr(model, "calls", 0) == 0


@pytest.mark.parametrize("need", ["attention", "cache"])
def test_the_exact_model_has_no_attention_and_no_cache(need):
    setting, message = LACKED[need]
    with pytest.raises(NotSupported, match=message.format("ideal")):
        next(iter(sweep(ideal(), rows_of(setting))))


def test_what_the_model_lacks_is_a_value_error_for_callers():
    assert issubclass(NotSupported, ValueError)


@dataclass(frozen=True, kw_only=True)
class Asking(TopK):
    """Top-k by confidence that reads one attribute of the view."""

    needs: ClassVar[frozenset] = frozenset()
    score: str = "confidence"
    reads: str = "probs"

    def step(self, view, memory):
        getattr(view, self.reads)
        return super().step(view, memory)


@dataclass(frozen=True, kw_only=True)
class Both(Asking):
    needs: ClassVar[frozenset] = frozenset({"shadow", "attention"})


def test_shadows_and_attention_exclude_each_other():
    with pytest.raises(
        NotSupported,
        match="confidence must need one of shadow, attention and row_attention, got attention, shadow; give",
    ):
        list(sweep(HashDenoiser(), rows_of(Setting(method=Both(), k=1))))


NO_CACHE = {
    "shadow": WINO(),
    "attention": DAPD(),
    "row attention": DAWN(),
    "scope": KLASS(upstream_exact=True),
}


@pytest.mark.parametrize("method", NO_CACHE.values(), ids=NO_CACHE)
@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_a_method_that_looks_beyond_the_window_has_no_cache(method, cache):
    message = f"cache must be none for method {method.name}, got '{cache}'; it masks again, or looks"
    with pytest.raises(NotSupported, match=message):
        list(sweep(HashDenoiser(), rows_of(Setting(method=method, cache=cache))))


def test_a_cache_that_does_not_exist_is_refused():
    with pytest.raises(
        ValueError, match="cache must be one of none, prefix, dual, block, got 'all'; choose one"
    ):
        Setting(method=confidence(), k=1, cache="all")


UNDECLARED = {
    "probs": "probabilities",
    "verified_log_odds": "shadow",
    "attention": "attention",
    "row_attention": "row_attention",
    "row_log_odds": "row_attention",
    "standing_log_odds": "probabilities",
}


@pytest.mark.parametrize("reads", UNDECLARED)
def test_reading_what_was_not_declared_says_what_to_declare(reads):
    message = (
        rf"view\.{reads} must be declared by the method that reads it; add '{UNDECLARED[reads]}' to its needs"
    )
    view = example_view(example_slots(confidence()), range(4))
    with pytest.raises(LookupError, match=message):
        getattr(view, reads)
    with pytest.raises(LookupError, match=message):
        check_method(Asking(reads=reads))


class Misshapen(HashDenoiser):
    def with_shadows(self, *given):
        logits, found = super().with_shadows(*given)
        return logits, found[1:]

    def with_attention(self, *given, **options):
        logits, weights = super().with_attention(*given, **options)
        return logits, weights[:, 1:]

    def with_cache(self, *given):
        return super().with_cache(*given)[1:]


MISSHAPEN = {
    "shadow": (
        Setting(method=WINO()),
        r"ValueError: logits must have the shape \(1, 23\), got \(0, 23\); give",
    ),
    "attention": (
        Setting(method=DAPD()),
        r"ValueError: attention must have the shape \(1, 4, 4\), got \(1, 3, 4\); give one weight per pair",
    ),
    "row attention": (
        Setting(method=DAWN()),
        r"ValueError: attention must have the shape \(1, 36, 36\), got \(1, 35, 36\); give one weight",
    ),
    "cache": (
        Setting(method=left_to_right(), k=1, cache="prefix"),
        r"ValueError: logits must have the shape \(3, 23\), got \(2, 23\); give one row per query",
    ),
}


@pytest.mark.parametrize("need", MISSHAPEN)
def test_tensors_of_a_wrong_shape_are_refused(need):
    setting, message = MISSHAPEN[need]
    row = Row(key=0, prompt_ids=(3,), gen_length=4, setting=setting, template_ids=(5, 0, 0, 0))
    (failed,) = sweep(Misshapen(), [row])
    with pytest.raises(type(failed.error), match=message):
        raise failed.error


@pytest.mark.parametrize(
    ("wanted", "given", "rows"),
    [
        (Needs(), (32, 126_464), None),
        (Needs(probabilities=True), (32, 126_464), 16),
        (Needs(probabilities=True), (1024, 126_464), 1),
        (Needs(attention=True), (256, 0), 1024),
        (Needs(row_attention=True), (256, 0, 512), 256),
        (Needs(shadow=True, cache="dual"), (32, 0), None),
    ],
)
def test_dense_tensors_keep_within_256_mib(wanted, given, rows):
    assert wanted.max_rows(*given) == rows


def test_rows_with_dense_tensors_are_few_at_a_time_and_others_are_not(monkeypatch):
    monkeypatch.setattr(needs, "DENSE_BYTES", 4 * 4 * 23 * 3)
    sizes = []
    list(sweep(HashDenoiser(), rows_of(*[Setting(method=KLASS())] * 8), on_step=sizes.append))
    assert max(sizes) == 3
    sizes.clear()
    list(sweep(HashDenoiser(), rows_of(*[EASY] * 8), on_step=sizes.append, share=False))
    assert max(sizes) == 8


def test_what_a_method_remembers_of_a_narrow_support_is_joined_with_a_wide_one():
    tokenizer, model = PieceTokenizer(), ideal()
    give = {"gen_length": 4, "eos_id": EOS_ID, "sample": "s"}
    contexts = [
        enumerated(tokenizer, texts, [1.0] * len(texts), **give)
        for texts in (["ab", "ba"], ["abcd", "dcba"], ["q"], ["efgh", "hgfe", "stuv"])
    ]
    rows = [
        Row(
            key=i,
            prompt_ids=(),
            gen_length=4,
            setting=Setting(method=KLASS(tau=0.6, history=1 + i % 2)),
            sample_id=str(i),
            context=contexts[i % 4],
        )
        for i in range(12)
    ]
    alone = {row.key: next(iter(sweep(model, [row]))) for row in rows}
    for max_rows in (2, 3, 12):
        budget = Budget(tokens=1000, max_rows=max_rows)
        assert {outcome.key: outcome for outcome in sweep(model, rows, budget=budget)} == alone


def test_shadow_columns_count_in_the_size_of_a_forward():
    sizes = []
    rows = [Row(key=i, prompt_ids=(), gen_length=8, setting=Setting(method=WINO())) for i in range(8)]
    list(sweep(HashDenoiser(), rows, budget=Budget(tokens=64), on_step=sizes.append))
    assert max(sizes) == 4


def test_rows_with_equal_needs_share_forwards():
    assert needs_of(Setting(method=WINO(tau1=0.5))) == needs_of(Setting(method=WINO())) == Needs(shadow=True)
    assert needs_of(EASY) == needs_of(Setting(method=left_to_right(), k=3)) == Needs()
    sizes = []
    mixed = [EASY, Setting(method=WINO()), Setting(method=left_to_right(), k=1)]
    list(sweep(HashDenoiser(), rows_of(*mixed), on_step=sizes.append))
    assert max(sizes) == 2
