"""What every other package stands on: errors, nouns, files, hashing, seeds."""
