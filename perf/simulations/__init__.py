"""Simulated models whose true scores are known, and how often intervals and tests are right about them."""
