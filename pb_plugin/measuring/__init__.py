"""What a run finds out about the machine it runs on: what models computed with, and how fast they were."""
