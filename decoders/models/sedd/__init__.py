"""SEDD: its network, noise and graphs, as a mask predictor and with its own samplers."""
