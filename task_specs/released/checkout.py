"""Where the published files lie in a checkout of ParallelBench."""

from __future__ import annotations

from pathlib import Path

CHECKOUT_FOLDERS = (
    "dataset/parallel_bench/data/output/test",
    "parallelbench/dataset/data/output/test",
    "parallelbench/datasets/data/output/test",
)
"""The folder of the groups below a checkout's root, older layouts first.

**Source**: furiosa-ai/ParallelBench, where the loader of its data set looks (``data/output/<split>``).
"""

GROUPS = ("waiting_line", "waiting_line_n15", "puzzle", "paraphrase_summarize", "words_to_sentence")

LAYOUT = (
    "give DIR/GROUP/NAME.jsonl beside DIR/GROUP/task_config.yaml, such as waiting_line/copy.jsonl, or the "
    f"root of a ParallelBench checkout, which has these in {CHECKOUT_FOLDERS[0]}"
)
"""The cure of every message about a file that is not there."""


def groups_folder(directory: Path) -> Path:
    """Return the folder that holds the groups: *directory*, or where a checkout with that root keeps them.

    Where there are groups in neither it is *directory*, in which every file is then missed.
    """
    below = (directory / folder for folder in CHECKOUT_FOLDERS)
    return next((found for found in (directory, *below) if _has_group(found)), directory)


def _has_group(folder: Path) -> bool:
    return any((folder / group).is_dir() for group in GROUPS)
