"""Word overlap of two texts: ROUGE by rouge_score, BLEU by sacrebleu, both imported on first use."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")


@cache
def _rouge_scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(ROUGE_TYPES), use_stemmer=True)


@cache
def _bleu() -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize="13a", smooth_method="none", max_ngram_order=4, effective_order=False)


def rouge(text: str, references: Sequence[str]) -> dict[str, float]:
    """Return the F-measure of ROUGE-1, ROUGE-2 and ROUGE-L by name, each the best over *references*.

    **Source**: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"; words are stemmed (Porter)
    and the F-measure taken, as in the published metric of ParallelBench.

    Raises:
        ValueError: There is no reference.
        ModuleNotFoundError: rouge_score is not installed.
    """
    if not references:
        raise ValueError("references must hold at least one text, got none; complete the sample")
    found = [_rouge_scorer().score(reference, text) for reference in references]
    return {name: max(float(scores[name].fmeasure) for scores in found) for name in ROUGE_TYPES}


def bleu(text: str, reference: str) -> float:
    """Return the BLEU of *text* against one *reference*, in [0, 1].

    **Source**: Papineni et al. 2002. Up to 4-grams, words split by the WMT rule "13a", no smoothing: a text
    that shares no 4-gram with the reference, and so every text of fewer than 4 words, has BLEU 0.

    Raises:
        ModuleNotFoundError: sacrebleu is not installed.
    """
    percent = float(_bleu().corpus_score([text], [[reference]]).score)
    return min(percent / 100.0, 1.0)  # identical texts give 100.00000000000004
