"""Samples that a user exported from somewhere else into one JSONL file, with a mapping of its keys."""
