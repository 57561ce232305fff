"""What others implement: a denoiser driven by our loop, or a generator that owns its loop.

Legend: B = rows of one forward, L = canvas length (padding + prompt + generated region), N = queried
positions, V = vocabulary (or the size of the denoiser's support, see `HasSupport`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from decoders.rows import Decoded, Row

Message = Mapping[str, str]
"""A chat message: ``role`` (system, user, assistant) and ``content``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRequest:
    """What a model's load function is asked for.

    Args:
        name: The name the user gave (``llada``).
        source: A folder or hub id from ``--model NAME=SOURCE``, or None for the preset.
        revision: Hub revision, or None.
        dtype: ``float32``, ``bfloat16`` or None for the family's default.
        device: Torch device, or None for the best one present.
        device_map: ``auto`` where the layers may stand on all GPUs that the process sees, or None.
        vocabulary: Text pieces that must be one token each in a tokenizer of our own (names of the tasks).
        compiled: Whether the body of a network of transformers is compiled.
        allow_code: Own code that may run: ``OWNER/NAME@COMMIT`` or ``FOLDER@HASH``; see
            `decoders.loading.allowed_code`.
        served: What goes for models behind a server (`decoders.served.options.ServedOptions`), or None.
        session: What the model's module keeps from one question about this request to the next.
    """

    name: str
    source: str | None = None
    revision: str | None = None
    dtype: str | None = None
    device: str | None = None
    device_map: str | None = None
    vocabulary: tuple[str, ...] = field(default=(), repr=False)
    compiled: bool = False
    allow_code: tuple[str, ...] = ()
    served: Any = field(default=None, repr=False)
    session: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


class Tokenizer(Protocol):
    """Text to ids and back. ``is_fallback`` is True for the byte tokenizer of a checkpoint that has none."""

    name: str
    is_fallback: bool

    def encode(self, text: str) -> list[int]:
        """Return the ids of *text*, without special tokens."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of *ids*, special tokens dropped."""
        ...


class Denoiser(Protocol):
    """A network (or an exact law) that gives logits for any queried positions of a canvas.

    Quirks of a model live behind this call: shifted logits, padding, MASK at -inf, chat template, block
    masks.
    """

    name: str
    mask_id: int
    eos_ids: frozenset[int]
    pad_id: int
    vocab_size: int
    tokenizer: Tokenizer

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the prompt ids of a chat, ready to be followed by the generated region."""
        ...

    def __call__(self, canvas: Tensor, attend: Tensor, query: Tensor, contexts: Sequence[Any]) -> Tensor:
        """Return float logits [N, V], aligned (row n predicts the token at query n), MASK at -inf.

        Args:
            canvas: int64 [B, L], ``mask_id`` where masked, ``pad_id`` at padding (left of the prompt).
            attend: bool [B, L], False at padding.
            query: int64 [N, 2], pairs (row, position in the canvas), sorted by row then position.
            contexts: One opaque object per row, from ``Row.context``.
        """
        ...


@runtime_checkable
class HasSupport(Protocol):
    """Optional: a denoiser that knows the few ids a row can ever take returns logits over those only."""

    def support(self, contexts: Sequence[Any]) -> Tensor:
        """Return int64 ids [B, C], ascending in a row, padded with its last id; logits are then [N, C]."""
        ...


@runtime_checkable
class HasShadow(Protocol):
    """Optional: a denoiser that can judge a visible token as if it alone were masked (WINO).

    After the canvas every position of a block gets a twin column: MASK at the same place of the text.
    Canvas columns see the canvas only, so their logits are those of a plain call; a twin sees the canvas but
    its own position, and the other twins of its row.
    """

    def with_shadows(
        self,
        canvas: Tensor,
        attend: Tensor,
        query: Tensor,
        blocks: Sequence[tuple[int, int]],
        judged: Tensor,
        contexts: Sequence[Any],
    ) -> tuple[Tensor, Tensor]:
        """Return the logits [N, V] at *query* as a plain call does, and [M, V] of the twins of *judged*.

        Args:
            canvas: As for a plain call; so are *attend*, *query* and *contexts*.
            attend: bool [B, L].
            query: int64 [N, 2].
            blocks: First column of the canvas that gets a twin and the one after the last, per row.
            judged: int64 [M, 2], pairs (row, position) in the blocks, sorted by row then position.
            contexts: One opaque object per row.
        """
        ...


@runtime_checkable
class HasAttention(Protocol):
    """Optional: a denoiser that tells how much positions look at each other (DAPD, DAWN)."""

    def with_attention(
        self,
        canvas: Tensor,
        attend: Tensor,
        query: Tensor,
        first: int,
        contexts: Sequence[Any],
        layers: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the logits [N, V] of a plain call, and float32 [B, L - first, L - first] attention.

        Entry (i, j) is the weight with which position ``first + i`` looks at ``first + j`` after the softmax
        over the whole canvas, averaged over the heads of the last *layers* layers (all where there are
        fewer), of the last n - int(0.7 n) of n where None.
        """
        ...


@runtime_checkable
class HasCache(Protocol):
    """Optional: a denoiser that can evaluate some columns and take the others from an earlier forward.

    A cache is a frozen dataclass of tensors with rows as dimension 0; the loop slices and joins it and does
    not look inside. A denoiser with block-causal attention (one with a ``block_length``, see
    `decoders.loop.block_grid`) must do without columns to the right of the block of the query: under
    ``cache="block"`` none of its forwards has stored them.
    """

    @property
    def window_margin(self) -> int:
        """Columns before a queried one that must be evaluated with it."""
        ...

    def new_cache(self, n_rows: int, length: int) -> Any:
        """Return room for *n_rows* canvases of *length* columns."""
        ...

    def with_cache(
        self,
        canvas: Tensor,
        attend: Tensor,
        query: Tensor,
        contexts: Sequence[Any],
        cache: Any,
        rows: Tensor,
        window: Sequence[tuple[int, int]] | None,
    ) -> Tensor:
        """Return the logits [N, V] at *query*; evaluate the columns in *window* and store them in *cache*.

        The cache is written in place, only in the evaluated columns, so that a call can be repeated.

        Args:
            canvas: int64 [B, L].
            attend: bool [B, L].
            query: int64 [N, 2], inside the windows.
            contexts: One opaque object per row.
            cache: From `new_cache`, of the whole batch.
            rows: int64 [B], which row of the cache belongs to each row of the canvas.
            window: First column and the one after the last, per row; None evaluates all columns.
        """
        ...


class Generator(Protocol):
    """A model that owns its loop (autoregressive, API, SEDD's samplers ...).

    Its only unmasking name is ``native``. It may have ``generate_each``, with the same arguments, which
    yields one `Decoded` or `Failed` for each row as soon as it is there, in any order; then the rows of a
    method come in one call, and nothing that failed is tried again.
    """

    owns_loop: ClassVar[bool]  # True
    name: str
    eos_ids: frozenset[int]
    tokenizer: Tokenizer

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the prompt ids of a chat."""
        ...

    def generate(self, rows: Sequence[Row], params: Mapping[str, Any]) -> list[Decoded]:
        """Decode *rows* with the generator's own parameters, in the order given."""
        ...
