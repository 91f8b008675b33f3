"""A conversation with one model or two."""
