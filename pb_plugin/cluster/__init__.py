"""A run on the machines of a Ray cluster: the controlling process collects and judges, others decode."""
