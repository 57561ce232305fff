"""Scorers of the five text tasks: words in a sentence, overlap with references, meaning kept, grammar.

*measured* holds what the tools returned. ``grammar`` is ``{"matches": 2, "rules": [...], "version": "6.8"}``,
``bertscore`` is ``{"f1": 0.93, ...}``, and either is ``{"reason": "..."}`` where it could not be computed.
An empty text scores 0 everywhere and no tool is consulted. A code fence around the text is no part of it, for
the tools neither.

Sources: ParallelBench (arXiv 2510.04767, section 5 and appendix "Evaluation Metrics") in our reading; the
``released`` twins follow the published metric code where it differs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from task_specs.sample import Sample
from task_specs.scoring.overlap import ROUGE_TYPES, UnreadableText, bleu, rouge
from task_specs.scoring.scored import Scored, unfenced

Known = float | str
"""A score, or the reason why there is none."""

W2S_SCORES = ("inclusion", "inclusion_share", "grammar", "combined")
SUMMARY_SCORES = (*ROUGE_TYPES, "grammar")
PARAPHRASE_SCORES = ("bertscore", "one_minus_bleu", "grammar")


def includes(text: str, word: str) -> bool:
    """Return whether *word* stands in *text* as a whole word, in upper or lower case.

    An inflected form is another word: "dogs" does not hold "dog", "dog's" and "dog-house" do.
    """
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


def compared_with(sample: Sample) -> str:
    """Return the text that BERTScore compares a paraphrase with: the sentence to be paraphrased."""
    source: str = sample.facts["text"]
    return source


def score_w2s(text: str, sample: Sample, measured: Mapping[str, Any]) -> Scored:
    """Score a sentence built from given words.

    ``inclusion`` is 1 when every word is there, ``inclusion_share`` the share of words that are, ``combined``
    is 1 when every word is there and the grammar is right.
    """
    text = unfenced(text)
    if not text.strip():
        return _zero(W2S_SCORES)
    found = [includes(text, word) for word in sample.facts["words"]]
    return _w2s(found, _grammar(measured))


def score_released_w2s(text: str, sample: Sample, measured: Mapping[str, Any]) -> Scored:
    """Score as the published metric does: a word counts wherever its letters occur, upper case apart."""
    if not text.strip():
        return _zero(W2S_SCORES)
    found = [word in text for word in sample.facts["words"]]
    return _w2s(found, _grammar(measured))


def score_summary(text: str, sample: Sample, measured: Mapping[str, Any]) -> Scored:
    """Score a summary: ROUGE-1, -2 and -L, each against the reference it is nearest to, and grammar."""
    text = unfenced(text)
    if not text.strip():
        return _zero(SUMMARY_SCORES)
    return _summary(text, sample.facts["references"], measured)


def score_released_summary(text: str, sample: Sample, measured: Mapping[str, Any]) -> Scored:
    """Score as the published metric does: ROUGE against the one reference of the file (the first)."""
    if not text.strip():
        return _zero(SUMMARY_SCORES)
    return _summary(text, sample.facts["references"][:1], measured)


def score_paraphrase(text: str, sample: Sample, measured: Mapping[str, Any]) -> Scored:
    """Score a paraphrase: meaning kept (BERTScore F1), words changed (1-BLEU), grammar.

    Both comparisons are with the sentence to be paraphrased, as published; the references play no part.
    """
    return _paraphrase(unfenced(text), sample, measured, published=False)


def score_released_paraphrase(text: str, sample: Sample, measured: Mapping[str, Any]) -> Scored:
    """Score as the published metric does.

    **Differs** from `score_paraphrase`: a code fence is part of the text, and any text of fewer than 4 words
    has 1-BLEU 1.
    """
    return _paraphrase(text, sample, measured, published=True)


def _paraphrase(text: str, sample: Sample, measured: Mapping[str, Any], *, published: bool) -> Scored:
    if not text.strip():
        return _zero(PARAPHRASE_SCORES)
    changed: Known
    try:
        changed = 1.0 - bleu(text, compared_with(sample), published=published)
    except (ModuleNotFoundError, UnreadableText) as error:
        changed = _why(error)
    meaning = _measured(measured, "bertscore", "f1")
    return _scored({"bertscore": meaning, "one_minus_bleu": changed, "grammar": _grammar(measured)})


def _w2s(found: list[bool], grammar: Known) -> Scored:
    inclusion = float(all(found))
    return _scored(
        {
            "inclusion": inclusion,
            "inclusion_share": sum(found) / len(found),
            "grammar": grammar,
            "combined": grammar if isinstance(grammar, str) else inclusion * grammar,
        }
    )


def _summary(text: str, references: list[str], measured: Mapping[str, Any]) -> Scored:
    overlap: Mapping[str, Known]
    try:
        overlap = rouge(text, references)
    except (ModuleNotFoundError, UnreadableText) as error:
        overlap = dict.fromkeys(ROUGE_TYPES, _why(error))
    return _scored({**overlap, "grammar": _grammar(measured)})


def _grammar(measured: Mapping[str, Any]) -> Known:
    matches = _measured(measured, "grammar", "matches")
    return matches if isinstance(matches, str) else float(matches == 0)


def _measured(measured: Mapping[str, Any], tool: str, key: str) -> Known:
    result = measured.get(tool, {"reason": f"{tool} was not measured"})
    value: Known = result["reason"] if "reason" in result else result[key]
    return value


def _why(error: ModuleNotFoundError | UnreadableText) -> str:
    if isinstance(error, UnreadableText):
        return str(error)
    return f"{error.name} is not installed; pip install 'parallelbench-pytest[text]'"


def _zero(names: tuple[str, ...]) -> Scored:
    return Scored(values=dict.fromkeys(names, 0.0))


def _scored(known: Mapping[str, Known]) -> Scored:
    """Return *known* as scores: a text is the reason why there is none."""
    return Scored(
        values={name: None if isinstance(value, str) else value for name, value in known.items()},
        reasons={name: value for name, value in known.items() if isinstance(value, str)},
    )
