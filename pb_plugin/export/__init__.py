"""The numbers of a stored run in the files of other tools: CSV, Parquet, a leaderboard's folder, LaTeX."""
