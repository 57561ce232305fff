"""The published ParallelBench files, read where a user has them."""
