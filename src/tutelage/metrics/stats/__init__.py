"""Statistics of scores: intervals, paired tests, corrections for many tests. Imports none of the metrics."""
