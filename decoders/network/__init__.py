"""Networks of transformers as denoisers: attention, caches, families, self-tests."""
