"""Strings or numbers in, scores with intervals out."""
