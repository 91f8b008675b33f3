"""Two evaluations of the same items: gain, forgetting, the verdict."""
