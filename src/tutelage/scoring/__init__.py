"""What `tutelage score` does: files of predictions to scores, comparisons and explanations."""
