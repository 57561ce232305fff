"""Word overlap of two texts: ROUGE by rouge_score, BLEU by sacrebleu, both imported on first use."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")

_LATIN = re.compile(r"[a-z0-9]")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Letters of Thai, Lao, Burmese, Khmer, Japanese and Chinese, which put no blank between words."""


class UnreadableText(ValueError):
    """A reference whose words the measure cannot find, so that no comparison with it says anything."""


@cache
def _rouge_scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(ROUGE_TYPES), use_stemmer=True)


@cache
def _bleu(*, published: bool) -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize="13a", smooth_method="none", max_ngram_order=4, effective_order=not published)


def _check_readable(text: str, measure: str, words: str, lost: Callable[[str], bool]) -> None:
    """Refuse a reference of which half of the letters or more are lost on *measure*."""
    letters = [letter for letter in text.lower() if letter.isalnum()]
    if sum(map(lost, letters)) * 2 >= len(letters):
        raise UnreadableText(
            f"{measure} must compare with a text in {words}, got {text[:40]!r}; "
            "choose another score for this language"
        )


def rouge(text: str, references: Sequence[str]) -> dict[str, float]:
    """Return the F-measure of ROUGE-1, ROUGE-2 and ROUGE-L by name, each the best over *references*.

    **Source**: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"; words are stemmed (Porter)
    and the F-measure taken, as in the published metric of ParallelBench.

    Raises:
        ValueError: There is no reference.
        UnreadableText: Most letters of a reference are not a-z or 0-9, the only ones that ROUGE reads.
        ModuleNotFoundError: rouge_score is not installed.
    """
    if not references:
        raise ValueError("references must hold at least one text, got none; complete the sample")
    for reference in references:
        _check_readable(reference, "ROUGE", "words of a-z and 0-9", lambda letter: not _LATIN.match(letter))
    found = [_rouge_scorer().score(reference, text) for reference in references]
    return {name: max(float(scores[name].fmeasure) for scores in found) for name in ROUGE_TYPES}


def bleu(text: str, reference: str, *, published: bool = False) -> float:
    """Return the BLEU of *text* against one *reference*, in [0, 1].

    **Source**: Papineni et al. 2002. Words split by the WMT rule "13a", no smoothing: a text that shares no
    4-gram with the reference has BLEU 0. In a text of fewer than 4 words the longest n-gram is all of it.

    Args:
        text: What is compared.
        reference: What it is compared with.
        published: As in the published metric of ParallelBench: a text of fewer than 4 words has BLEU 0.

    Raises:
        UnreadableText: Most letters of the reference are of a script without blanks between words.
        ModuleNotFoundError: sacrebleu is not installed.
    """
    _check_readable(
        reference, "BLEU", "words with blanks between them", lambda letter: bool(_UNSPACED.match(letter))
    )
    percent = float(_bleu(published=published).corpus_score([text], [[reference]]).score)
    return min(percent / 100.0, 1.0)  # identical texts give 100.00000000000004
