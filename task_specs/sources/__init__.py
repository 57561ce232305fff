"""Where samples come from: one shape for this project, released files, exports and task files."""
