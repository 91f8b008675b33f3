"""What is watched: specs and items as data, one runner."""
