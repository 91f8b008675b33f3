"""Answers from a model: batched generation and log-likelihoods."""
