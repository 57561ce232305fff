"""How fast one cell is at one number of rows in a forward."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    """One cell decoded alone, warm, the device waited for at both ends of the clock.

    Args:
        cell: Its id.
        batch: Rows in a forward at the most; None: as many as suit the model.
        rows_per_forward: Rows in a forward on average; the last forwards have fewer.
        forwards: Forwards of the batch.
        content_tokens: Tokens of the answers, of all samples.
        tokens_per_second: content tokens / wall seconds; None where a sample failed, as the next two.
        seconds_per_sample: Wall seconds / samples.
        step_latency_s: Wall seconds / forwards.
        peak_bytes: Most memory at once: on a GPU what tensors took, else what the process took, with all that
            it holds beside the model; None where the system does not say.
        differ: Samples whose tokens are others than at the first size of the run.
    """

    cell: str
    batch: int | None
    rows_per_forward: float
    forwards: int
    content_tokens: int
    tokens_per_second: float | None
    seconds_per_sample: float | None
    step_latency_s: float | None
    peak_bytes: int | None
    differ: int
