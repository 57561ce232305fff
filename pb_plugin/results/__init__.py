"""From records to numbers: cells, curves, suites, PBx."""
