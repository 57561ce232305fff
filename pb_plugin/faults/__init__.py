"""What a run does about what goes wrong outside of its own code: hangs, crashes, lost devices, signals."""
