"""Which process takes which cells: what they cost, groups of them, turns of workers, shards of jobs."""
