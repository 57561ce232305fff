"""Where the blocks of a row begin and end: as asked for, or on the grid that a model was trained with.

A denoiser with block-causal attention has ``block_length``, the block it was trained with, on a grid that
starts at the first token of the prompt. Its rows are decoded on that grid: the prompt takes a part of the
first block, and the last one ends with the canvas.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from decoders.protocols import Denoiser
from decoders.rows import NotSupported, Row
from decoders.traits import model_traits


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockGrid:
    """Blocks of ``length`` positions, ``offset`` of the first one in the prompt."""

    length: int
    offset: int
    n_blocks: int


def trained_block(denoiser: Denoiser) -> int | None:
    """Return the block that *denoiser* was trained with, None for full attention."""
    return model_traits(denoiser).block_length


def grids_of(denoiser: Denoiser, rows: Iterable[Row]) -> list[BlockGrid]:
    """Return the blocks of each row: those asked for, else those trained with, else one.

    Raises:
        ValueError: ``max_steps`` cannot be shared out evenly among the blocks.
    """
    trained, grids = trained_block(denoiser), []
    for row in rows:
        length = row.setting.block_length or trained or row.gen_length
        offset = 0 if trained is None else len(row.prompt_ids) % length
        n_blocks = -(-(offset + row.gen_length) // length)
        if row.setting.max_steps is not None and row.setting.max_steps % n_blocks:
            raise ValueError(
                f"max_steps must be a multiple of the {n_blocks} blocks of {length} that row {row.key!r} has "
                f"under {denoiser.name!r}, got {row.setting.max_steps!r}; choose another budget, or k"
            )
        grids.append(BlockGrid(length=length, offset=offset, n_blocks=n_blocks))
    return grids


def planned_steps(row: Row, grid: BlockGrid, mask_id: int) -> int:
    """Return how many steps the schedule of k or max_steps gives all blocks of *row*; 0 without one."""
    if row.setting.k is None:
        return row.setting.max_steps or 0
    template = row.template_ids or (mask_id,) * row.gen_length
    ends = range(grid.length - grid.offset, row.gen_length + grid.length, grid.length)
    masks = [template[max(0, end - grid.length) : end].count(mask_id) for end in ends]
    return sum(-(-count // row.setting.k) for count in masks)


def check_block_length(denoiser: Denoiser, block_length: int | None) -> None:
    """Check that blocks asked for end where blocks of the model end.

    Raises:
        NotSupported: They do not.
    """
    trained = trained_block(denoiser)
    if trained is not None and block_length is not None and block_length % trained:
        raise NotSupported(
            f"block_length must be a multiple of {trained}, the block that {denoiser.name!r} was trained "
            f"with, got {block_length!r}; leave it out for that block"
        )
