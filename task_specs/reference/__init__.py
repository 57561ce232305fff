"""Task files of GSM8K and HumanEval, made from the published files that a user has."""
