"""The report of a run while it goes on, served to the browser of this machine."""
