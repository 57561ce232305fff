"""The decode loop: rows in, forwards, steps of methods, decoded rows out."""
