"""Which row comes next: a pure function of seed and position."""
