"""Was knowledge lost or only form: lost items rescored by likelihood, and what a few of the base's own answers bring back."""
