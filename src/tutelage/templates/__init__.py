"""Examples put into words."""
