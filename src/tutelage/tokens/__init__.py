"""Text to token ids with the loss mask: chat templates, encoding, batches and packs."""
