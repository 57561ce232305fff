"""What the data hold and which outputs score without solving a task."""
