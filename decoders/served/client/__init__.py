"""Asking over HTTP: one attempt by each SDK, what its failure means, repeats, budget, keys."""
