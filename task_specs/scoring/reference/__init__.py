"""Scores of the two benchmarks that the paper's Figure 6 compares with: GSM8K and HumanEval."""
