"""Analyses of a stored run beyond PBx, after the paper: oracle, parallelizability, order, reference."""
