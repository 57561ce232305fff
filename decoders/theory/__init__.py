"""What parallel decoding can reach: total correlation, closed forms, and exact laws."""
