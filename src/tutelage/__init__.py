"""Tutelage: fine-tune a language model on instructions, and see what it learned and what it forgot."""

__version__ = "0.1.0"
