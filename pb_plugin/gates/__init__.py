"""What makes a run red: gates on the numbers of its summary."""
