"""Words to token ids with the loss mask."""
