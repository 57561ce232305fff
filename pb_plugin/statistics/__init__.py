"""How sure the numbers are: PBx, intervals, one joint resample of all samples, and what follows from it."""
