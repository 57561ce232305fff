"""What is asked of which model: samples, models, rows, and the key of every answer."""
