"""Records on disk: one line of JSON per decoded sample."""
