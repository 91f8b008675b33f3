"""Cures against forgetting, and the search for the model that learned most within its budget."""
