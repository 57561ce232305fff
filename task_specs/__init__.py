"""The tasks: specs, samples with their answer sets, prompts and scorers; plain data and text."""

from task_specs.catalogue import BENCHMARK_IDS, CATEGORIES, VARIANT_PARAMS, list_op_ids, task_ids

__all__ = ["BENCHMARK_IDS", "CATEGORIES", "VARIANT_PARAMS", "list_op_ids", "task_ids"]
