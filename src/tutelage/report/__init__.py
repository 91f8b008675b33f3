"""One static page from a run folder."""
