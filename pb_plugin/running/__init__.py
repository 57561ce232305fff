"""A run: what is missing is decoded, scored, checked and timed."""
