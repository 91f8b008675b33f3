"""The results of runs and evaluations on disk: every response and score, and the documents made of them."""
