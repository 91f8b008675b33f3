"""Answers of a model to rows of a file, or one after the other in Python: through the recipe's own prompt where it is a run's."""
