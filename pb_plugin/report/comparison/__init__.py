"""The paper's comparison of models: one setting of each curve in tables like its Tables 5 to 7."""
