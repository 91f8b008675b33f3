"""The whole run of a recipe: prepare, ask the base, tune, ask the tuned, compare, report."""
