"""What was asked and answered, and what it scored, kept item by item."""
