"""The recipe and the run."""
