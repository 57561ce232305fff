"""The samples of the planned tasks, from whichever source, read once per task."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from decoders.fingerprint import code_hash
from pb_plugin.records.canonical import digest
from pb_plugin.records.plain_files import plain_files
from pb_plugin.records.score_key import ScoreKey
from task_specs.choose import choose
from task_specs.prompt import PromptStyle
from task_specs.released.checkout import groups_folder
from task_specs.sample import Enumerated, Sample
from task_specs.scoring import SCORER_VERSIONS, Scored, Scorer, answer_text, resolve_scorer, unfenced
from task_specs.scoring.own_answers import check_own_answers
from task_specs.sources.source import Source, is_export, source
from task_specs.spec import TaskSpec
from task_specs.vocabulary import vocabulary

CHOICE_SEED = 0
"""Seed of the fixed order from which ``--samples M`` takes the first M; no option, so that subsets nest."""


_PERSON = re.compile(r'"([^"\\ ]+)( [^"\\ ]+)\\?"')


def vocabulary_of(data: Path | None) -> tuple[str, ...]:
    """Return the text pieces that are one token each in a tokenizer of our own.

    The names of our own lists; with data from elsewhere also the names in theirs, whichever tasks are
    selected, as the vocabulary is part of the key of a record.

    Raises:
        ValueError: What has the name of such a file is none.
    """
    pieces = dict.fromkeys(vocabulary())
    if data is not None:
        files = [data] if is_export(data) else plain_files(groups_folder(data), "waiting_line*/*.jsonl")
        for file in files:
            for match in _PERSON.finditer(file.read_text(encoding="utf-8", errors="replace")):
                pieces |= dict.fromkeys(match.groups())
    return tuple(pieces)


class NotApplicable(ValueError):
    """The model cannot answer this task, which is no fault: its items are skipped with the reason."""


class ScorerFailed(RuntimeError):
    """A scorer raised, or returned something else than scores: a failure of the sample, never a score."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A sample and what the model is asked.

    ``input_hash`` is over the messages and the infilling template.
    """

    sample: Sample
    messages: tuple[dict[str, str], ...]
    input_hash: str


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """A task of this run: its spec under the chosen data source, and the questions that were asked for.

    Args:
        planned: The spec as it is in the plan.
        data: What ``--pb-data`` names: a checkout of released files, an exported file, or None.
        n_samples: How many samples are asked for, or None for all.
    """

    planned: TaskSpec
    data: Path | None
    n_samples: int | None

    @cached_property
    def origin(self) -> Source:
        """Where the samples come from.

        Raises:
            ValueError: The source cannot give this variant.
        """
        return source(self.planned, self.data)

    @property
    def spec(self) -> TaskSpec:
        """The spec with the semantics of the data source."""
        return self.origin.spec

    @property
    def source(self) -> str:
        """``own``, ``released``, ``exported`` or ``user``."""
        return self.origin.name

    @cached_property
    def checksum(self) -> str:
        """Checksum of the data behind the samples."""
        return self.origin.checksum

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """The samples, in file order or, for a subset, in the fixed stratified order.

        Those that others wrote are refused where their own answers are not right; of ours a test says it.
        Of published data the label is looked at, as the other answers are derived by our rules.

        Raises:
            LookupError: The scorer cannot be found.
            ValueError: The data cannot be read, or an answer does not score 1.
        """
        found = self.origin.samples()
        if self.source != "own":
            _ = self.scorer
            asked = [replace(one, answers=None) for one in found] if self.origin.is_published else found
            check_own_answers(asked, self.scored, scorer=self.spec.scorer, main=self.spec.score)
        return tuple(choose(found, self.n_samples, CHOICE_SEED))

    @property
    def is_determined(self) -> bool:
        """Whether every question has one right answer, so that C(Y|X) is 0; raises what `samples` does."""
        answers = [sample.answers for sample in self.samples]
        return all(isinstance(found, Enumerated) and len(found.texts) == 1 for found in answers)

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """The samples with their natural prompts."""
        return self._asked("natural")

    @cached_property
    def compact_questions(self) -> tuple[Question, ...]:
        """The samples with their compact prompts.

        Raises:
            NotApplicable: The task has none.
        """
        if self.origin.is_published or self.spec.prompt_compact is None:
            what = f"{self.source} data" if self.origin.is_published else f"task {self.spec.id}"
            raise NotApplicable(f"the model reads compact prompts only, and there are none for {what}")
        return self._asked("compact")

    def _asked(self, style: PromptStyle) -> tuple[Question, ...]:
        return tuple(_question(sample, self.origin.chat(sample, style)) for sample in self.samples)

    def asked(self, style: PromptStyle) -> tuple[Question, ...]:
        """Return the questions as a model that reads prompts of *style* is asked them.

        Raises:
            NotApplicable: The task has no prompts of that style.
        """
        return self.questions if style == "natural" else self.compact_questions

    @cached_property
    def score_key(self) -> ScoreKey:
        """Scorer, its version and the text rule; the tools are added where they are known.

        The version of a scorer outside this project is the hash of its module's source.

        Raises:
            LookupError: The scorer cannot be found.
        """
        _ = self.scorer
        scorer = self.spec.scorer
        version = SCORER_VERSIONS.get(scorer) or code_hash(scorer.partition(":")[0])[:12]
        return ScoreKey(scorer=scorer, version=str(version), text_rule=self.spec.text_rule)

    @cached_property
    def scorer(self) -> Scorer:
        """The scorer of the task.

        Raises:
            LookupError: It cannot be found.
            ValueError: It cannot be called.
        """
        try:
            return resolve_scorer(self.spec.scorer)
        except TypeError as error:
            raise ValueError(str(error)) from error

    def answer(self, text: str) -> str:
        """Return the part of an output that is scored."""
        return answer_text(text, self.spec.answer_marker)

    def judged(self, text: str) -> str:
        """Return the part of an output that tools judge: without a code fence, which published data keep."""
        return self.answer(text) if self.origin.is_published else unfenced(self.answer(text))

    def scored(self, text: str, sample: Sample, measured: Mapping[str, Any]) -> Scored:
        """Return the scores of the output *text*, as plain numbers.

        Args:
            text: The whole output.
            sample: What was asked.
            measured: What the tools in ``spec.needs`` returned for what is `judged` of the text.

        Raises:
            ScorerFailed: The scorer raised, or did not return scores.
        """
        name = self.spec.scorer
        try:
            found = self.scorer(self.answer(text), sample, measured)
        except (Exception, SystemExit) as error:  # the boundary to a scorer that may be anybody's
            raise ScorerFailed(f"scorer {name} raised {type(error).__name__}: {error}") from error
        if not isinstance(found, Scored):
            raise ScorerFailed(f"scorer {name} must return Scored, got {found!r}; wrap the values in one")
        values = {score: None if value is None else float(value) for score, value in found.values.items()}
        return Scored(values=values, reasons=found.reasons)


def _question(sample: Sample, chat: Sequence[dict[str, str]]) -> Question:
    input_hash = digest({"messages": list(chat), "template": sample.template})
    return Question(sample=sample, messages=tuple(chat), input_hash=input_hash)
