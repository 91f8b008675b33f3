"""Where a model comes from, loading, adapters, export."""
