"""BERTScore as a tool: the encoder that the user named, loaded for the first texts."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event
from typing import TYPE_CHECKING, Any

from task_specs.sample import Sample
from task_specs.scoring.bertscore import LAYERS, load_bert_scorer
from task_specs.scoring.text import compared_with

if TYPE_CHECKING:
    from task_specs.scoring.bertscore import BertScorer

NO_ENCODER = "no encoder was named (--pb-bertscore roberta-large, or FOLDER@LAYER)"


class BertScoreTool:
    """How near a text is to the one it is compared with; without an encoder every text has a reason instead.

    Args:
        encoder: What ``--pb-bertscore`` says: an encoder, with ``@LAYER`` behind one that has no known best
            layer; None leaves BERTScore out.
    """

    name = "bertscore"
    is_later = False
    missing = None  # the other scores of a text stand without it
    notes = ()

    def __init__(self, encoder: str | None) -> None:
        self._named = encoder
        self._scorer: BertScorer | None = None
        self._failure: str | None = None

    def check(self) -> None:
        """Raise unless the encoder has a layer to be used; see `Tool`."""
        encoder, layer = self._encoder_and_layer()
        if encoder and layer is None and encoder.rpartition("/")[2] not in LAYERS:
            raise ValueError(
                f"--pb-bertscore must be ENCODER@LAYER for an encoder other than {', '.join(LAYERS)}, got "
                f"{encoder!r}; the layer that agrees best with human judgement differs by encoder"
            )

    def key(self) -> str:
        """Return the encoder as it was named."""
        return self._named or "none"

    def shared(self) -> None:
        """Return None: every worker loads its own."""

    def measure(self, asked: Sequence[tuple[str, Sample]], stop: Event | None = None) -> list[dict[str, Any]]:
        """Return BERTScore of every text against that of its sample; see `Tool`."""
        if self._named is None:
            return [{"reason": f"BERTScore: {NO_ENCODER}"} for _ in asked]
        return self._loaded().score((text, compared_with(sample)) for text, sample in asked)

    def close(self) -> None:
        """Drop the encoder."""
        self._scorer = None

    def _loaded(self) -> BertScorer:
        if self._failure is not None:
            raise ValueError(self._failure)
        if self._scorer is None:
            try:
                self._scorer = load_bert_scorer(*self._encoder_and_layer())
            except (ValueError, ModuleNotFoundError) as error:
                self._failure = f"--pb-bertscore: {error}"
                raise ValueError(self._failure) from error
        return self._scorer

    def _encoder_and_layer(self) -> tuple[str, int | None]:
        encoder, _, layer = (self._named or "").partition("@")
        if layer and not layer.isdecimal():
            raise ValueError(
                f"--pb-bertscore must be ENCODER or ENCODER@LAYER with the number of a layer, "
                f"got {self._named!r}; correct it or leave it out"
            )
        return encoder, int(layer) if layer else None
