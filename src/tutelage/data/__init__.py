"""Files in, examples with file and line out."""
