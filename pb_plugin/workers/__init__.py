"""How processes share a run: the part of a job of its own, and the GPU and CPU threads of each worker."""
