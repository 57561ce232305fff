"""Unmasking methods, one file each; a method is a frozen dataclass of plain parameters."""
