"""Task files of lm-evaluation-harness, read as specs over rows."""
